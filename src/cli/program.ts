/**
 * The command line, `effect-wal`: its commands, its help, and what all commands share. Results go to standard output,
 * everything else to standard error. That includes logs, of which warnings and worse are shown.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Completions from "effect/cli/Completions"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import type { HelpDoc } from "effect/cli/HelpDoc"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { toStringUnknown } from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as NodeDisk from "../disk/NodeDisk.ts"
import { append } from "./commands/append.ts"
import { archive } from "./commands/archive.ts"
import { backup } from "./commands/backup.ts"
import { check } from "./commands/check.ts"
import { consumers } from "./commands/consumers.ts"
import { doctor } from "./commands/doctor.ts"
import { dump } from "./commands/dump.ts"
import { exportEvents } from "./commands/export.ts"
import { free } from "./commands/free.ts"
import { grep } from "./commands/grep.ts"
import { inspect } from "./commands/inspect.ts"
import { maintain } from "./commands/maintain.ts"
import { record } from "./commands/record.ts"
import { repair } from "./commands/repair.ts"
import { replay } from "./commands/replay.ts"
import { schema } from "./commands/schema.ts"
import { serve } from "./commands/serve.ts"
import { stats } from "./commands/stats.ts"
import { tail } from "./commands/tail.ts"
import { takeOver } from "./commands/takeOver.ts"
import { top } from "./commands/top.ts"
import { verify } from "./commands/verify.ts"
import { directoryFlagNames } from "./flags/flags.ts"
import { exitCodes, lineOf, messageOf } from "./terminal/CliFailure.ts"
import { Output, say, sayUnsafe } from "./terminal/StandardStreams.ts"
import { wrapped } from "./terminal/wrapped.ts"
import { version, versionLine } from "./version.ts"

/** The command `effect-wal` with all its subcommands. */
export const command = Command.make("effect-wal").pipe(
  Command.withDescription("Records events durably, replays them, and checks what is on disk"),
  Command.withSubcommands([
    record,
    replay,
    grep,
    verify,
    inspect,
    dump,
    repair,
    exportEvents,
    backup,
    archive,
    takeOver,
    consumers,
    append,
    tail,
    maintain,
    free,
    stats,
    check,
    top,
    serve,
    doctor,
    schema
  ])
)

/** Formats the list of exit codes, with which every help ends. */
const exitCodeLines = (): string => {
  const width = Math.max(...exitCodes.map(([code]) => code.length))
  return ["EXIT CODES", ...exitCodes.map(([code, meaning]) => `  ${code.padEnd(width)}    ${meaning}`)].join("\n")
}

/** Formats help. At a terminal no line is longer than it is wide, but for the examples, which are to be copied. */
const formatHelp = Effect.fnUntraced(function*(helpDoc: HelpDoc) {
  const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
  const text = CliOutput.defaultFormatter({ colors: canColor }).formatHelpDoc(helpDoc)
  const columns = (yield* Output).columns()
  if (columns === undefined) return `${text}\n\n${exitCodeLines()}`
  const [before = "", examples] = text.split(/(?=^.*EXAMPLES)/m)
  const shown = [...before.split("\n"), examples ?? [], ...`\n${exitCodeLines()}`.split("\n")].flat()
  return shown.flatMap((line) => line === examples ? [line] : wrapped(line, columns)).join("\n")
})

/** Answers wrong usage with one line on standard error instead of the whole help, and adds the exit codes to help. */
const presenter: CliOutput.Presenter = {
  present: (event) => {
    if (event._tag === "Version") return Console.log(versionLine)
    if (event._tag === "Help") return Effect.flatMap(formatHelp(event.helpDoc), (text) => Console.log(text))
    const name = event.commandPath.join(" ")
    const text = event.errors.map((error) => error.message.replace(/\s*\n\s*/g, " ")).join("; ")
    return say(`${text}; see ${name} --help`)
  }
}

/** Does what the built-in flag does, and completes directories after flags that take the path of a directory. */
const completions: typeof GlobalFlag.Completions = {
  ...GlobalFlag.Completions,
  run: (shell, { command }) =>
    Option.match(shell, {
      onNone: () => Effect.void,
      onSome: (shell) => {
        const script = Completions.generate(command.name, shell, withPaths(Completions.fromCommand(command)))
        return Console.log(shell === "fish" ? script.replaceAll(/ -F$/gm, fishDirectories) : script)
      }
    })
}

/** Replaces the option of generated scripts that would also offer files. */
const fishDirectories = " -f -a '(__fish_complete_directories)'"

/** Marks these flags as paths of directories. For the parser they are text, because it would make a path absolute. */
const withPaths = (command: Completions.CommandDescriptor): Completions.CommandDescriptor => ({
  ...command,
  flags: command.flags.map((flag) =>
    // What `append --to` names is no directory.
    flag.type._tag === "String" && directoryFlagNames.includes(flag.name) && command.name !== "append"
      ? { ...flag, type: { _tag: "Path", pathType: "directory" } }
      : flag
  ),
  subcommands: command.subcommands.map(withPaths)
})

const logger = Logger.make<unknown, void>(({ cause, logLevel, message }) => {
  const text = (Array.isArray(message) ? message : [message]).map((part) => toStringUnknown(part, 0)).join(" ")
  const why = cause.reasons.length === 0 ? "" : `: ${messageOf(cause)}`
  sayUnsafe(`${logLevel === "Warn" ? "warning" : logLevel.toLowerCase()}: ${text}${why}`)
})

const environment = Layer.mergeAll(
  NodeServices.layer,
  NodeDisk.layer,
  // Without the wizard, because a command has only one required flag.
  CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, completions, GlobalFlag.LogLevel] }),
  Logger.layer([logger]),
  Layer.succeed(References.MinimumLogLevel, "Warn")
)

/**
 * Runs the command line with these arguments. Writes a failure to standard error before it fails with it. Help and
 * wrong usage are given to `answer`.
 */
export const run = (args: ReadonlyArray<string>, answer = presenter) =>
  Command.runWith(command, { version })(args).pipe(
    Effect.provide(CliOutput.layerPresenter(answer)),
    Effect.provide(environment),
    Effect.tapCause((cause) => {
      const line = lineOf(cause)
      return line === undefined ? Effect.void : say(line)
    })
  )
