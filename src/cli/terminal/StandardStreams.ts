/**
 * Standard input, output and error, as commands need them. Input comes in chunks, and a signal can end it. Output is
 * awaited, and a broken pipe is reported. Error is written in whole lines.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as Scope from "effect/Scope"
import { plainText } from "../../internal/plainText.ts"
import { BrokenPipe, FaultsFound, OperatingFailure } from "./CliFailure.ts"
import { onFirstSignal } from "./Signals.ts"
import { wrapped } from "./wrapped.ts"

/** An open standard input. */
export interface StandardInput {
  /** Reads the bytes that are available; `undefined` at the end of the input, and after a signal. */
  readonly next: Effect.Effect<Buffer | undefined, OperatingFailure>
  /** Gives the name of the signal that ended the input early. */
  readonly endedBy: () => string | undefined
  /** Waits for that signal. */
  readonly signalled: Effect.Effect<void>
  /** The length of the input if it is a file; its position is assumed to be at the beginning. */
  readonly bytes: number | undefined
}

const nobody = (): void => undefined

/**
 * Opens standard input, until the scope closes. The first signal ends the input in an orderly way: what was read is
 * still processed, nothing more is read. A second one ends the process at once. A directory is refused, because Node
 * would treat it as an empty input.
 */
export const standardInput: Effect.Effect<
  StandardInput,
  OperatingFailure,
  Scope.Scope | FileSystem.FileSystem
> = Effect.gen(function*() {
  const fileSystem = yield* FileSystem.FileSystem
  // On a system without this name, nothing is known about the input.
  const stat = yield* Effect.catch(fileSystem.stat("/dev/stdin"), () => Effect.succeed(undefined))
  if (stat?.type === "Directory") {
    return yield* new OperatingFailure({ message: "standard input is a directory; pipe data or a file into it" })
  }
  const input = process.stdin
  let endedBy: string | undefined
  let isAtEnd = false
  let failure: OperatingFailure | undefined
  /** Resumes the reader that waits for input; does nothing while none waits, because bytes read then would be lost. */
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

  const signalled = yield* Deferred.make<void>()
  yield* onFirstSignal((signal) => {
    endedBy = signal
    Deferred.doneUnsafe(signalled, Effect.void)
    wake()
  })

  const next = Effect.callback<Buffer | undefined, OperatingFailure>((resume) => {
    const look = () => {
      wake = nobody
      // A terminal that closes sends a signal, and can be read no more.
      if (endedBy !== undefined) return resume(Effect.succeed(undefined))
      if (failure !== undefined) return resume(Effect.fail(failure))
      const chunk: Buffer | null = input.read()
      if (chunk !== null) return resume(Effect.succeed(chunk))
      if (isAtEnd) return resume(Effect.succeed(undefined))
      wake = look
    }
    look()
  })
  return {
    next,
    endedBy: () => endedBy,
    signalled: Deferred.await(signalled),
    bytes: stat?.type === "File" ? Number(stat.size) : undefined
  }
})

/** Where commands write: to the standard streams of the process, unless a test provides others. */
export interface Output {
  /**
   * Writes to standard output. It succeeds when the bytes are written; then the caller may change them. Fails with
   * `BrokenPipe` when the reader is gone.
   */
  readonly write: (data: string | Uint8Array) => Effect.Effect<void, BrokenPipe | OperatingFailure>
  /** Writes one line to standard error. */
  readonly say: (line: string) => void
  /** How wide the terminal is that standard output goes to; `undefined` when it goes elsewhere. */
  readonly columns: () => number | undefined
}

/** The service key of `Output`, with the standard streams as its default. */
export const Output: Context.Reference<Output> = Context.Reference("effect-wal/cli/Output", {
  defaultValue: () => ({
    write: writeStandardOutput,
    say: sayUnsafe,
    columns: () => process.stdout.isTTY ? process.stdout.columns || undefined : undefined
  })
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

/** Writes to standard output and waits until the bytes are written. Fails with `BrokenPipe` when the reader is gone. */
export const writeOutput: Output["write"] = (data) => Effect.flatMap(Output, (output) => output.write(data))

/** Writes a value as one line of JSON to standard output. Escaped text is the same JSON. */
export const writeJson = (value: unknown): Effect.Effect<void, BrokenPipe | OperatingFailure> =>
  writeOutput(`${plainText(JSON.stringify(value))}\n`)

/** Writes lines to standard output, as plain text (see `plainText`). A terminal gets no line longer than it is wide. */
export const writeLines = (lines: ReadonlyArray<string>): Effect.Effect<void, BrokenPipe | OperatingFailure> =>
  Effect.flatMap(Output, (output) => {
    const columns = output.columns()
    const shown = lines.map(plainText).flatMap((line) => columns === undefined ? [line] : wrapped(line, columns))
    return shown.length === 0 ? Effect.void : output.write(`${shown.join("\n")}\n`)
  })

/**
 * Writes a report. Fails with `FaultsFound` if the report lists a fault, even when the reader goes away before its end:
 * so `verify | head` does not hide a fault from a script that checks the exit code.
 */
export const report = (
  write: Effect.Effect<void, BrokenPipe | OperatingFailure>,
  isFaulty: boolean
): Effect.Effect<void, BrokenPipe | OperatingFailure | FaultsFound> =>
  isFaulty
    ? Effect.andThen(Effect.catchTag(write, "BrokenPipe", () => Effect.void), Effect.fail(new FaultsFound()))
    : write

/** Writes one line to standard error, for the person at the terminal or for the log of a script. */
export const say = (line: string): Effect.Effect<void> => Effect.map(Output, (output) => output.say(plainText(line)))

/** Writes the line to the standard error of the process itself, at once. */
export const sayUnsafe = (line: string): void => {
  const text = `effect-wal: ${plainText(line)}`
  const { columns, isTTY } = process.stderr
  process.stderr.write(`${isTTY && columns > 0 ? wrapped(text, columns).join("\n") : text}\n`)
}

/**
 * Installs listeners for errors of standard output and standard error that do nothing. Such errors are handled where
 * the bytes are written; without a listener they would end the process with a stack trace.
 */
export const quietStreams: Effect.Effect<void> = Effect.sync(() => {
  process.stdout.on("error", () => undefined)
  process.stderr.on("error", () => undefined)
})
