#!/usr/bin/env node
/**
 * The process `effect-wal`. Runs the command line once, and exits with its exit code.
 *
 * Only the command line needs `@effect/platform-node`, so an application may lack it. `program.ts` and what it imports
 * are therefore loaded here, and where that package is missing, one line tells what to install.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import { types } from "node:util"
import { exitCodeOf } from "./terminal/CliFailure.ts"
import { defaultSignals } from "./terminal/Signals.ts"
import { quietStreams } from "./terminal/StandardStreams.ts"

const optionalPeer = "@effect/platform-node"

const isPeerMissing = (error: unknown): boolean =>
  types.isNativeError(error) && "code" in error && error.code === "ERR_MODULE_NOT_FOUND" &&
  error.message.includes(`'${optionalPeer}'`)

const { run } = await import("./program.ts").catch((error: unknown) => {
  if (!isPeerMissing(error)) throw error
  process.stderr.write(`effect-wal: the command line needs ${optionalPeer}: npm install ${optionalPeer}\n`)
  process.exit(1)
})

/**
 * Does what `NodeRuntime.runMain` does, except that signals keep their default meaning unless a command takes them
 * over.
 */
const runMain = Runtime.makeRunMain(({ fiber, teardown }) => fiber.addObserver((exit) => teardown(exit, process.exit)))

runMain(Effect.andThen(Effect.andThen(quietStreams, defaultSignals), run(process.argv.slice(2))), {
  disableErrorReporting: true,
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? 0 : exitCodeOf(exit.cause))
})
