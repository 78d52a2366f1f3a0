/**
 * The manual page `effect-wal(1)`, made of what the commands say of themselves: `npm run build` writes it to
 * `man/effect-wal.1`.
 */
import type * as CliOutput from "effect/cli/CliOutput"
import type { ArgDoc, ExampleDoc, FlagDoc, HelpDoc } from "effect/cli/HelpDoc"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { run } from "../src/cli/program.ts"
import { exitCodes } from "../src/cli/terminal/CliFailure.ts"
import { version } from "../src/cli/version.ts"

/** Where the page lies, from the root of the package on. */
export const manPagePath = "man/effect-wal.1"

/** The help of a command, as data. */
const helpOf = (path: ReadonlyArray<string>): Effect.Effect<HelpDoc> =>
  Effect.suspend(() => {
    let found: HelpDoc | undefined
    const answer = {
      present: (event: CliOutput.Presenter.Event) =>
        Effect.sync(() => {
          if (event._tag === "Help") found = event.helpDoc
        })
    }
    return Effect.flatMap(
      Effect.exit(run([...path, "--help"], answer)),
      (exit) => found === undefined ? Effect.die(exit) : Effect.succeed(found)
    )
  })

/** Text of a line: what roff would read as its own is not. */
const text = (words: string): string =>
  words.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^(?=[.'])/, "\\&").replaceAll("\n", " ")

const bold = (words: string): string => `\\fB${text(words)}\\fR`
const italic = (words: string): string => `\\fI${text(words)}\\fR`

/** Words between backquotes are what is typed. */
const prose = (words: string): string =>
  words.split(/`([^`]*)`/).map((part, index) => index % 2 === 1 ? bold(part) : text(part)).join("")

/** A term, and what it means. */
const item = (term: string, meaning: string): ReadonlyArray<string> => [".TP", term, meaning]

const flagLines = ({ aliases, description, name, required, type }: FlagDoc): ReadonlyArray<string> => {
  const names = [...aliases, `--${name}`].map(bold).join(", ")
  const value = type === "boolean" ? "" : ` ${italic(type)}`
  return item(`${names}${value}${required ? " (required)" : ""}`, prose(Option.getOrElse(description, () => "")))
}

const argumentLines = ({ description, name }: ArgDoc): ReadonlyArray<string> =>
  item(italic(name), prose(Option.getOrElse(description, () => "")))

const exampleLines = ({ command, description = "" }: ExampleDoc): ReadonlyArray<string> => [
  ".PP",
  prose(description),
  ".RS 4",
  ".EX",
  text(command),
  ".EE",
  ".RE"
]

/** A command, and after it those below it. */
const commandLines = (path: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function*() {
    const { args = [], description, examples = [], flags, subcommands = [] } = yield* helpOf(path)
    const below = yield* Effect.forEach(
      subcommands.flatMap(({ commands }) => commands),
      ({ name }) => commandLines([...path, name])
    )
    if (below.length > 0) return below.flat()
    const synopsis = [bold(`effect-wal ${path.join(" ")}`), ...args.map(({ name }) => italic(name))].join(" ")
    return [
      `.SS ${text(path.join(" "))}`,
      `${synopsis} [${italic("flags")}]`,
      ".PP",
      `${prose(description)}.`,
      ...args.flatMap(argumentLines),
      ...flags.flatMap(flagLines),
      ...examples.flatMap(exampleLines)
    ]
  })

/** The source of the page. */
export const manPage: Effect.Effect<string> = Effect.gen(function*() {
  const { description, globalFlags = [], subcommands = [] } = yield* helpOf([])
  const names = subcommands.flatMap(({ commands }) => commands.map(({ name }) => name))
  const commands = yield* Effect.forEach(names, (name) => commandLines([name]))
  return [
    `.TH EFFECT\\-WAL 1 "" "effect\\-wal ${text(version)}" "User Commands"`,
    ".SH NAME",
    `effect\\-wal \\- ${text(description.charAt(0).toLowerCase() + description.slice(1))}`,
    ".SH SYNOPSIS",
    `${bold("effect-wal")} ${italic("COMMAND")} [${italic("flags")}]`,
    ".SH DESCRIPTION",
    text(
      "Results go to standard output. Everything else, including logs, is a line on standard error that begins with"
    ),
    `${bold("effect-wal:")}.`,
    ".SH COMMANDS",
    ...commands.flat(),
    ".SH FLAGS OF EVERY COMMAND",
    ...globalFlags.flatMap(flagLines),
    ".SH EXIT STATUS",
    ...exitCodes.flatMap(([code, meaning]) => item(bold(code), `${prose(meaning)}.`)),
    ""
  ].join("\n")
})
