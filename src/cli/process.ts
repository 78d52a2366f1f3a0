/** Runs the command line as a process: its exit code, its signals, its standard streams. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import { run } from "./program.ts"
import { exitCodeOf } from "./terminal/CliFailure.ts"
import { defaultSignals } from "./terminal/Signals.ts"
import { quietStreams } from "./terminal/StandardStreams.ts"

/**
 * Does what `NodeRuntime.runMain` does, except that signals keep their default meaning unless a command takes them
 * over.
 */
const runMain = Runtime.makeRunMain(({ fiber, teardown }) => fiber.addObserver((exit) => teardown(exit, process.exit)))

/** Runs the command line with these arguments, and exits. */
export const runProcess = (args: ReadonlyArray<string>): void =>
  runMain(Effect.andThen(Effect.andThen(quietStreams, defaultSignals), run(args)), {
    disableErrorReporting: true,
    teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? 0 : exitCodeOf(exit.cause))
  })
