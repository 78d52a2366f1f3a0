/**
 * How a command ends when it cannot do what it was asked. Exit codes: 0 ok, 1 an operating error or something wrong in the
 * directory, 2 wrong usage. An error is one line on stderr that names the thing and says what to do; never a stack trace.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"

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
 * What to print for a failure, one line without its end; `undefined` when everything was said already.
 *
 * @since 0.1.0
 * @category formatting
 */
export const lineOf = (cause: Cause.Cause<unknown>): string | undefined => {
  const error = Cause.squash(cause)
  if (error instanceof BrokenPipe || error instanceof FaultsFound || CliError.isCliError(error)) return undefined
  const message = error instanceof Error ? error.message : String(error)
  const text = message.replace(/\s*\n\s*/g, "; ")
  return Cause.hasFails(cause) ? text : `a mistake of effect-wal's own, please report it: ${text}`
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
