/**
 * The command line for tests: as a process that runs to its end (`effectWal`), that is watched and fed (`start`) or that has a
 * terminal (`atTerminal`); and in the process of the test (`here`), at a hundredth of the cost, for what does not depend on
 * a process.
 */
import * as Completions from "effect/cli/Completions"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { fork, spawn, spawnSync } from "node:child_process"
import type { ChildProcessWithoutNullStreams, StdioPipe } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { constants, tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { command, run } from "../../src/cli/program.ts"
import { exitCodeOf } from "../../src/cli/terminal/CliFailure.ts"
import { Output } from "../../src/cli/terminal/StandardStreams.ts"
import { program } from "../programs.ts"
import type { Answer, Order } from "./oneProcess.ts"

/** The command in one bundle: what tests start, unless it must be the installed one. */
export const bin = program("effect-wal")

/** The command as it is installed, which `test/build.ts` makes before the first test. */
export const installedBin = fileURLToPath(new URL("../../dist/bin/effect-wal.js", import.meta.url))

/** The names and flags of every command. One below another has the names of both. */
export const subcommands = Completions.fromCommand(command).subcommands.flatMap((one) =>
  one.subcommands.length === 0
    ? [one]
    : one.subcommands.map((below) => ({ ...below, name: `${one.name} ${below.name}` }))
)

/** The names of the commands, without those below another. */
export const commandNames: ReadonlyArray<string> = [...new Set(subcommands.map(({ name }) => name.split(" ")[0]!))]

/** What a command that has ended said. */
export interface Ended {
  /** As a shell shows it: 128 and the signal's number, when a signal ended it. */
  readonly code: number
  readonly stdout: string
  /** The same, for what is no text. */
  readonly bytes: Buffer
  readonly stderr: string
}

export interface StartOptions {
  /** A user other than one's own is for the superuser. */
  readonly uid?: number
  /** A file descriptor in place of the pipe that feeds standard input. */
  readonly stdin?: number
  /** Beside the environment of the test. */
  readonly env?: Readonly<Record<string, string>>
  /** Another copy of the command. */
  readonly bin?: string
  /** A line of shell that runs `"$@"`, the command. */
  readonly shell?: string
}

/** A command that runs. It is killed with the scope at the latest. */
export interface Running {
  readonly child: ChildProcessWithoutNullStreams
  readonly write: (text: string | Uint8Array) => void
  /** Standard output so far, and standard error. */
  readonly printed: () => string
  readonly said: () => string
  /** Done when standard output matches, and when standard error does. A mistake when the command ends before. */
  readonly prints: (pattern: RegExp) => Effect.Effect<RegExpExecArray>
  readonly says: (pattern: RegExp) => Effect.Effect<RegExpExecArray>
  /** Done when `durable ID` was printed for an id of at least this; the id. */
  readonly durable: (eventId: number) => Effect.Effect<number>
  /** Ends the input with these bytes, and waits for the end. */
  readonly end: (input?: string | Uint8Array) => Effect.Effect<Ended>
  /** Waits for the end. */
  readonly ended: Effect.Effect<Ended>
  /** Kills the process without a warning, and waits. */
  readonly crash: Effect.Effect<void>
}

const commandOf = (
  args: ReadonlyArray<string>,
  { bin: path = bin, shell }: StartOptions
): readonly [string, ...ReadonlyArray<string>] => {
  const command = [process.execPath, path, ...args] as const
  return shell === undefined ? command : ["sh", "-c", shell, "sh", ...command]
}

const slowDisk = { NODE_OPTIONS: `--import=${new URL("slowDisk.ts", import.meta.url).href}` } as const

/** The environment of a command that needs so long to open a segment, and says on standard error when it begins. */
export const slowly = (millis: number): Readonly<Record<string, string>> => ({
  ...slowDisk,
  OPEN_MILLIS: String(millis)
})

/** The environment of a command that opens the segments from this index on only after it has drawn its progress twice. */
export const drawnTwiceBefore = (segmentIndex: number): Readonly<Record<string, string>> => ({
  ...slowDisk,
  DRAWN_FROM: String(segmentIndex)
})

/** Starts the command. */
export const start = (
  args: ReadonlyArray<string>,
  options: StartOptions = {}
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync((): Running => {
      const stdio: [StdioPipe | number, "pipe", "pipe"] = [options.stdin ?? "pipe", "pipe", "pipe"]
      const env = { ...process.env, NO_COLOR: "1", ...options.env }
      const uid = options.uid === undefined ? {} : { uid: options.uid }
      const [file, ...words] = commandOf(args, options)
      const child = spawn(file, words, { ...uid, stdio, env }) as ChildProcessWithoutNullStreams
      const stdout: Array<Buffer> = []
      let printed = ""
      let said = ""
      child.stdout.on("data", (chunk: Buffer) => {
        stdout.push(chunk)
        printed += chunk.toString("latin1")
      })
      child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()))
      // A command that fails early does not read its input.
      child.stdin?.on("error", () => undefined)
      const closed = new Promise<Ended>((resolve) =>
        child.once("close", (code, signal) => {
          const bytes = Buffer.concat(stdout)
          const number = code ?? 128 + constants.signals[signal ?? "SIGKILL"]
          resolve({ code: number, bytes, stdout: bytes.toString(), stderr: said })
        })
      )
      const ended = Effect.promise(() => closed)
      const when = <A>(look: () => A | undefined): Effect.Effect<A> =>
        Effect.callback((resume) => {
          const check = () => {
            const found = look()
            if (found !== undefined) resume(Effect.succeed(found))
          }
          const onEnd = () => resume(Effect.die(new Error(`it ended: ${said}`)))
          child.stdout.on("data", check)
          child.stderr.on("data", check)
          child.once("close", onEnd)
          check()
          return Effect.sync(() => {
            child.stdout.off("data", check)
            child.stderr.off("data", check)
            child.off("close", onEnd)
          })
        })
      return {
        child,
        write: (text) => child.stdin.write(text),
        printed: () => printed,
        said: () => said,
        prints: (pattern) => when(() => pattern.exec(printed) ?? undefined),
        says: (pattern) => when(() => pattern.exec(said) ?? undefined),
        durable: (eventId) =>
          when(() => {
            const last = /durable (\d+)\n[^\n]*$/.exec(printed.slice(-100))
            return last !== null && Number(last[1]) >= eventId ? Number(last[1]) : undefined
          }),
        end: (input = "") =>
          Effect.suspend(() => {
            child.stdin.end(input)
            return ended
          }),
        ended,
        crash: Effect.suspend(() => {
          child.kill("SIGKILL")
          return Effect.asVoid(ended)
        })
      }
    }),
    ({ crash }) => crash
  )

/** Runs the command to its end, with `input` on its standard input. */
export const effectWal = (
  args: ReadonlyArray<string>,
  input: string | Uint8Array = "",
  options: StartOptions = {}
): Effect.Effect<Ended> =>
  Effect.scoped(Effect.flatMap(
    start(args, options),
    (running) => options.stdin === undefined ? running.end(input) : running.ended
  ))

/** One process for many command lines; see `oneProcess.ts`. */
export interface OneProcess {
  /** Runs a command line to its end, after those before it. */
  readonly run: (args: ReadonlyArray<string>, input?: string) => Effect.Effect<Ended>
  /** Ends the process, and waits for it. */
  readonly end: Effect.Effect<void>
}

/** Starts one process for many command lines, with the environment of the test. */
export const startOneProcess = (): OneProcess => {
  const child = fork(program("oneProcess"), { execArgv: [], stdio: "inherit" })
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  const asked: Array<(answer: Answer | undefined) => void> = []
  child.on("message", (answer: Answer) => asked.shift()?.(answer))
  child.once("exit", () => asked.splice(0).forEach((answered) => answered(undefined)))
  return {
    run: (args, input = "") =>
      Effect.callback((resume) => {
        asked.push((answer) =>
          resume(
            answer === undefined
              ? Effect.die(new Error(`the process ended before ${args.join(" ")}`))
              : Effect.succeed({ ...answer, bytes: Buffer.from(answer.stdout) })
          )
        )
        const order: Order = { args, input }
        child.send(order)
      }),
    end: Effect.promise(() => {
      if (child.connected) child.disconnect()
      return exited
    })
  }
}

/** `script` gives a command a terminal of its own. */
export const hasScript = spawnSync("script", ["--version"]).status === 0

/** Runs a line of shell at a terminal, and returns all that it shows. `act` is called at its first output that matches. */
export const atTerminal = (
  line: string,
  options: {
    readonly env?: Readonly<Record<string, string>>
    readonly shows?: RegExp
    readonly act?: (keyboard: NodeJS.WritableStream, match: RegExpExecArray) => void
  } = {}
): Effect.Effect<string> =>
  Effect.promise(() =>
    new Promise((resolve) => {
      const env = { ...process.env, SHELL: "/bin/sh", TERM: "xterm", NO_COLOR: "", ...options.env }
      const child = spawn("script", ["-qfec", line, "/dev/null"], { env })
      let shown = ""
      let hasActed = false
      // A view that ends by itself does not read what is typed.
      child.stdin.on("error", () => undefined)
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        shown += text
        const match = options.shows?.exec(shown) ?? null
        if (hasActed || match === null) return
        hasActed = true
        options.act?.(child.stdin, match)
      })
      child.once("close", () => resolve(shown))
    })
  )

/** Runs a command that reads no input in this process. */
export const here = (...args: ReadonlyArray<string>): Effect.Effect<Ended> => hereAt(undefined, ...args)

/** The same, as at a terminal that is so wide. */
export const hereAt = (columns: number | undefined, ...args: ReadonlyArray<string>): Effect.Effect<Ended> =>
  Effect.gen(function*() {
    const stdout: Array<Buffer> = []
    let stderr = ""
    const output = Output.of({
      write: (data) => Effect.sync(() => void stdout.push(Buffer.from(data))),
      say: (line) => void (stderr += `effect-wal: ${line}\n`),
      columns: () => columns
    })
    const console: Console.Console = {
      ...globalThis.console,
      log: (...texts) => void stdout.push(Buffer.from(`${texts.join(" ")}\n`))
    }
    const exit = yield* run(args).pipe(
      Effect.provideService(Output, output),
      Effect.provideService(Console.Console, console),
      Effect.exit
    )
    const bytes = Buffer.concat(stdout)
    const code = Exit.isSuccess(exit) ? 0 : exitCodeOf(exit.cause)
    return { code, bytes, stdout: bytes.toString(), stderr }
  })

/** Names in a directory of this test's own, which goes with the scope. */
export const place: Effect.Effect<(name: string) => string, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-wal-cli-"))),
    (root) => Effect.sync(() => rmSync(root, { recursive: true, force: true }))
  ),
  (root) => (name) => join(root, name)
)

/** What `stats --json` tells; nothing when it fails. */
export const statsOf = (directory: string) =>
  Effect.map(here("stats", "--dir", directory, "--json"), ({ code, stdout }) => code === 0 ? JSON.parse(stdout) : {})

/** Looks again and again until it is so. */
export const until = (isSo: Effect.Effect<boolean>): Effect.Effect<void> =>
  Effect.asVoid(Effect.repeat(Effect.tap(isSo, () => Effect.sleep(50)), { until: (so) => so }))

/** Waits until a running recorder has appended so many events, durable or not. */
export const untilAppended = (directory: string, events: number): Effect.Effect<void> =>
  until(Effect.map(statsOf(directory), ({ positions }) => positions?.appended >= events))
