/** Following a recorder: what is written here comes as a recorder and its maintainer write it, byte by byte. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Disk, writeFully } from "../../src/disk/Disk.ts"
import { headerBytesOf } from "../../src/format/SegmentHeader.ts"
import type { SegmentLayout } from "../../src/format/SegmentLayout.ts"
import * as Replay from "../../src/reading/Replay.ts"
import { formats } from "../fixtures/formats.ts"
import { buildSegment, buildWal, cold, eventsOf, format1Events, hot, makeRandom, put } from "../fixtures/segments.ts"
import type { BuiltSegment } from "../fixtures/segments.ts"
import { directory, onSimulatedDisk, range } from "../fixtures/simulatedWal.ts"

/** What a recorder knows to be durable. */
class DurableId implements Replay.Durable {
  #current = 0
  #waiting: Array<() => void> = []

  get current(): number {
    return this.#current
  }

  set current(id: number) {
    this.#current = id
    const waiting = this.#waiting
    this.#waiting = []
    for (const look of waiting) look()
  }

  readonly above = (id: number): Effect.Effect<number> =>
    Effect.callback((resume) => {
      const look = (): void => {
        if (this.#current > id) resume(Effect.succeed(this.#current))
        else this.#waiting.push(look)
      }
      look()
    })
}

/** Gives the reader turns. */
const yieldOften = Effect.forEach(range(1, 30), () => Effect.yieldNow, { discard: true })

const pathOf = (segment: BuiltSegment): string => `${directory}/${hot(segment).name}`

/** A segment as it grows: preallocated, then block by block, then cut and closed. */
const grow = Effect.fnUntraced(function*(
  closed: BuiltSegment,
  open: BuiltSegment,
  afterBlock: (eventCount: number) => Effect.Effect<void, unknown, Disk>
) {
  const disk = yield* Disk
  const headerBytes = headerBytesOf(closed.header.version)
  const file = yield* disk.open(pathOf(closed), "create")
  yield* file.truncate(closed.bytes.length + 100_000)
  let written = 0
  for (const { eventCount, offset } of closed.blockEnds) {
    // The first block comes with the header, the others without touching what is there.
    yield* writeFully(file, [open.bytes.subarray(written, offset)], written)
    written = offset
    yield* afterBlock(eventCount)
  }
  if (closed.blockEnds.length === 0) yield* writeFully(file, [open.bytes.subarray(0, headerBytes)], 0)
  if (closed.header.version === 2) yield* file.truncate(closed.bytes.length)
  yield* writeFully(file, [closed.bytes.subarray(0, headerBytes)], 0)
  yield* file.close
})

const opened = (wal: ReadonlyArray<BuiltSegment>, layout: SegmentLayout): ReadonlyArray<BuiltSegment> =>
  wal.map((segment) => {
    const commits: Array<ReadonlyArray<Uint8Array>> = []
    let before = 0
    for (const { eventCount } of segment.blockEnds) {
      commits.push(segment.events.slice(before, eventCount))
      before = eventCount
    }
    return buildSegment({
      layout,
      segmentIndex: segment.segmentIndex,
      firstEventId: segment.firstEventId,
      commits,
      closed: false,
      previousChainedChecksum: segment.header.previousChainedChecksum
    })
  })

describe.each(formats)("Replay.events, following ($name)", ({ layout }) => {
  it.effect("goes on behind a closed segment that was written again in other blocks after it was read", () =>
    Effect.gen(function*() {
      const durable = new DurableId()
      const first = { layout, segmentIndex: 0, firstEventId: 1 }
      const read = buildSegment({ ...first, commits: [eventsOf(layout, 1, 3), eventsOf(layout, 4, 8)] })
      const again = buildSegment({ ...first, commits: [eventsOf(layout, 1, 8)] })
      const second = buildSegment({
        layout,
        segmentIndex: 1,
        firstEventId: 9,
        commits: [eventsOf(layout, 9, 12)],
        previousChainedChecksum: again.chainedChecksum
      })
      yield* put(directory, hot(read))
      durable.current = 8
      const ids: Array<number> = []
      const following = yield* Effect.forkChild(
        Replay.events({ directory, to: { id: 12 }, follow: durable }).pipe(
          Stream.runForEach(({ id }) => Effect.sync(() => void ids.push(id)))
        )
      )
      yield* yieldOften
      assert.deepStrictEqual(ids, range(1, 8))
      const disk = yield* Disk
      yield* disk.unlink(pathOf(read))
      yield* put(directory, hot(again), hot(second))
      durable.current = 12
      yield* TestClock.adjust(1000)
      yield* Fiber.join(following)
      assert.deepStrictEqual(ids, range(1, 12))
    }).pipe(onSimulatedDisk))

  it.effect("reports the events that were added to a closed segment and deleted, before it looked again", () =>
    Effect.gen(function*() {
      const first = { layout, segmentIndex: 0, firstEventId: 1 }
      const read = buildSegment({ ...first, commits: [eventsOf(layout, 1, 3)] })
      const continued = buildSegment({ ...first, commits: [eventsOf(layout, 1, 3), eventsOf(layout, 4, 7)] })
      const second = buildSegment({
        layout,
        segmentIndex: 1,
        firstEventId: 8,
        commits: [eventsOf(layout, 8, 9)],
        previousChainedChecksum: continued.chainedChecksum
      })
      yield* put(directory, hot(read))
      const ids: Array<number> = []
      const following = yield* Effect.forkChild(
        Replay.events({ directory, to: { id: 9 }, follow: "poll" }).pipe(
          Stream.runForEach(({ id }) => Effect.sync(() => void ids.push(id)))
        )
      )
      yield* yieldOften
      assert.deepStrictEqual(ids, range(1, 3))
      const disk = yield* Disk
      yield* disk.unlink(pathOf(read))
      yield* put(directory, hot(second))
      yield* TestClock.adjust(10_000)
      const error = yield* Effect.flip(Fiber.join(following))
      assert.deepInclude(error, { _tag: "EventsDeleted", wanted: "event 4", firstAvailableId: 8 })
      assert.deepStrictEqual(ids, range(1, 3))
    }).pipe(onSimulatedDisk))

  it.effect("gives every event once and in order while segments grow, rotate, freeze and go", () =>
    Effect.gen(function*() {
      for (let seed = 1; seed <= 10; seed++) {
        const random = makeRandom(seed)
        const disk = yield* Disk
        const durable = new DurableId()
        const wal = buildWal({
          layout,
          segments: Array.from({ length: 12 }, () => 1 + Math.floor(random() * 60)),
          commitEvents: 1 + Math.floor(random() * 9)
        })
        const open = opened(wal, layout)
        const lastId = wal.at(-1)!.lastEventId
        yield* put(directory)
        const seen: Array<number> = []
        const reader = yield* Effect.forkChild(
          Stream.runForEachArray(
            Replay.events({ directory, from: { id: 1 }, to: { id: lastId }, follow: durable }),
            (events) =>
              Effect.gen(function*() {
                for (const { id } of events) {
                  assert.isAtMost(id, durable.current, "nothing is handed out that is not durable")
                  seen.push(id)
                }
                if (random() < 0.5) yield* Effect.yieldNow
              })
          )
        )
        for (const [position, segment] of wal.entries()) {
          yield* grow(segment, open[position]!, (eventCount) =>
            Effect.gen(function*() {
              // Sometimes several blocks are written before they become durable.
              if (random() < 0.6) durable.current = segment.firstEventId + eventCount - 1
              for (let turn = random() * 20; turn > 0; turn--) yield* Effect.yieldNow
            }))
          durable.current = segment.lastEventId
          if (position > 0 && random() < 0.7) {
            const older = wal[position - 1]!
            yield* put(directory, yield* Effect.promise(() => cold(older)))
            yield* disk.unlink(pathOf(older))
          }
          // Retention deletes what the reader has read already.
          const oldest = wal[position - 4]
          if (oldest !== undefined && (seen.at(-1) ?? 0) > oldest.lastEventId) {
            for (const end of ["", ".lz4"]) yield* Effect.ignore(disk.unlink(pathOf(oldest) + end))
          }
        }
        yield* Effect.raceFirst(
          Fiber.join(reader),
          Effect.andThen(TestClock.adjust("10 seconds"), Effect.andThen(yieldOften, Effect.never))
        )
        assert.deepStrictEqual(seen, range(1, lastId), `seed ${seed}`)
        for (const segment of wal) {
          for (const end of ["", ".lz4"]) yield* Effect.ignore(disk.unlink(pathOf(segment) + end))
        }
      }
    }).pipe(onSimulatedDisk))

  it.effect("goes on by event id when the file was written anew and its blocks are cut differently", () =>
    Effect.gen(function*() {
      const durable = new DurableId()
      const events = eventsOf(layout, 1, 40)
      const build = (...sizes: ReadonlyArray<number>): BuiltSegment => {
        const commits: Array<ReadonlyArray<Uint8Array>> = []
        let at = 0
        for (const size of sizes) commits.push(events.slice(at, at += size))
        return buildSegment({ layout, commits, closed: false })
      }
      yield* put(directory, hot(build(3, 4, 5)))
      durable.current = 7
      const seen: Array<number> = []
      const reader = yield* Effect.forkChild(
        Stream.runForEach(
          Replay.events({ directory, to: { id: 40 }, follow: durable }),
          ({ bytes, id }) =>
            Effect.sync(() => {
              assert.isTrue(Buffer.from(bytes).equals(events[id - 1]!))
              seen.push(id)
            })
        )
      )
      yield* yieldOften
      assert.deepStrictEqual(seen, range(1, 7))
      yield* put(directory, hot(build(10, 11)))
      durable.current = 20
      yield* yieldOften
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(seen, range(1, 20))
      yield* put(directory, hot(build(1, 20, 19)))
      durable.current = 40
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(reader)
      assert.deepStrictEqual(seen, range(1, 40))
    }).pipe(onSimulatedDisk))

  it.effect("reads only what is new of an open segment", () =>
    Effect.gen(function*() {
      const durable = new DurableId()
      const large = layout.eventSize > 0 ? layout : { ...layout, blockBytesMax: 1024 * 1024 }
      // 300 commits of 10 KiB, or of a block of 16 KiB.
      const commits = range(0, 299).map((commit) =>
        layout.eventSize > 0
          ? format1Events(1 + 5 * commit, 5 + 5 * commit)
          : range(1, 5).map((i) => Buffer.alloc(2048, i))
      )
      const wal = [buildSegment({ layout: large, commits })]
      const open = opened(wal, large)
      const disk = yield* Disk
      yield* put(directory)
      let bytesRead = 0
      const counting = Disk.of({
        ...disk,
        open: (path, mode) =>
          Effect.map(disk.open(path, mode), (file) => ({
            ...file,
            read: (target: Uint8Array, offset: number) =>
              Effect.tap(file.read(target, offset), (count) => Effect.sync(() => bytesRead += count))
          }))
      })
      const reader = yield* Effect.forkChild(Effect.provideService(
        Stream.runDrain(Replay.events({ directory, to: { id: 1500 }, follow: durable })),
        Disk,
        counting
      ))
      yield* grow(wal[0]!, open[0]!, (eventCount) =>
        Effect.gen(function*() {
          durable.current = eventCount
          yield* yieldOften
          yield* TestClock.adjust("1 second")
        }))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(reader)
      // Reading it all at each of 300 looks would be more than 450 MB.
      assert.isBelow(bytesRead, 60_000_000)
      assert.isAbove(bytesRead, wal[0]!.bytes.length)
    }).pipe(onSimulatedDisk))

  it.effect("polls the directory of another process, which may be empty at first", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10, 10] })
      yield* put(directory)
      const seen: Array<number> = []
      const reader = yield* Effect.forkChild(
        Stream.runForEach(Replay.events({ directory, to: { id: 30 }, follow: "poll" }), ({ id }) =>
          Effect.sync(() => seen.push(id)))
      )
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(seen, [])
      yield* put(directory, hot(wal[0]!))
      yield* TestClock.adjust("250 millis")
      assert.deepStrictEqual(seen, range(1, 10))
      yield* put(directory, hot(opened(wal, layout)[1]!))
      yield* TestClock.adjust("250 millis")
      assert.deepStrictEqual(seen, range(1, 20))
      yield* put(directory, hot(wal[1]!), hot(wal[2]!))
      yield* TestClock.adjust("250 millis")
      yield* Fiber.join(reader)
      assert.deepStrictEqual(seen, range(1, 30))
    }).pipe(onSimulatedDisk))

  it.effect.each<readonly [string, Replay.ReplayFrom | undefined, number]>([
    ["its oldest event", undefined, 1],
    ["an event", { id: 15 }, 15],
    ["a segment", { segmentIndex: 1 }, 11]
  ])(
    "waits for a directory that is not there yet, and in it for %s that is still to come",
    ([, from, first]) =>
      Effect.gen(function*() {
        const wal = buildWal({ layout, segments: [10, 10, 10] })
        const seen: Array<number> = []
        const reader = yield* Effect.forkChild(
          Stream.runForEach(
            Replay.events({ directory, ...(from === undefined ? {} : { from }), to: { id: 30 }, follow: "poll" }),
            ({ id }) => Effect.sync(() => seen.push(id))
          )
        )
        yield* TestClock.adjust("1 minute")
        yield* put(directory)
        yield* TestClock.adjust("1 minute")
        yield* put(directory, hot(wal[0]!))
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(seen, from === undefined ? range(1, 10) : [])
        assert.isUndefined(reader.pollUnsafe())
        yield* put(directory, hot(wal[1]!), hot(wal[2]!))
        yield* TestClock.adjust("250 millis")
        yield* Fiber.join(reader)
        assert.deepStrictEqual(seen, range(first, 30))
      }).pipe(onSimulatedDisk)
  )

  it.effect("never leaves out events that were deleted before it began", () =>
    Effect.gen(function*() {
      yield* put(directory)
      const reader = yield* Effect.forkChild(Effect.flip(
        Stream.runDrain(Replay.events({ directory, from: { id: 5 }, follow: "poll" }))
      ))
      yield* TestClock.adjust("1 second")
      yield* put(directory, ...buildWal({ layout, segments: [10], firstEventId: 8 }).map(hot))
      yield* TestClock.adjust("1 second")
      const failure = yield* Fiber.join(reader)
      assert.strictEqual(failure._tag === "EventsDeleted" ? failure.firstAvailableId : failure._tag, 8)
    }).pipe(onSimulatedDisk))
})
