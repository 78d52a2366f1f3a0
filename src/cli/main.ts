#!/usr/bin/env node
/**
 * The command line, `effect-wal`. Exit codes: 0 ok, 1 an operating error or faults found, 2 wrong usage. Results go to
 * standard output, everything else to standard error; logs too, of which warnings and worse are shown.
 *
 * @since 0.1.0
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Runtime from "effect/Runtime"
import { createRequire } from "node:module"
import * as NodeDisk from "../disk/NodeDisk.ts"
import { backup } from "./backup.ts"
import { exitCodeOf, lineOf } from "./CliFailure.ts"
import { dump } from "./dump.ts"
import { exportEvents } from "./export.ts"
import { inspect } from "./inspect.ts"
import { maintain } from "./maintain.ts"
import { record } from "./record.ts"
import { repair } from "./repair.ts"
import { replay } from "./replay.ts"
import { quietStreams, say, sayUnsafe } from "./StandardStreams.ts"
import { stats } from "./stats.ts"
import { top } from "./top.ts"
import { verify } from "./verify.ts"

const { version }: { readonly version: string } = createRequire(import.meta.url)("../../package.json")

const command = Command.make("effect-wal").pipe(
  Command.withDescription("Records events durably, replays them, and checks what is on disk"),
  Command.withSubcommands([
    record,
    replay,
    verify,
    inspect,
    dump,
    repair,
    exportEvents,
    backup,
    maintain,
    stats,
    top
  ])
)

/** Wrong usage gets one line on standard error, not the whole help. */
const presenter: CliOutput.Presenter = {
  present: (event) => {
    if (event._tag !== "InvalidInvocation") return CliOutput.defaultPresenter.present(event)
    const name = event.commandPath.join(" ")
    const text = event.errors.map((error) => error.message.replace(/\s*\n\s*/g, " ")).join("; ")
    return say(`${text}; see ${name} --help`)
  }
}

const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
  const text = (Array.isArray(message) ? message : [message]).map(String).join(" ")
  sayUnsafe(`${logLevel === "Warn" ? "warning" : logLevel.toLowerCase()}: ${text}`)
})

const environment = Layer.mergeAll(
  NodeServices.layer,
  NodeDisk.layer,
  CliOutput.layerPresenter(presenter),
  Logger.layer([logger]),
  Layer.succeed(References.MinimumLogLevel, "Warn")
)

const main = quietStreams.pipe(
  Effect.andThen(Command.runWith(command, { version })(process.argv.slice(2))),
  Effect.provide(environment),
  Effect.tapCause((cause) => {
    const line = lineOf(cause)
    return line === undefined ? Effect.void : say(line)
  })
)

/** As `NodeRuntime.runMain`, but signals keep their default meaning except where a command takes them over. */
const runMain = Runtime.makeRunMain(({ fiber, teardown }) => fiber.addObserver((exit) => teardown(exit, process.exit)))

runMain(main, {
  disableErrorReporting: true,
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? 0 : exitCodeOf(exit.cause))
})
