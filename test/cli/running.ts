/**
 * The command line as a child process, for tests that watch a recorder from outside.
 */
import * as Effect from "effect/Effect"
import { execFile, spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { bin } from "./commandLine.ts"

/** A directory to record into, two levels deep; it goes with the scope. */
export const logDirectory = Effect.acquireRelease(
  Effect.sync(() => join(mkdtempSync(join(tmpdir(), "effect-wal-")), "log")),
  (path) => Effect.sync(() => rmSync(join(path, ".."), { recursive: true, force: true }))
)

/** What a command that ended by itself said. */
export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command to its end. */
export const run = (...args: ReadonlyArray<string>): Effect.Effect<Ended> =>
  Effect.callback((resume) => {
    const child = execFile(process.execPath, [bin, ...args], { encoding: "utf8" }, (error, stdout, stderr) => {
      resume(Effect.succeed({ code: error === null ? 0 : Number(error.code), stdout, stderr }))
    })
    child.stdin?.end()
  })

/** A recorder that waits for more input. */
export interface RunningRecorder {
  readonly child: ChildProcess
  readonly write: (text: string) => void
  /** Standard error so far. */
  readonly said: () => string
  /** Ends the input and waits for the exit; the exit code. */
  readonly end: Effect.Effect<number | null>
  /** Kills the process without a warning, and waits. */
  readonly crash: Effect.Effect<void>
  /** Done when `durable ID` was printed for an id of at least this. */
  readonly durable: (eventId: number) => Effect.Effect<void>
  /** Done when standard error matches. */
  readonly says: (pattern: RegExp) => Effect.Effect<RegExpExecArray>
}

/** Starts `record` on a directory; it is ended with the scope at the latest. */
export const startRecorder = (directory: string, ...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync((): RunningRecorder => {
      const child = spawn(process.execPath, [bin, "record", "--dir", directory, "--acks", ...args])
      let stdout = ""
      let stderr = ""
      child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text))
      child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text))
      const exit = once(child, "exit")
      const exited = Effect.promise(() => exit)
      const when = <A>(
        stream: NodeJS.ReadableStream,
        look: () => A | undefined
      ): Effect.Effect<A> =>
        Effect.callback((resume) => {
          const check = () => {
            const found = look()
            if (found !== undefined) resume(Effect.succeed(found))
          }
          const onExit = () => resume(Effect.die(new Error(`the recorder ended: ${stderr}`)))
          stream.on("data", check)
          child.once("exit", onExit)
          check()
          return Effect.sync(() => {
            stream.off("data", check)
            child.off("exit", onExit)
          })
        })
      return {
        child,
        write: (text) => child.stdin.write(text),
        said: () => stderr,
        end: Effect.suspend(() => {
          child.stdin.end()
          return Effect.map(exited, () => child.exitCode)
        }),
        crash: Effect.suspend(() => {
          child.kill("SIGKILL")
          return Effect.asVoid(exited)
        }),
        durable: (eventId) =>
          Effect.asVoid(when(child.stdout, () => {
            const ids = [...stdout.matchAll(/^durable (\d+)$/gm)].map((match) => Number(match[1]))
            return ids.some((id) => id >= eventId) ? true : undefined
          })),
        says: (pattern) => when(child.stderr, () => pattern.exec(stderr) ?? undefined)
      }
    }),
    ({ crash }) => crash
  )
