/**
 * A recorder with an archive on a simulated disk, and what the store truly has: looked at from outside, whatever the
 * archive tells.
 */
import { assert } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Archive from "../../src/archive/Archive.ts"
import type { ArchiveEvent, ArchiveOptions } from "../../src/archive/Archive.ts"
import { decodeManifest, manifestKey, segmentFileName, segmentKey } from "../../src/archive/Manifest.ts"
import type { Manifest, Row, SegmentRow } from "../../src/archive/Manifest.ts"
import * as ManifestStore from "../../src/archive/ManifestStore.ts"
import { Disk } from "../../src/disk/Disk.ts"
import * as HoleStore from "../../src/disk/HoleStore.ts"
import { xxh64 } from "../../src/internal/xxh64.ts"
import { blocking, Compressor } from "../../src/maintainer/Compressor.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import type { WalOptions } from "../../src/recorder/WalParts.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { open, put, recorded, segmentBytesMax, whileClockTurns } from "../maintainer/maintaining.ts"
import type { Kind } from "../maintainer/maintaining.ts"
import { etagOf } from "./memoryStore.ts"
import type { MemoryStore } from "./memoryStore.ts"

export const directory = "/wal"
export const log = "orders"

/** A machine: its disk, and the store that it sees. */
export interface Machine {
  readonly kind: Kind
  readonly memory: MemoryStore
  readonly simulated: SimulatedDisk.SimulatedDisk["Service"]
  /** Local files that went before a manifest named their copies. */
  readonly lost: Array<string>
}

/** What the manifest in the store says; `undefined` when there is none. */
export const manifestIn = ({ objects }: MemoryStore): Manifest | undefined => {
  const bytes = objects.get(manifestKey(log))
  return bytes === undefined ? undefined : Effect.runSync(decodeManifest(manifestKey(log), bytes))
}

/** Whether the manifest in the store names a segment whose object is there, with the bytes that were proved. */
const isSafe = (memory: MemoryStore, segmentIndex: number): boolean => {
  const stored = memory.objects.get(manifestKey(log))
  if (stored === undefined) return false
  const manifest = Option.getOrUndefined(Effect.runSync(Effect.option(decodeManifest(manifestKey(log), stored))))
  // What has expired was there.
  if (manifest !== undefined && segmentIndex < manifest.firstIndex) return true
  const row = manifest?.rows.find(({ index }) => index === segmentIndex)
  // A page that is named was written with what is in it.
  if (row === undefined) return manifest !== undefined && segmentIndex < manifest.nextIndex - manifest.rows.length
  if (manifest === undefined || row.form === "none") return false
  const bytes = memory.objects.get(segmentKey(log, manifest.naming, row))
  return bytes !== undefined && etagOf(bytes) === row.etag &&
    xxh64(bytes).toString(16).padStart(16, "0") === row.storedXxh64
}

/** A machine on which the going of every cold file is watched. */
export const makeMachine = Effect.fnUntraced(function*(kind: Kind, memory: MemoryStore, seed = 1) {
  const simulated = yield* SimulatedDisk.make({ seed, logLength: 1000 })
  const machine: Machine = { kind, memory, simulated, lost: [] }
  return machine
})

const watchedDisk = ({ lost, memory, simulated }: Machine): Disk["Service"] =>
  simulated.viewedBy({
    begin: (operation, path) => {
      const [, index] = /FS\.(\d+)\.wal\.lz4b?$/.exec(path) ?? []
      // A cold file loses its name before it goes.
      if (operation === "rename" && index !== undefined && !isSafe(memory, Number(index))) {
        lost.push(`${operation} ${path}`)
      }
    },
    end: () => undefined
  })

/** A process on the machine. */
export interface Process {
  readonly recorder: Recorder["Service"]
  readonly maintainer: SegmentMaintainer["Service"]
  readonly archive: Archive.Archive["Service"]
  readonly events: Array<ArchiveEvent>
  readonly close: Effect.Effect<void>
}

/** What a process is started with. */
export interface Start {
  readonly wal?: Partial<WalOptions>
  readonly archive?: Partial<ArchiveOptions>
}

/** Starts a recorder with an archive. Closing it closes the archive first. */
export const start = Effect.fnUntraced(function*(machine: Machine, { archive = {}, wal = {} }: Start = {}) {
  const foundation = Layer.mergeAll(
    Layer.succeed(Disk, watchedDisk(machine)),
    Layer.succeed(Compressor, blocking),
    machine.memory.layer
  )
  const recorder = Wal.layer({
    directory,
    format: machine.kind.format,
    segmentBytesMax,
    limits: { maxSegments: 4, maxCompressedSegments: 4, bytesMax: 2000 },
    onArchiveBehind: "keep",
    ...wal
  })
  const both = Archive.layer({ log, owner: "here", settleMax: "5 seconds", ...archive }).pipe(
    Layer.provideMerge(recorder),
    Layer.provide(foundation)
  )
  const { close, context } = yield* whileClockTurns(open(both))
  const events: Array<ArchiveEvent> = []
  const service = Context.get(context, Archive.Archive)
  yield* Effect.forkScoped(Stream.runForEach(service.events, (event) => Effect.sync(() => void events.push(event))))
  yield* Effect.yieldNow
  const process: Process = {
    recorder: Context.get(context, Recorder),
    maintainer: Context.get(context, SegmentMaintainer),
    archive: service,
    events,
    close: whileClockTurns(close)
  }
  return process
})

/** Records so many segments of a few events each. */
export const record = ({ kind }: Machine, { recorder }: Process, segments: number) =>
  whileClockTurns(Effect.gen(function*() {
    for (let count = 0; count < segments; count++) {
      for (let events = 0; events < 3; events++) {
        const id = recorder.writer.lastEventId + 1
        assert.strictEqual(yield* recorder.append(kind.event(id)), id)
      }
      yield* recorder.commit
      yield* recorder.rotate
    }
  }))

/** Archives everything, and works off what follows. */
export const settled = ({ archive, maintainer }: Process) =>
  whileClockTurns(Effect.gen(function*() {
    yield* archive.settle
    yield* maintainer.drain
  }))

/** The rows of the archive, as another machine reads them. */
export const rowsIn = (memory: MemoryStore): Effect.Effect<ReadonlyArray<Row>> =>
  Effect.gen(function*() {
    const store = yield* ManifestStore.make(log)
    const found = yield* store.read
    return found === undefined ? [] : yield* Stream.runCollect(store.rows(found.manifest, 0))
  }).pipe(Effect.provide(memory.layer), Effect.orDie)

/** The events in the archive, checked as a reader checks them, the chain followed from segment to segment. */
export const archivedEvents = ({ kind, memory }: Machine): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function*() {
    const rows = yield* rowsIn(memory)
    const elsewhere = yield* SimulatedDisk.make({ seed: 1 })
    const manifest = manifestIn(memory)!
    return yield* Effect.gen(function*() {
      yield* Disk.use((disk) => disk.makeDirectory(directory))
      const holes = rows.flatMap(({ hole }) => hole === null ? [] : [hole])
      if (holes.length > 0) yield* HoleStore.write(directory, HoleStore.merge([], holes))
      const segments = rows.filter((row): row is SegmentRow => row.form !== "none")
      for (const row of segments) {
        const bytes = memory.objects.get(segmentKey(log, manifest.naming, row))
        assert.isDefined(bytes, `the object of segment ${row.index}`)
        yield* put(`${directory}/${segmentFileName(manifest.naming, row)}`, bytes)
      }
      return yield* recorded(directory, kind)
    }).pipe(Effect.provideService(Disk, elsewhere.disk))
  }).pipe(Effect.orDie)

/** The events on the disk of the machine. */
export const localEvents = ({ kind, simulated }: Machine): Effect.Effect<ReadonlyArray<string>> =>
  recorded(directory, kind).pipe(Effect.provideService(Disk, simulated.disk), Effect.orDie)
