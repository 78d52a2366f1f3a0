/**
 * Standard input, output and error, as commands need them: input in chunks and with an end that a signal can bring about,
 * output that is waited for and that knows a broken pipe, error in whole lines.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as Scope from "effect/Scope"
import { BrokenPipe, FaultsFound, OperatingFailure } from "./CliFailure.ts"
import { onFirstSignal } from "./Signals.ts"

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
  /** How much there is to read, when it is a file; its position is taken to be at the beginning. */
  readonly bytes: number | undefined
}

const nobody = (): void => undefined

/**
 * Standard input, for as long as the scope lives. The first SIGINT or SIGTERM ends the input in good order: what was read
 * goes its way, nothing more is read. A second one ends the process at once. A directory is refused; Node would take it for
 * an empty input.
 *
 * @since 0.1.0
 * @category input
 */
export const standardInput: Effect.Effect<
  StandardInput,
  OperatingFailure,
  Scope.Scope | FileSystem.FileSystem
> = Effect.gen(function*() {
  const fileSystem = yield* FileSystem.FileSystem
  // Where the system has no such name, nothing is known of the input.
  const stat = yield* Effect.catch(fileSystem.stat("/dev/stdin"), () => Effect.succeed(undefined))
  if (stat?.type === "Directory") {
    return yield* new OperatingFailure({ message: "standard input is a directory; pipe data or a file into it" })
  }
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
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      input.on("readable", onReadable).on("end", onEnd).on("error", onError)
    }),
    () =>
      Effect.sync(() => {
        input.off("readable", onReadable).off("end", onEnd).off("error", onError)
        input.destroy()
      })
  )

  yield* onFirstSignal((signal) => {
    endedBy = signal
    wake()
  })

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
  return { next, endedBy: () => endedBy, bytes: stat?.type === "File" ? Number(stat.size) : undefined }
})

/**
 * Where commands write: the standard streams of the process, unless others are given.
 *
 * @since 0.1.0
 * @category services
 */
export interface Output {
  /** To standard output; done when the bytes are taken, which may then change. `BrokenPipe` when nobody reads any more. */
  readonly write: (data: string | Uint8Array) => Effect.Effect<void, BrokenPipe | OperatingFailure>
  /** One line to standard error. */
  readonly say: (line: string) => void
}

/**
 * The service of that name.
 *
 * @since 0.1.0
 * @category services
 */
export const Output: Context.Reference<Output> = Context.Reference("effect-wal/cli/Output", {
  defaultValue: () => ({ write: writeStandardOutput, say: sayUnsafe })
})

const writeStandardOutput: Output["write"] = (data) =>
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
 * Writes to standard output and waits until it is taken. `BrokenPipe` when nobody reads any more.
 *
 * @since 0.1.0
 * @category output
 */
export const writeOutput: Output["write"] = (data) => Effect.flatMap(Output, (output) => output.write(data))

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
 * Writes a report that finds something wrong or not, and fails with `FaultsFound` when it does: also when nobody reads it
 * to its end, so that `verify | head` does not hide a fault from a script that asks for the exit code.
 *
 * @since 0.1.0
 * @category output
 */
export const report = (
  write: Effect.Effect<void, BrokenPipe | OperatingFailure>,
  isFaulty: boolean
): Effect.Effect<void, BrokenPipe | OperatingFailure | FaultsFound> =>
  isFaulty
    ? Effect.andThen(Effect.catchTag(write, "BrokenPipe", () => Effect.void), Effect.fail(new FaultsFound()))
    : write

/**
 * Says something to the person at the terminal, or to the log of a script: one line on standard error.
 *
 * @since 0.1.0
 * @category output
 */
export const say = (line: string): Effect.Effect<void> => Effect.map(Output, (output) => output.say(line))

/**
 * The same to the process's own standard error, at once.
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
