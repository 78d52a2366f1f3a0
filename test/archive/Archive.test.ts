/** What an archive promises of a log that is being recorded, in both formats, on a simulated disk. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { encodeManifest, manifestKey, segmentKey } from "../../src/archive/Manifest.ts"
import type { SegmentRow } from "../../src/archive/Manifest.ts"
import * as ManifestStore from "../../src/archive/ManifestStore.ts"
import { Disk, openScoped, writeFully } from "../../src/disk/Disk.ts"
import { ObjectStore } from "../../src/store/ObjectStore.ts"
import { probePrefix } from "../../src/store/Probe.ts"
import {
  bytesOf,
  coldPath,
  format2,
  hotPath,
  kinds,
  look,
  named,
  quiet,
  settle,
  whileClockTurns
} from "../maintainer/maintaining.ts"
import {
  archivedEvents,
  directory,
  localEvents,
  log,
  makeMachine,
  manifestIn,
  record,
  rowsIn,
  settled,
  start
} from "./archiving.ts"
import type { Machine, Process } from "./archiving.ts"
import { makeMemoryStore } from "./memoryStore.ts"
import type { MemoryStore } from "./memoryStore.ts"

const range = (from: number, to: number): ReadonlyArray<number> =>
  Array.from({ length: to - from }, (_, position) => from + position)

/** What stands in the log's directory. */
const onDisk = ({ simulated }: Machine) => look(directory).pipe(Effect.provideService(Disk, simulated.disk))

/** Turns the clock for so long, and lets everything happen that is due. */
const pass = (millis: number) => Effect.andThen(TestClock.adjust(millis), settle)

/** So much time has passed for the archives of the log, while none of them runs. */
const live = (memory: MemoryStore, hours: number) =>
  Effect.gen(function*() {
    const store = yield* ManifestStore.make(log)
    const found = (yield* store.read)!
    const { livedSeconds } = found.manifest
    yield* store.write({ ...found.manifest, livedSeconds: livedSeconds + hours * 3600 }, found)
  }).pipe(Effect.provide(memory.layer))

/** Flips a bit in a segment's file. */
const damage = ({ simulated }: Machine, path: string) =>
  Effect.gen(function*() {
    const bytes = yield* bytesOf(path)
    bytes[bytes.findLastIndex((byte) => byte !== 0)]! ^= 1
    yield* Effect.scoped(Effect.flatMap(openScoped(path, "write"), (file) => writeFully(file, [bytes], 0)))
  }).pipe(Effect.provideService(Disk, simulated.disk))

describe.each(kinds)("an archive ($name)", (kind) => {
  it.effect("gets every closed segment in order, and the local file goes only then", () => {
    const memory = makeMemoryStore()
    return Effect.gen(function*() {
      const machine = yield* makeMachine(kind, memory)
      const process = yield* start(machine)
      yield* record(machine, process, 20)
      yield* settled(process)
      assert.deepStrictEqual(machine.lost, [])
      assert.deepStrictEqual((yield* rowsIn(memory)).map(({ index }) => index), range(0, 20))
      assert.deepStrictEqual(yield* archivedEvents(machine), named(1, 60, kind))
      const { cold, hot } = yield* onDisk(machine)
      assert.isAbove(Math.min(...cold, ...hot), 5)
      const status = yield* process.archive.status
      assert.deepInclude(status, { state: "following", epoch: 1, archivedBefore: 20, problem: undefined })
      assert.deepStrictEqual(status.lag, { segments: 0, bytes: 0, millis: 0 })
      assert.deepStrictEqual(yield* Stream.runCollect(process.archive.verify({ sample: 20 })), [])
      yield* process.close
      // The next process goes on where this one ended, and sends nothing twice.
      const puts = () =>
        memory.requests.filter(({ key, operation }) => operation === "put" && !key.startsWith(probePrefix))
          .map(({ key }) => key)
      memory.requests.length = 0
      const next = yield* start(machine)
      yield* settled(next)
      assert.deepStrictEqual(puts(), [manifestKey(log)])
      yield* record(machine, next, 3)
      yield* settled(next)
      assert.strictEqual(manifestIn(memory)?.epoch, 2)
      // No segment of the first process was continued by the second.
      const segments = puts().filter((key) => key.includes("/segments/"))
      assert.strictEqual(new Set(segments).size, 3)
      assert.strictEqual(segments.length, 3)
      assert.deepStrictEqual(yield* archivedEvents(machine), named(1, 69, kind))
      yield* next.close
      assert.deepStrictEqual(machine.lost, [])
    }).pipe(Effect.scoped, quiet)
  })

  it.effect("has every event at its end, also of a segment that was being filled, and a start begins another one", () => {
    const memory = makeMemoryStore()
    return Effect.gen(function*() {
      const machine = yield* makeMachine(kind, memory)
      const append = ({ recorder }: Process, id: number) =>
        Effect.map(recorder.append(kind.event(id)), (given) => assert.strictEqual(given, id))
      let last = 0
      for (let life = 0; life < 3; life++) {
        const process = yield* start(machine)
        yield* append(process, ++last)
        yield* whileClockTurns(process.archive.settle)
        assert.deepStrictEqual(yield* archivedEvents(machine), named(1, last, kind))
        // Nothing new, nothing more, however many ask.
        yield* whileClockTurns(Effect.all([process.archive.settle, process.archive.settle], { concurrency: 2 }))
        assert.strictEqual(manifestIn(memory)?.nextIndex, 2 * life + 1)
        yield* append(process, ++last)
        yield* process.close
        assert.deepStrictEqual(yield* archivedEvents(machine), named(1, last, kind))
        assert.strictEqual(manifestIn(memory)?.nextIndex, 2 * life + 2)
      }
      // What only the archive has is not needed to go on.
      const { cold, hot } = yield* onDisk(machine)
      assert.deepStrictEqual([cold.at(-1), hot], [5, []])
      assert.deepStrictEqual(machine.lost, [])
    }).pipe(Effect.scoped, quiet)
  })

  it.effect("takes a cold file as it is, and makes the same frame of a hot one", () => {
    const memory = makeMemoryStore()
    return Effect.gen(function*() {
      const machine = yield* makeMachine(kind, memory)
      memory.fate = () => "away"
      const process = yield* start(machine, { wal: { limits: { maxSegments: 4, maxCompressedSegments: "unlimited" } } })
      yield* record(machine, process, 8)
      yield* whileClockTurns(process.maintainer.drain)
      const { cold, hot } = yield* onDisk(machine)
      assert.isAbove(cold.length, 3)
      assert.isAbove(hot.length, 1)
      memory.fate = () => "done"
      // The newest segment is hot, so the next start may continue it.
      yield* pass(60_000)
      assert.deepStrictEqual((yield* rowsIn(memory)).map(({ index }) => index), range(0, 7))
      for (const index of range(0, 7)) {
        const row = (yield* rowsIn(memory))[index] as SegmentRow
        const object = memory.objects.get(segmentKey(log, manifestIn(memory)!.naming, row))!
        if (cold.includes(index)) {
          const file = yield* bytesOf(coldPath(directory, index)).pipe(
            Effect.provideService(Disk, machine.simulated.disk)
          )
          assert.strictEqual(Buffer.compare(file, object), 0)
        }
        assert.strictEqual(row.storedBytes, object.length)
        assert.deepStrictEqual(row.blocks, [15])
      }
      assert.deepStrictEqual(yield* archivedEvents(machine), named(1, 21, kind))
      yield* process.close
    }).pipe(Effect.scoped, quiet)
  })

  it.effect("that is away stops neither appends nor commits; nothing goes, and the status tells why", () => {
    const memory = makeMemoryStore()
    return Effect.gen(function*() {
      const machine = yield* makeMachine(kind, memory)
      memory.fate = () => "away"
      const process = yield* start(machine)
      yield* record(machine, process, 12)
      yield* pass(3_600_000)
      assert.strictEqual((yield* process.recorder.positions).durable, 36)
      assert.deepStrictEqual(yield* localEvents(machine), named(1, 36, kind))
      const status = yield* process.archive.status
      assert.deepInclude(status, { state: "opening", archivedBefore: 0 })
      assert.strictEqual(status.lag.segments, 12)
      assert.include(status.problem, "cannot be reached")
      // Whoever looks at the maintainer, or at its monitor, is told too.
      const told = (yield* process.maintainer.status).archive
      assert.deepInclude(told, { behindSegments: 12, problem: status.problem })
      // Pauses grow: an hour costs few requests.
      assert.isBelow(memory.requests.length, 200)
      memory.fate = () => "done"
      yield* pass(60_000)
      yield* settled(process)
      assert.strictEqual((yield* process.archive.status).archivedBefore, 12)
      assert.strictEqual((yield* process.archive.status).problem, undefined)
      assert.deepInclude((yield* process.maintainer.status).archive, { behindSegments: 0, problem: undefined })
      assert.isAbove(Math.min(...(yield* onDisk(machine)).cold), 0)
      yield* process.close
      assert.deepStrictEqual(machine.lost, [])
    }).pipe(Effect.scoped, quiet)
  })

  it.effect("that is behind loses what went before it was uploaded, tells which events, and nothing else", () => {
    const memory = makeMemoryStore()
    return Effect.gen(function*() {
      const machine = yield* makeMachine(kind, memory)
      memory.fate = ({ key }) => /FS\.0000000[2379]/.test(key) ? "refused" : "done"
      const process = yield* start(machine, { wal: { onArchiveBehind: "free" }, archive: { concurrency: 16 } })
      yield* record(machine, process, 20)
      yield* pass(60_000)
      assert.isAbove(Math.min(...(yield* onDisk(machine)).cold), 9)
      const uploaded = new Set(
        [...memory.objects.keys()].flatMap((key) => /FS\.(\d{8})/.exec(key)?.[1] ?? []).map(Number)
      )
      assert.isAbove(uploaded.size, 2)
      memory.fate = () => "done"
      yield* pass(60_000)
      yield* settled(process)
      // Three events a segment. A hole tells those between the segments around it, in each of its rows.
      let next = 1
      for (const row of yield* rowsIn(memory)) {
        const words = `segment ${row.index} after ${next - 1}: ${JSON.stringify(row.hole)}`
        if (row.form === "none") {
          assert.isFalse(uploaded.has(row.index), words)
          assert.isTrue(row.hole.firstEventId === next || row.hole.lastEventId === next - 1, words)
          assert.strictEqual(row.hole.lastEventId, 3 * (row.hole.lastSegmentIndex + 1), words)
          next = row.hole.lastEventId + 1
        } else {
          assert.deepStrictEqual([row.firstId, row.lastId], [next, next + 2], words)
          next = row.lastId + 1
        }
      }
      assert.strictEqual(next, 61)
      assert.strictEqual((yield* process.archive.status).problem, undefined)
      yield* process.close
    }).pipe(Effect.scoped, quiet)
  })

  it.effect("ends when another has claimed the log, and recording goes on", () => {
    const memory = makeMemoryStore()
    return Effect.gen(function*() {
      const machine = yield* makeMachine(kind, memory)
      const process = yield* start(machine)
      yield* record(machine, process, 6)
      yield* settled(process)
      const store = yield* ManifestStore.make(log).pipe(Effect.provide(memory.layer))
      const found = (yield* store.read)!
      yield* store.write({ ...found.manifest, epoch: 2, owner: "there" }, found)
      yield* record(machine, process, 6)
      yield* pass(60_000)
      const status = yield* process.archive.status
      assert.strictEqual(status.state, "fenced")
      assert.include(status.problem, "epoch 2, there")
      assert.strictEqual((yield* Effect.flip(process.archive.settle)).reason._tag, "Fenced")
      assert.deepStrictEqual(manifestIn(memory)?.owner, "there")
      assert.strictEqual(manifestIn(memory)?.nextIndex, 6)
      assert.strictEqual(process.events.at(-1)?._tag, "Fenced")
      const { cold, hot } = yield* onDisk(machine)
      assert.isAtMost(Math.min(...cold, ...hot), 6)
      yield* process.close
      assert.deepStrictEqual(machine.lost, [])
    }).pipe(Effect.scoped, quiet)
  })

  it.effect("refuses a store that ignores conditions, before it writes a manifest", () => {
    const memory = makeMemoryStore()
    memory.ignoresConditions = true
    return Effect.gen(function*() {
      const machine = yield* makeMachine(kind, memory)
      const process = yield* start(machine)
      yield* record(machine, process, 10)
      yield* pass(60_000)
      const { problem = "", state } = yield* process.archive.status
      assert.strictEqual(state, "opening")
      assert.include(problem, "the server ignores If-None-Match: * of PUT")
      assert.deepStrictEqual([...memory.objects.keys()], [])
      assert.deepStrictEqual(yield* localEvents(machine), named(1, 30, kind))
      yield* process.close
    }).pipe(Effect.scoped, quiet)
  })

  it.effect("never takes a damaged segment for a whole one, nor anything after it", () => {
    const memory = makeMemoryStore()
    return Effect.gen(function*() {
      const machine = yield* makeMachine(kind, memory)
      memory.fate = () => "away"
      const process = yield* start(machine, { wal: { limits: { maxSegments: 32, maxCompressedSegments: 4 } } })
      yield* record(machine, process, 6)
      yield* damage(machine, hotPath(directory, 3))
      memory.fate = () => "done"
      const failure = yield* whileClockTurns(Effect.flip(process.archive.settle))
      assert.strictEqual(failure._tag, "SegmentCorrupt")
      assert.include(failure.message, "FS.00000003.wal")
      assert.deepStrictEqual((yield* rowsIn(memory)).map(({ index }) => index), [0, 1, 2])
      assert.include((yield* process.archive.status).problem, "FS.00000003.wal")
      yield* pass(120_000)
      assert.strictEqual(manifestIn(memory)?.nextIndex, 3)
      yield* process.close
    }).pipe(Effect.scoped, quiet)
  })

  it.effect("has a row for a hole that is acknowledged, and goes on after it", () => {
    const memory = makeMemoryStore()
    return Effect.gen(function*() {
      const machine = yield* makeMachine(kind, memory)
      memory.fate = () => "away"
      const limits = { maxSegments: 32, maxCompressedSegments: 4 }
      const process = yield* start(machine, { wal: { limits, onDamaged: "quarantine" } })
      yield* record(machine, process, 6)
      yield* damage(machine, hotPath(directory, 3))
      memory.fate = () => "done"
      yield* pass(120_000)
      yield* settled(process)
      const rows = yield* rowsIn(memory)
      assert.deepStrictEqual(rows.map(({ index }) => index), range(0, 6))
      const [hole] = (yield* process.maintainer.status).holes
      assert.isDefined(hole)
      assert.deepStrictEqual(rows[3]?.hole, hole)
      assert.strictEqual((yield* process.archive.status).problem, undefined)
      yield* process.close
      assert.deepStrictEqual(machine.lost, [])
    }).pipe(Effect.scoped, quiet)
  })

  it.effect("leaves alone what is not its own, tells why in one line, and nothing goes", () => {
    const other = makeMemoryStore()
    return Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        const machine = yield* makeMachine(kind, other)
        const process = yield* start(machine)
        yield* record(machine, process, 2)
        yield* settled(process)
        yield* process.close
      }))
      const manifest = { ...manifestIn(other)!, walId: "ff".repeat(16) }
      const whole = encodeManifest(manifest)
      const newer = Buffer.from(Buffer.from(whole).toString().replace("\"format\":1", "\"format\":7"))
      const given: ReadonlyArray<readonly [Uint8Array, string]> = [
        [whole, "another log is archived under this name"],
        [newer, "a newer version of effect-wal"],
        [whole.subarray(0, whole.length - 20), "cut off or damaged"],
        [Buffer.from("<html/>"), "something else stands where the manifest should be"]
      ]
      for (const [bytes, words] of given) {
        const memory = makeMemoryStore()
        memory.objects.set(manifestKey(log), bytes)
        yield* Effect.scoped(Effect.gen(function*() {
          const machine = yield* makeMachine(kind, memory)
          const process = yield* start(machine)
          yield* record(machine, process, 10)
          yield* pass(60_000)
          const { problem = "", state } = yield* process.archive.status
          assert.strictEqual(state, "opening")
          assert.include(problem, words)
          assert.notInclude(problem, "\n")
          assert.deepStrictEqual(yield* localEvents(machine), named(1, 30, kind))
          assert.strictEqual(memory.objects.get(manifestKey(log)), bytes)
          assert.deepStrictEqual([...memory.objects.keys()], [manifestKey(log)])
          yield* process.close
        }))
      }
    }).pipe(quiet)
  })

  it.effect("dates what has expired by when that was written, however long the writing took", () => {
    const memory = makeMemoryStore()
    let isSlow = false
    const slowly = Effect.map(ObjectStore, (store) =>
      ObjectStore.of({
        ...store,
        put: (key, content, options) => {
          const put = store.put(key, content, options)
          if (!isSlow || key !== manifestKey(log)) return put
          isSlow = false
          return Effect.delay(put, "2 hours")
        }
      }))
    const layer = Layer.provide(Layer.effect(ObjectStore, slowly), memory.layer)
    return Effect.gen(function*() {
      const machine = yield* makeMachine(kind, { ...memory, layer })
      const process = yield* start(machine, { archive: { limits: { ageMax: "30 minutes" } } })
      yield* record(machine, process, 8)
      yield* settled(process)
      isSlow = true
      yield* pass(31 * 60_000)
      assert.deepStrictEqual([isSlow, manifestIn(memory)?.firstIndex], [false, 0])
      yield* pass(2 * 3_600_000)
      const { expired, firstIndex } = manifestIn(memory)!
      assert.strictEqual(firstIndex, 7)
      assert.deepStrictEqual(expired.map(({ livedSeconds }) => livedSeconds > 2.4 * 3600), [true])
      yield* process.close
    }).pipe(quiet)
  })

  it.effect("forgets what its limits do not keep: the manifest first, the objects a day later", () => {
    const memory = makeMemoryStore()
    return Effect.gen(function*() {
      const machine = yield* makeMachine(kind, memory)
      const process = yield* start(machine, { archive: { limits: { ageMax: "1 hour" } } })
      const segments = () => [...memory.objects.keys()].filter((key) => key.includes("/segments/")).length
      /** Every object that is removed is one that the manifest does not count any more. */
      const early: Array<string> = []
      memory.onChange = ({ key, operation }) => {
        if (operation !== "remove" || key.startsWith(probePrefix)) return
        const index = Number(/FS\.(\d+)\./.exec(key)?.[1])
        if (!(index < (manifestIn(memory)?.firstIndex ?? 0))) early.push(key)
      }
      yield* record(machine, process, 8)
      yield* settled(process)
      assert.strictEqual(manifestIn(memory)?.firstIndex, 0)
      yield* pass(62 * 60_000)
      // The newest row stays.
      assert.strictEqual(manifestIn(memory)?.firstIndex, 7)
      assert.deepStrictEqual((yield* rowsIn(memory)).map(({ index }) => index), [7])
      yield* process.close
      assert.strictEqual(segments(), 8)
      yield* live(memory, 23)
      const next = yield* start(machine, { archive: { limits: { ageMax: "100 days" } } })
      yield* pass(30_000)
      assert.strictEqual(segments(), 8)
      yield* next.close
      yield* live(memory, 1)
      const last = yield* start(machine, { archive: { limits: { ageMax: "100 days" } } })
      yield* pass(30_000)
      assert.strictEqual(segments(), 1)
      assert.strictEqual(manifestIn(memory)?.removedBefore, 7)
      assert.deepStrictEqual(manifestIn(memory)?.expired, [])
      assert.deepStrictEqual(early, [])
      yield* last.archive.setLimits({ bytesMax: 1 })
      yield* record(machine, last, 3)
      yield* settled(last)
      const { firstIndex, nextIndex } = manifestIn(memory)!
      assert.deepStrictEqual([firstIndex, nextIndex > 10], [nextIndex - 1, true])
      const kept = (yield* rowsIn(memory))[0] as SegmentRow
      assert.strictEqual(manifestIn(memory)?.storedBytes, kept.storedBytes)
      yield* last.close
      assert.deepStrictEqual(machine.lost, [])
    }).pipe(Effect.scoped, quiet)
  })

  it.effect("keeps age by the time it has lived: what passes without an archive makes nothing older", () => {
    const memory = makeMemoryStore()
    return Effect.gen(function*() {
      const machine = yield* makeMachine(kind, memory)
      const limits = { ageMax: "1 hour" } as const
      const first = yield* start(machine, { archive: { limits } })
      yield* record(machine, first, 4)
      yield* settled(first)
      yield* pass(30 * 60_000)
      // Only what is written is remembered, and a segment is written now.
      yield* record(machine, first, 1)
      yield* settled(first)
      yield* first.close
      yield* TestClock.adjust(1000 * 3_600_000)
      const second = yield* start(machine, { archive: { limits } })
      yield* pass(20 * 60_000)
      assert.strictEqual(manifestIn(memory)?.firstIndex, 0)
      yield* pass(15 * 60_000)
      assert.strictEqual(manifestIn(memory)?.firstIndex, 4)
      yield* second.close
    }).pipe(Effect.scoped, quiet)
  })

  it.effect("tells at its end what is not archived", () => {
    const memory = makeMemoryStore()
    const lines: Array<string> = []
    const logger = Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])
    return Effect.gen(function*() {
      const machine = yield* makeMachine(kind, memory)
      const process = yield* start(machine)
      yield* record(machine, process, 3)
      yield* settled(process)
      memory.fate = () => "away"
      yield* record(machine, process, 4)
      yield* process.close
      assert.isTrue(
        lines.some((line) =>
          line.includes("segments from 3 on are not archived, 4 in all") && line.includes("reached")
        ),
        lines.join("\n")
      )
    }).pipe(Effect.scoped, Effect.provide(logger), Effect.provideService(References.MinimumLogLevel, "Info"))
  })

  it.effect("is not continued by an older copy of the directory", () => {
    const memory = makeMemoryStore()
    return Effect.gen(function*() {
      const machine = yield* makeMachine(kind, memory)
      const process = yield* start(machine)
      yield* record(machine, process, 2)
      yield* settled(process)
      yield* process.close
      const copy = yield* Effect.gen(function*() {
        const disk = yield* Disk
        const names = (yield* disk.list(directory)).filter(({ kind, name }) =>
          kind === "file" && !name.includes("lock")
        )
        return yield* Effect.forEach(
          names,
          ({ name }) => Effect.map(bytesOf(`${directory}/${name}`), (bytes) => ({ name, bytes }))
        )
      }).pipe(Effect.provideService(Disk, machine.simulated.disk))
      const onward = yield* start(machine)
      yield* record(machine, onward, 3)
      yield* settled(onward)
      yield* onward.close
      const before = manifestIn(memory)!

      const other = yield* makeMachine(kind, memory)
      yield* Effect.gen(function*() {
        const disk = yield* Disk
        yield* disk.makeDirectory(directory)
        for (const { bytes, name } of copy) {
          yield* Effect.scoped(
            Effect.flatMap(openScoped(`${directory}/${name}`, "create"), (file) => writeFully(file, [bytes], 0))
          )
        }
      }).pipe(Effect.provideService(Disk, other.simulated.disk))
      yield* TestClock.adjust("1 hour")
      const twice = yield* start(other)
      yield* record(other, twice, 9)
      yield* pass(60_000)
      const { problem = "" } = yield* twice.archive.status
      assert.match(problem, /two logs|does not continue what is archived/)
      assert.strictEqual(manifestIn(memory)?.nextIndex, before.nextIndex)
      yield* twice.close
    }).pipe(Effect.scoped, quiet)
  })
})

// What is in a page does not depend on the format, and so many segments take seconds.
describe("an archive of more segments than a manifest has rows", () => {
  it.effect("fills pages, finds its place in them after a start, and removes those that are over", () => {
    const memory = makeMemoryStore()
    return Effect.gen(function*() {
      const machine = yield* makeMachine(format2, memory)
      const process = yield* start(machine)
      yield* record(machine, process, 260)
      yield* settled(process)
      yield* process.close
      const { firstIndex, nextIndex, pages, rows } = manifestIn(memory)!
      assert.deepStrictEqual([firstIndex, nextIndex], [0, 260])
      assert.deepStrictEqual([pages.map((refs) => refs.length), rows.length], [[1], 4])
      const next = yield* start(machine, { archive: { limits: { bytesMax: 1 } } })
      yield* record(machine, next, 1)
      yield* settled(next)
      const newest = manifestIn(memory)!.nextIndex - 1
      assert.strictEqual(manifestIn(memory)?.firstIndex, newest)
      assert.strictEqual(memory.objects.size, newest + 1 + 1 + 1)
      assert.deepStrictEqual(yield* Stream.runCollect(next.archive.rows.pipe(Stream.map(({ index }) => index))), [
        newest
      ])
      yield* next.close
      yield* live(memory, 25)
      const last = yield* start(machine)
      yield* pass(30_000)
      assert.deepStrictEqual(manifestIn(memory)?.pages, [[]])
      assert.strictEqual(memory.objects.size, 1 + 1)
      yield* last.close
    }).pipe(Effect.scoped, quiet)
  })
})
