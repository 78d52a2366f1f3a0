/** Two runners in processes of their own, and `kill -9` for the one that has the logs. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { quiet } from "../maintainer/maintaining.ts"
import { temporaryDirectory } from "../recorder/fixtures.ts"
import { isLong } from "../samples.ts"
import { connect, freePort } from "./runners.ts"

const keys = ["ada", "grace", "alan", "edsger"]

const startProcess = Effect.fnUntraced(function*(root: string, name: string) {
  const options = {
    database: join(root, "cluster.sqlite"),
    directory: join(root, name),
    port: yield* freePort,
    store: join(root, "store")
  }
  return yield* Effect.acquireRelease(
    Effect.callback<ChildProcess>((resume) => {
      const child = spawn(process.execPath, [join(import.meta.dirname, "runnerVictim.ts"), JSON.stringify(options)], {
        stdio: ["ignore", "pipe", "inherit"]
      })
      child.stdout.once("data", () => resume(Effect.succeed(child)))
      child.once("exit", (code) => resume(Effect.die(new Error(`the runner has ended with ${code}`))))
    }),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
})

describe("logs of a cluster whose runner is killed", () => {
  // Half a minute of waiting: for leases of the database that run out, and for processes that start.
  it.live.runIf(isLong)(
    "are recorded on by the other one: nothing acknowledged is missing, no event is there twice",
    () =>
      Effect.gen(function*() {
        const root = yield* temporaryDirectory
        mkdirSync(join(root, "store"))
        const first = yield* startProcess(root, "one")
        const client = yield* connect(join(root, "cluster.sqlite"))
        const logs = keys.map((key) => client(key))
        const answered = keys.map((): Array<string> => [])
        const seen = keys.map((): Array<string> => [])
        let gapMillis = 0
        let unanswered = 0
        const writing = yield* Effect.forEach(logs, (log, index) => {
          let next = 0
          let before = performance.now()
          const write = Effect.gen(function*() {
            const event = `event ${++next}`
            const id = yield* Effect.catchTag(log.appendDurable(event), "Unanswered", ({ eventId }) => {
              unanswered++
              return Effect.succeed(eventId)
            })
            answered[index]!.push(`${id} ${event}`)
            const now = performance.now()
            if (next > 1) gapMillis = Math.max(gapMillis, now - before)
            before = now
          })
          return Effect.forkScoped(Effect.forever(write))
        })
        yield* Effect.forEach(logs, (log, index) =>
          Effect.forkScoped(Stream.runForEach(
            log.events({ follow: true }),
            ({ event, id }) => Effect.sync(() => void seen[index]!.push(`${id} ${event}`))
          )))
        const more = (count: number) =>
          Effect.suspend(() => {
            const wanted = answered.map(({ length }) => length + count)
            return Effect.sleep("20 millis").pipe(
              Effect.repeat({ until: () => answered.every(({ length }, index) => length >= wanted[index]!) })
            )
          })
        yield* more(20)
        const second = yield* startProcess(root, "two")
        yield* more(40)
        const beforeKill = gapMillis
        gapMillis = 0
        // Whoever has more of them; the manifests tell.
        const owners = keys.map((key) =>
          Number(/process (\d+)/.exec(readFileSync(join(root, "store", key, "manifest"), "utf8"))?.[1])
        )
        const countOf = ({ pid }: ChildProcess) => owners.filter((owner) => owner === pid).length
        const killed = countOf(first) >= countOf(second) ? first : second
        assert.isAtLeast(countOf(killed), keys.length / 2)
        killed.kill("SIGKILL")
        yield* more(20)
        yield* Effect.forEach(writing, Fiber.interrupt)
        yield* Effect.sync(() =>
          process.stdout.write(
            `the longest gap between two answers of a log: ${Math.round(beforeKill)} ms before the kill, ` +
              `${Math.round(gapMillis)} ms over the kill of the owner of ${countOf(killed)}; ${unanswered} unanswered\n`
          )
        )
        for (const [index, log] of logs.entries()) {
          const recorded = (yield* Stream.runCollect(log.events())).map(({ event, id }) => `${id} ${event}`)
          const wanted = answered[index]!
          // One may be on its way when the writer is stopped.
          assert.deepStrictEqual(recorded.slice(0, wanted.length), wanted)
          assert.isAtMost(recorded.length, wanted.length + 1)
          yield* Effect.sleep("20 millis").pipe(Effect.repeat({ until: () => seen[index]!.length >= recorded.length }))
          // What was on its way may have come after that.
          assert.deepStrictEqual(seen[index]!.slice(0, recorded.length), recorded)
        }
      }).pipe(quiet)
  )
})
