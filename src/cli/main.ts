#!/usr/bin/env node
/**
 * The process `effect-wal`: runs the command line once, and ends with its exit code.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import { run } from "./program.ts"
import { exitCodeOf } from "./terminal/CliFailure.ts"
import { quietStreams } from "./terminal/StandardStreams.ts"

/** As `NodeRuntime.runMain`, but signals keep their default meaning except where a command takes them over. */
const runMain = Runtime.makeRunMain(({ fiber, teardown }) => fiber.addObserver((exit) => teardown(exit, process.exit)))

runMain(Effect.andThen(quietStreams, run(process.argv.slice(2))), {
  disableErrorReporting: true,
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? 0 : exitCodeOf(exit.cause))
})
