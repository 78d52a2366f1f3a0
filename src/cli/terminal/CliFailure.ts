/**
 * Describes how a command ends when it cannot do its work: with an exit code (see `exitCodes`), and with one line on
 * standard error that names the cause and advises what to do; never with a stack trace.
 */
import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import { types } from "node:util"

/** Lists what each exit code means, for `--help`. `docs/CLI.md` has the same table; a test compares the two. */
export const exitCodes: ReadonlyArray<readonly [code: string, meaning: string]> = [
  ["0", "done; also when the reader of standard output goes away"],
  ["1", "failed, with the reason in one line on standard error; or something is wrong, and the report lists it"],
  ["2", "wrong usage, and nothing was done; or check found something critical"],
  ["129, 130, 131, 143", "ended by SIGHUP, SIGINT, SIGQUIT or SIGTERM before it was done"]
]

/** Reports that the command cannot be carried out, for a reason outside this program. Exit code 1. */
export class OperatingFailure extends Schema.TaggedError<OperatingFailure>()("OperatingFailure", {
  message: Schema.String
}) {}

/** Reports flags that cannot be combined. Exit code 2. */
export class UsageFailure extends Schema.TaggedError<UsageFailure>()("UsageFailure", { message: Schema.String }) {
  override readonly [Runtime.errorExitCode] = 2
}

/** Ends a command that has already reported on standard output what is wrong. Exit code 1; prints nothing more. */
export class FaultsFound extends Schema.TaggedError<FaultsFound>()("FaultsFound", {}) {
  override get message(): string {
    return "faults were found"
  }
}

/** Ends `check`, which has told what is wrong: 1 for a warning, 2 when it is critical. Prints nothing more. */
export class CheckFailed extends Schema.TaggedError<CheckFailed>()("CheckFailed", { code: Schema.Int }) {
  override readonly [Runtime.errorExitCode] = this.code
  override get message(): string {
    return "the check has found something"
  }
}

/**
 * Ends a command because the reader of its standard output is gone. A pipe into `head` ends like this, so the program
 * ends quietly, with exit code 0.
 */
export class BrokenPipe extends Schema.TaggedError<BrokenPipe>()("BrokenPipe", {}) {
  override readonly [Runtime.errorExitCode] = 0
  override get message(): string {
    return "the reader of standard output is gone"
  }
}

/** Ends a command that a signal ended before it was done. What it had begun is undone. Prints nothing more. */
export class Stopped extends Schema.TaggedError<Stopped>()("Stopped", { code: Schema.Int }) {
  override readonly [Runtime.errorExitCode] = this.code
  override get message(): string {
    return "ended by a signal"
  }
}

/**
 * Formats a failure as one line, without its line feed; `undefined` when the command has already reported everything.
 */
export const lineOf = (cause: Cause.Cause<unknown>): string | undefined => {
  const error = Cause.squash(cause)
  if (
    [BrokenPipe, CheckFailed, FaultsFound, Stopped].some((quiet) => error instanceof quiet) ||
    CliError.isCliError(error)
  ) {
    return undefined
  }
  const text = messageOf(cause)
  return Cause.hasFails(cause) ? text : `a bug in effect-wal, please report it: ${text}`
}

/** Formats the message of a cause's first error as one line. */
export const messageOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return (types.isNativeError(error) ? error.message : String(error)).replace(/\s*\n\s*/g, "; ")
}

/** Gives the exit code of a failure. */
export const exitCodeOf = (cause: Cause.Cause<unknown>): number => {
  const error = Cause.squash(cause)
  // Flags that cannot be parsed are wrong usage; a request for help is not an error.
  if (CliError.isCliError(error)) return error._tag === "ShowHelp" && error.errors.length === 0 ? 0 : 2
  return Runtime.getErrorExitCode(error)
}
