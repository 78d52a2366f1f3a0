/** The threads that the logs of a process share. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import type { WorkerOptions } from "../../src/maintainer/SegmentMaintainerWorker.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import { program } from "../programs.ts"
import { inTime, NodeDisk, open, quiet, recorded, temporaryDirectory } from "./maintaining.ts"

const openLog = Effect.fnUntraced(
  function*(directory: string, more: WorkerOptions & { readonly restartsMax?: number } = {}) {
    const { close, context } = yield* open(
      Wal.layerWorker({
        segmentBytesMax: 1024,
        limits: { maxSegments: 3, maxCompressedSegments: 512 },
        threadModule: pathToFileURL(program("maintainerThread")),
        directory,
        ...more
      })
    )
    return {
      directory,
      close,
      recorder: Context.get(context, Recorder),
      maintainer: Context.get(context, SegmentMaintainer)
    }
  }
)

type OpenLog = Effect.Success<ReturnType<typeof openLog>>

const textsOf = (directory: string, count: number): Array<string> =>
  Array.from({ length: count }, (_, at) => `${directory} ${at}`)

/** More than ten segments. */
const events = 300

const record = ({ directory, recorder }: OpenLog) =>
  Effect.andThen(
    Effect.forEach(textsOf(directory, events), (text) => recorder.append(Buffer.from(text)), { discard: true }),
    recorder.commit
  )

const restartsOf = ({ maintainer }: OpenLog) => Effect.map(maintainer.status, ({ restarts }) => restarts)

/** How many maintainer threads there are, by the name that the kernel has of them. */
const threads = (): number =>
  readdirSync("/proc/self/task").filter((thread) => {
    try {
      return readFileSync(`/proc/self/task/${thread}/comm`, "latin1").trim() === "wal-maintainer"
    } catch {
      return false
    }
  }).length

describe("the maintainer threads of a process", () => {
  it.live("are few, however many logs there are; one with more workers has them in as many; they end with the logs", () =>
    Effect.gen(function*() {
      const root = yield* temporaryDirectory
      const before = threads()
      const logs: Array<OpenLog> = []
      const counts: Array<number> = []
      for (const log of ["a", "b", "c", "d", "e"]) {
        const opened = yield* openLog(join(root, log))
        logs.push(opened)
        // Its thread has begun.
        yield* record(opened)
        counts.push(threads() - before)
      }
      assert.deepStrictEqual(counts, [1, 2, 3, 3, 3])
      const wide = yield* openLog(join(root, "wide"), { workers: 5 })
      logs.push(wide)
      yield* record(wide)
      const five = Effect.repeat(Effect.delay(Effect.sync(() => threads() - before), 5), {
        until: (count) => count >= 5
      })
      assert.strictEqual(yield* inTime("five threads", five), 5)
      yield* wide.close
      assert.strictEqual(threads() - before, 3)
      for (const { close } of logs) yield* close
      assert.strictEqual(threads(), before)
      for (const { directory } of logs) assert.deepStrictEqual(yield* recorded(directory), textsOf(directory, events))
    }).pipe(Effect.scoped, quiet, Effect.provide(NodeDisk.layer)))

  it.live("an executor that dies of a defect takes down no other executor of its thread", () =>
    Effect.gen(function*() {
      const root = yield* temporaryDirectory
      const before = threads()
      // It has an executor in each thread, so the others are in one with the dying one.
      const wide = yield* openLog(join(root, "wide"), { workers: 3 })
      const dying = yield* openLog(join(root, "dying"), {
        proofModule: new URL("./deadlyProof.ts", import.meta.url),
        restartsMax: 2
      })
      const beside = yield* openLog(join(root, "beside"), { workers: 3 })
      yield* Effect.forkChild(Effect.ignore(record(dying)))
      const error = yield* inTime("the end of the one that dies", Effect.flip(dying.maintainer.down))
      assert.include(error.message, "a bug in the proof")
      assert.strictEqual(yield* restartsOf(dying), 2)
      for (const log of [wide, beside]) {
        yield* record(log)
        assert.strictEqual(yield* restartsOf(log), 0)
      }
      for (const log of [wide, beside, dying]) yield* log.close
      for (const { directory } of [wide, beside]) {
        assert.deepStrictEqual(yield* recorded(directory), textsOf(directory, events))
      }
      assert.strictEqual(threads(), before)
    }).pipe(Effect.scoped, quiet, Effect.provide(NodeDisk.layer)))

  it.live("a thread that dies takes down only what runs in it, and each of its executors is replaced", () =>
    Effect.gen(function*() {
      const root = yield* temporaryDirectory
      const threadModule = pathToFileURL(program("mortalThread"))
      const openMortal = (log: string, deaths: number, workers = 1) => {
        const directory = join(root, log)
        mkdirSync(directory)
        for (let life = 1; life <= 2 - deaths; life++) writeFileSync(join(directory, `life-${life}`), "")
        return openLog(directory, { threadModule, workers, restartsMax: 100 })
      }
      const elsewhere = [yield* openMortal("a", 0), yield* openMortal("b", 0)]
      // The third of its executors is in a thread without another log, which the one that dies then joins.
      const wide = yield* openMortal("wide", 0, 3)
      const mortal = yield* openMortal("mortal", 2)
      const logs = [...elsewhere, wide, mortal]
      yield* Effect.forEach(logs, record, { concurrency: "unbounded" })
      const restarted = Effect.repeat(Effect.delay(restartsOf(mortal), 5), { until: (restarts) => restarts >= 2 })
      yield* inTime("two restarts", restarted)
      const replaced = Effect.repeat(Effect.delay(restartsOf(wide), 5), { until: (restarts) => restarts >= 2 })
      yield* inTime("two restarts beside it", replaced)
      for (const log of elsewhere) assert.strictEqual(yield* restartsOf(log), 0)
      for (const log of logs) yield* log.close
      for (const { directory } of logs) assert.deepStrictEqual(yield* recorded(directory), textsOf(directory, events))
    }).pipe(Effect.scoped, quiet, Effect.provide(NodeDisk.layer)))
})
