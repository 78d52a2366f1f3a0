/**
 * How a command ends when it cannot do what it was asked: its exit code (see `exitCodes`), and one line on standard error
 * that names the thing and says what to do; never a stack trace.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"

/**
 * What each exit code means, for `--help`. `docs/CLI.md` says the same; a test holds the two together.
 *
 * @since 0.1.0
 * @category models
 */
export const exitCodes: ReadonlyArray<readonly [code: string, meaning: string]> = [
  ["0", "done; also when whoever reads standard output goes away"],
  ["1", "failed, and one line on standard error says why; or something is wrong, and the report says what"],
  ["2", "wrong usage; nothing was done"],
  ["130, 143", "ended by SIGINT or SIGTERM before it was done"]
]

/**
 * The command cannot be carried out, for a reason outside this program. Exit code 1.
 *
 * @since 0.1.0
 * @category errors
 */
export class OperatingFailure extends Schema.TaggedError<OperatingFailure>()("OperatingFailure", {
  message: Schema.String
}) {}

/**
 * The flags do not go together. Exit code 2.
 *
 * @since 0.1.0
 * @category errors
 */
export class UsageFailure extends Schema.TaggedError<UsageFailure>()("UsageFailure", { message: Schema.String }) {
  override readonly [Runtime.errorExitCode] = 2
}

/**
 * The command has already said on stdout what is wrong. Exit code 1, and nothing more to say.
 *
 * @since 0.1.0
 * @category errors
 */
export class FaultsFound extends Schema.TaggedError<FaultsFound>()("FaultsFound", {}) {
  override get message(): string {
    return "faults were found"
  }
}

/**
 * Whoever read our stdout has gone. That is how a pipe into `head` ends, so the program ends quietly with exit code 0.
 *
 * @since 0.1.0
 * @category errors
 */
export class BrokenPipe extends Schema.TaggedError<BrokenPipe>()("BrokenPipe", {}) {
  override readonly [Runtime.errorExitCode] = 0
  override get message(): string {
    return "the reader of standard output has gone"
  }
}

/**
 * A signal ended the command before it was done, and what it had begun is undone. Nothing more to say.
 *
 * @since 0.1.0
 * @category errors
 */
export class Stopped extends Schema.TaggedError<Stopped>()("Stopped", { code: Schema.Int }) {
  override readonly [Runtime.errorExitCode] = this.code
  override get message(): string {
    return "ended by a signal"
  }
}

/**
 * What to print for a failure, one line without its end; `undefined` when everything was said already.
 *
 * @since 0.1.0
 * @category formatting
 */
export const lineOf = (cause: Cause.Cause<unknown>): string | undefined => {
  const error = Cause.squash(cause)
  if ([BrokenPipe, FaultsFound, Stopped].some((quiet) => error instanceof quiet) || CliError.isCliError(error)) {
    return undefined
  }
  const text = messageOf(cause)
  return Cause.hasFails(cause) ? text : `a mistake of effect-wal's own, please report it: ${text}`
}

/**
 * The message of a cause's first error, in one line.
 *
 * @since 0.1.0
 * @category formatting
 */
export const messageOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return (error instanceof Error ? error.message : String(error)).replace(/\s*\n\s*/g, "; ")
}

/**
 * The exit code of a failure.
 *
 * @since 0.1.0
 * @category formatting
 */
export const exitCodeOf = (cause: Cause.Cause<unknown>): number => {
  const error = Cause.squash(cause)
  // Flags that cannot be parsed; asking for help is not an error.
  if (CliError.isCliError(error)) return error._tag === "ShowHelp" && error.errors.length === 0 ? 0 : 2
  return Runtime.getErrorExitCode(error)
}
