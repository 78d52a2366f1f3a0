/**
 * Standard input, output and error, as commands need them: input in chunks and with an end that a signal can bring about,
 * output that is waited for and that knows a broken pipe, error in whole lines.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { BrokenPipe, OperatingFailure } from "./CliFailure.ts"

/**
 * Standard input, being read.
 *
 * @since 0.1.0
 * @category models
 */
export interface StandardInput {
  /** The next bytes, as many as there are; `undefined` at the end, and after the end was asked for. */
  readonly next: Effect.Effect<Buffer | undefined, OperatingFailure>
  /** What ended the reading early: the name of a signal. */
  readonly endedBy: () => string | undefined
}

const nobody = (): void => undefined

/**
 * Standard input, for as long as the scope lives. The first SIGINT or SIGTERM ends the input in good order: what was read
 * goes its way, nothing more is read. A second one ends the process at once.
 *
 * @since 0.1.0
 * @category input
 */
export const standardInput: Effect.Effect<StandardInput, never, Scope.Scope> = Effect.gen(function*() {
  const input = process.stdin
  let endedBy: string | undefined
  let isAtEnd = false
  let failure: OperatingFailure | undefined
  /** Who waits for input. Nobody, most of the time: what is read when nobody waits would be lost. */
  let wake: () => void = nobody

  const onReadable = () => wake()
  const onEnd = () => {
    isAtEnd = true
    wake()
  }
  const onError = (error: Error) => {
    failure = new OperatingFailure({
      message: `standard input cannot be read (${error.message}); pipe data or a file into it`
    })
    wake()
  }
  const onSignal = (signal: NodeJS.Signals) => {
    if (endedBy !== undefined) process.exit(130)
    endedBy = signal
    wake()
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      input.on("readable", onReadable).on("end", onEnd).on("error", onError)
      process.on("SIGINT", onSignal).on("SIGTERM", onSignal)
    }),
    () =>
      Effect.sync(() => {
        input.off("readable", onReadable).off("end", onEnd).off("error", onError)
        process.off("SIGINT", onSignal).off("SIGTERM", onSignal)
        input.destroy()
      })
  )

  const next = Effect.callback<Buffer | undefined, OperatingFailure>((resume) => {
    const look = () => {
      wake = nobody
      if (failure !== undefined) return resume(Effect.fail(failure))
      if (endedBy !== undefined) return resume(Effect.succeed(undefined))
      const chunk: Buffer | null = input.read()
      if (chunk !== null) return resume(Effect.succeed(chunk))
      if (isAtEnd) return resume(Effect.succeed(undefined))
      wake = look
    }
    look()
  })
  return { next, endedBy: () => endedBy }
})

/**
 * Writes to standard output and waits until it is taken. `BrokenPipe` when nobody reads any more.
 *
 * @since 0.1.0
 * @category output
 */
export const writeOutput = (data: string | Uint8Array): Effect.Effect<void, BrokenPipe | OperatingFailure> =>
  Effect.callback((resume) => {
    process.stdout.write(data, (error) => {
      if (error === null || error === undefined) return resume(Effect.void)
      const code = "code" in error ? error.code : ""
      resume(Effect.fail(
        code === "EPIPE" || code === "ERR_STREAM_DESTROYED"
          ? new BrokenPipe()
          : new OperatingFailure({ message: `standard output cannot be written: ${error.message}` })
      ))
    })
  })

/**
 * A value as one line of JSON on standard output.
 *
 * @since 0.1.0
 * @category output
 */
export const writeJson = (value: unknown): Effect.Effect<void, BrokenPipe | OperatingFailure> =>
  writeOutput(`${JSON.stringify(value)}\n`)

/**
 * Lines on standard output.
 *
 * @since 0.1.0
 * @category output
 */
export const writeLines = (lines: ReadonlyArray<string>): Effect.Effect<void, BrokenPipe | OperatingFailure> =>
  lines.length === 0 ? Effect.void : writeOutput(`${lines.join("\n")}\n`)

/**
 * Says something to the person at the terminal, or to the log of a script: one line on standard error.
 *
 * @since 0.1.0
 * @category output
 */
export const say = (line: string): Effect.Effect<void> => Effect.sync(() => sayUnsafe(line))

/**
 * The same, at once.
 *
 * @since 0.1.0
 * @category output
 */
export const sayUnsafe = (line: string): void => {
  process.stderr.write(`effect-wal: ${line}\n`)
}

/**
 * Errors of stdout and stderr are handled where they are written; without a listener they would end the process with a
 * stack trace.
 *
 * @since 0.1.0
 * @category output
 */
export const quietStreams: Effect.Effect<void> = Effect.sync(() => {
  process.stdout.on("error", () => undefined)
  process.stderr.on("error", () => undefined)
})
