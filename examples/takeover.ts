/**
 * A log that outlives its machine: two recorders as processes of their own, with a directory each and a store between them.
 * One records, the other stands by. The owner is killed with `kill -9`, the other goes on, and every event that was
 * acknowledged is compared with what a reader gets.
 *
 *     node examples/takeover.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { Archive, ArchiveDisk, DirectoryStore } from "../src/archive/index.ts"
import { Failover, Standby } from "../src/failover/index.ts"
import { NodeDisk, Replay, Wal } from "../src/index.ts"

const log = "orders"

class Orders extends Wal.Service<Orders>()("example/Orders") {}

/** One process: it stands by until the log shows no owner, and then records until it is killed. */
const record = (name: string, directory: string, storeDirectory: string) => {
  const store = DirectoryStore.layer({ directory: storeDirectory })
  const orders = Archive.layer({ log }).pipe(
    Layer.provide(Orders.parts),
    Layer.provideMerge(Orders.layer({ directory, onArchiveBehind: "keep", acknowledge: "replicated" })),
    Layer.provide(Failover.layer({ log, directory, owner: name, renewEvery: "200 millis" }))
  )
  const standingBy = Standby.layer({ log, after: "1 second", lookEvery: "100 millis" }, orders).pipe(
    Layer.provide(store),
    Layer.provide(NodeDisk.layer)
  )
  const program = Effect.gen(function*() {
    const { appendDurable } = yield* Orders
    yield* Console.log("recording")
    for (let count = 1;; count++) {
      const event = `${name}-${count}`
      const id = yield* appendDurable(Buffer.from(event))
      yield* Console.log(`${id} ${event}`)
    }
  })
  return Effect.provide(program, standingBy)
}

/** What is recorded, as any machine reads it. */
const readAll = (directory: string, storeDirectory: string) =>
  Stream.runCollect(Replay.events({ directory })).pipe(
    Effect.map((events) => new Map(events.map(({ bytes, id }) => [id, Buffer.from(bytes).toString()] as const))),
    Effect.provide(ArchiveDisk.layer({ log, directory })),
    Effect.provide(DirectoryStore.layer({ directory: storeDirectory })),
    Effect.provide(NodeDisk.layer)
  )

const watch = (name: string, directory: string, storeDirectory: string) => {
  const child = spawn(process.execPath, [import.meta.filename, name, directory, storeDirectory], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  const acknowledged: Array<{ readonly id: number; readonly event: string; readonly atMillis: number }> = []
  createInterface({ input: child.stdout }).on("line", (line) => {
    const [, id, event = ""] = /^(\d+) (\S+)$/.exec(line) ?? []
    if (id !== undefined) acknowledged.push({ id: Number(id), event, atMillis: performance.now() })
  })
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  return { child, acknowledged, ended }
}

const until = (what: string, isSo: () => boolean) =>
  Effect.repeat(Effect.sleep("20 millis"), { until: () => Effect.sync(isSo) }).pipe(
    Effect.timeoutOrElse({
      duration: "2 minutes",
      orElse: () => Effect.die(new Error(`${what} did not happen within 2 minutes`))
    })
  )

const main = Effect.gen(function*() {
  const root = mkdtempSync(join(tmpdir(), "effect-wal-takeover-"))
  yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(root, { recursive: true, force: true })))
  const storeDirectory = join(root, "store")
  mkdirSync(storeDirectory)
  const directories = { one: join(root, "one"), two: join(root, "two") }

  const one = watch("one", directories.one, storeDirectory)
  yield* until("recording", () => one.acknowledged.length >= 100)
  const two = watch("two", directories.two, storeDirectory)
  yield* Effect.sleep("2 seconds")

  one.child.kill("SIGKILL")
  yield* Effect.promise(() => one.ended)
  yield* until("a takeover", () => two.acknowledged.length >= 100)
  two.child.kill("SIGKILL")
  yield* Effect.promise(() => two.ended)

  const gap = two.acknowledged[0]!.atMillis - one.acknowledged.at(-1)!.atMillis
  yield* Console.log(`${one.acknowledged.length} commits before the kill, the next after ${Math.round(gap)} ms`)

  // The second one's disk has what the store has, and perhaps an event that was never acknowledged.
  const events = yield* readAll(directories.two, storeDirectory)
  const all = [...one.acknowledged, ...two.acknowledged]
  const wrong = all.filter(({ event, id }) => events.get(id) !== event)
  yield* Console.log(`${all.length} events were acknowledged, ${wrong.length} of them are not in the log as they were`)
  if (wrong.length > 0) return yield* Effect.die(new Error(`lost: ${wrong.map(({ event }) => event).join(" ")}`))
})

const [name, directory, storeDirectory] = process.argv.slice(2)
if (name === undefined || directory === undefined || storeDirectory === undefined) {
  NodeRuntime.runMain(Effect.scoped(main))
} else NodeRuntime.runMain(record(name, directory, storeDirectory))
