/**
 * Kills a program that records with an archive, again and again, while the store is away in half of its lives, and holds
 * archive and directory together to what it had called durable: not an event is missing from the first on.
 *
 * ```text
 * node test/faults/killArchive.ts --kills 200 --layer fiber|worker [--segments N] [--seed S]
 * ```
 *
 * After every kill the last thousands of events are read from archive and directory as one, and each event that the
 * directory alone no longer has must be in the archive. In the end the log is opened once more and closed in order. Then its
 * directory goes, and every event is read from the store alone. With `--segments` the log begins with so many archived
 * segments.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import * as ArchiveDisk from "../../src/archive/ArchiveDisk.ts"
import * as ArchiveVerify from "../../src/archive/ArchiveVerify.ts"
import * as ManifestStore from "../../src/archive/ManifestStore.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Replay from "../../src/reading/Replay.ts"
import * as DirectoryStore from "../../src/store/DirectoryStore.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import { startVictim, withDirectory } from "./harness.ts"
import type { VictimOptions } from "./victim.ts"
import { archivedLog, isEventOf } from "./workload.ts"

/** What many kills came to. */
export interface ArchiveKillReport {
  readonly kills: number
  /** Lives in which the store was away. */
  readonly away: number
  readonly lastId: number
  readonly archivedSegments: number
  readonly millis: number
}

const segmentBytesMax = 16 * 1024
const limits = { maxSegments: 4, maxCompressedSegments: 4 }

/** How many of the newest events are read after a kill. */
const readBack = 5000

/** Reads events, each held to its id; gives the last one. Throws when one is missing, or another than it was. */
const read = (seed: number, directory: string, from: number) =>
  Effect.gen(function*() {
    let next = from
    yield* Replay.events({ directory, from: { id: from } }).pipe(Stream.runForEach(({ bytes, id }) =>
      Effect.sync(() => {
        if (id !== next) throw new Error(`event ${id} where ${next} should be`)
        if (!isEventOf(seed, id, bytes)) throw new Error(`event ${id} is not what was recorded`)
        next = id + 1
      })
    ))
    return next - 1
  })

/** Kills so often; throws with the first promise that is broken. */
export const killArchive = (options: {
  readonly kills: number
  readonly layer: "fiber" | "worker"
  readonly seed: number
  /** Segments that are archived before the first kill. */
  readonly segments?: number
  readonly onKill?: (done: number, lastId: number) => void
}): Promise<ArchiveKillReport> => {
  const { kills, layer, seed } = options
  const random = new SeededRandom(seed)
  const begun = Date.now()
  let away = 0
  return withDirectory(`kill-archive-${layer}-${seed}`, async (directory) => {
    const store = join(directory, "../store")
    const elsewhere = join(directory, "../elsewhere")
    mkdirSync(store)
    const stored = Layer.provideMerge(DirectoryStore.layer({ directory: store }), NodeDisk.layer)
    const victim = (given: Partial<VictimOptions> = {}): VictimOptions => ({
      directory,
      layer,
      seed,
      behaviourSeed: random.uint32(),
      segmentBytesMax,
      ...limits,
      archive: store,
      ...given
    })
    const run = async (options: VictimOptions) => {
      const testimony = await startVictim(options, { hangMillis: 3_600_000 }).ended
      if (testimony.exitCode !== 0) throw new Error(`it ended with ${testimony.exitCode}\n${testimony.stderr}`)
      return testimony
    }
    const manifest = Effect.flatMap(ManifestStore.make(archivedLog), ({ read }) => read)
    let promised = 0
    // Some 40 events of this workload fill a segment.
    if (options.segments !== undefined) {
      promised = (await run(victim({ eventsMax: options.segments * 40, eventsPerCommit: 2000 }))).durable
    }
    for (let done = 1; done <= kills; done++) {
      const isAway = random.chance(0.5)
      if (isAway) renameSync(store, elsewhere)
      const running = startVictim(victim())
      const millis = random.below(600)
      if (random.chance(0.8)) {
        while (running.testimony.opened === undefined && running.child.exitCode === null) await delay(2)
      }
      await delay(millis)
      running.kill()
      const testimony = await running.ended
      if (isAway) renameSync(elsewhere, store)
      away += Number(isAway)
      const story = `kill ${done}${isAway ? ", the store away" : ""}`
      if (testimony.exitCode !== null && testimony.exitCode !== 137) {
        throw new Error(`${story}: it ended by itself with ${testimony.exitCode}\n${testimony.stderr}`)
      }
      promised = Math.max(promised, testimony.durable)
      const reading = Effect.gen(function*() {
        const from = Math.max(1, promised - readBack)
        const lastId = yield* read(seed, directory, from)
        if (lastId < promised) throw new Error(`event ${promised} was durable, and the last one is ${lastId}`)
        return lastId
      }).pipe(Effect.provide(ArchiveDisk.layer({ log: archivedLog, directory })), Effect.provide(stored))
      const lastId = await Effect.runPromise(reading).catch((cause: unknown) => {
        throw new Error(`${story}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
      })
      options.onKill?.(done, lastId)
    }
    // It ends in order when it has recorded one event more; then everything is archived.
    const last = await run(victim({ eventsMax: promised + 1_000 }))
    rmSync(directory, { recursive: true })
    const result = await Effect.gen(function*() {
      const shown = ArchiveDisk.shownDirectory(archivedLog)
      const lastId = yield* Effect.provide(read(seed, shown, 1), ArchiveDisk.layer({ log: archivedLog }))
      if (lastId < last.durable) {
        throw new Error(`event ${last.durable} was durable, and the archive ends with ${lastId}`)
      }
      const faults = yield* Stream.runCollect(ArchiveVerify.verify({ log: archivedLog, sample: 100 }))
      if (faults.length > 0) throw new Error(JSON.stringify(faults))
      const archivedSegments = (yield* manifest)?.manifest.nextIndex ?? 0
      return { lastId, archivedSegments }
    }).pipe(Effect.provide(stored), Effect.runPromise)
    if (existsSync(directory)) throw new Error("reading the archive has made the directory again")
    mkdirSync(directory)
    return { kills, away, ...result, millis: Date.now() - begun }
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "200" },
      layer: { type: "string", default: "worker" },
      segments: { type: "string" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) }
    }
  })
  const layer = values.layer === "worker" ? "worker" : "fiber"
  process.stdout.write(`seed ${values.seed}, ${layer} layer\n`)
  const report = await killArchive({
    kills: Number(values.kills),
    layer,
    seed: Number(values.seed),
    ...(values.segments === undefined ? {} : { segments: Number(values.segments) }),
    onKill: (done, lastId) => {
      if (done % 20 === 0) process.stdout.write(`${done} kills, ${lastId} events\n`)
    }
  })
  process.stdout.write(`${JSON.stringify(report)}\n`)
}
