/**
 * The built command line for tests: as a process that runs to its end (`effectWal`) or that is watched and fed (`start`), and in
 * the process of the test (`here`), which says the same wherever standard input, signals and the end of the process do not
 * matter, and costs a hundredth.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import type { ChildProcessWithoutNullStreams, StdioPipe } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type * as CliFailure from "../../src/cli/CliFailure.ts"
import type * as Program from "../../src/cli/program.ts"
import type * as StandardStreams from "../../src/cli/StandardStreams.ts"

/** The command as it is installed: the built one, which `test/build.ts` makes before the first test. */
export const bin = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url))

const built = (name: string): string => new URL(`../../dist/cli/${name}.js`, import.meta.url).href

/** What `bin` runs, but for ending the process. */
const program: typeof Program = await import(built("program"))
const { Output }: typeof StandardStreams = await import(built("StandardStreams"))
const { BrokenPipe, exitCodeOf }: typeof CliFailure = await import(built("CliFailure"))

/** Every command, as it is installed. */
export const { command } = program

/** What a command that has ended said. */
export interface Ended {
  /** As a shell shows it: 128 and the signal's number, when a signal ended it. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
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

/** Starts the built command. */
export const start = (
  args: ReadonlyArray<string>,
  options: StartOptions = {}
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync((): Running => {
      const { stdin, ...rest } = options
      const stdio: [StdioPipe | number, "pipe", "pipe"] = [stdin ?? "pipe", "pipe", "pipe"]
      const env = { ...process.env, NO_COLOR: "1" }
      const child = spawn(process.execPath, [bin, ...args], { ...rest, stdio, env }) as ChildProcessWithoutNullStreams
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
          resolve({ code, signal, bytes, stdout: bytes.toString(), stderr: said })
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

/** Runs the built command to its end, with `input` on its standard input. */
export const effectWal = (
  args: ReadonlyArray<string>,
  input: string | Uint8Array = "",
  options: StartOptions = {}
): Effect.Effect<Ended> =>
  Effect.scoped(Effect.flatMap(
    start(args, options),
    (running) => options.stdin === undefined ? running.end(input) : running.ended
  ))

/** Runs a command that reads no input in this process. */
export const here = (...args: ReadonlyArray<string>): Effect.Effect<Ended> => inProcess(args, true)

/** As `here`, when nobody reads standard output any more. */
export const hereUnread = (...args: ReadonlyArray<string>): Effect.Effect<Ended> => inProcess(args, false)

const inProcess = (args: ReadonlyArray<string>, isRead: boolean): Effect.Effect<Ended> =>
  Effect.gen(function*() {
    const stdout: Array<Buffer> = []
    let stderr = ""
    const output = Output.of({
      write: (data) => isRead ? Effect.sync(() => void stdout.push(Buffer.from(data))) : Effect.fail(new BrokenPipe()),
      say: (line) => void (stderr += `effect-wal: ${line}\n`)
    })
    const console: Console.Console = {
      ...globalThis.console,
      log: (...texts) => void stdout.push(Buffer.from(`${texts.join(" ")}\n`))
    }
    const exit = yield* program.run(args).pipe(
      Effect.provideService(Output, output),
      Effect.provideService(Console.Console, console),
      Effect.exit
    )
    const bytes = Buffer.concat(stdout)
    const code = Exit.isSuccess(exit) ? 0 : exitCodeOf(exit.cause)
    return { code, signal: null, bytes, stdout: bytes.toString(), stderr }
  })

/** Names in a directory of this test's own, which goes with the scope. */
export const place: Effect.Effect<(name: string) => string, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-wal-cli-"))),
    (root) => Effect.sync(() => rmSync(root, { recursive: true, force: true }))
  ),
  (root) => (name) => join(root, name)
)
