import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Disk } from "../../../src/disk/Disk.ts"
import type { SegmentFile } from "../../../src/disk/SegmentDirectory.ts"
import { format1Layout } from "../../../src/format/SegmentLayout.ts"
import type { SegmentLayout } from "../../../src/format/SegmentLayout.ts"
import { forEachEvent } from "../../../src/reading/segment/BlockEvents.ts"
import { rotatingMemory } from "../../../src/reading/segment/BlockMemory.ts"
import { forReplay } from "../../../src/reading/segment/SegmentReader.ts"
import { openSegmentAt, soughtEvent } from "../../../src/reading/segment/SegmentSeek.ts"
import { formats } from "../../fixtures/formats.ts"
import { buildSegment, format1Events, frameOf, makeRandom, put } from "../../fixtures/segments.ts"
import type { BuiltSegment } from "../../fixtures/segments.ts"
import { onSimulatedDisk } from "../../fixtures/simulatedWal.ts"

const hotFile: SegmentFile = { segmentIndex: 0, path: "/wal/FS.00000000.wal", form: "hot", compression: "frame" }
const coldFile: SegmentFile = { ...hotFile, path: "/wal/FS.00000000.wal.lz4", form: "cold" }

const putBoth = (segment: BuiltSegment) =>
  Effect.gen(function*() {
    yield* put("/wal", { name: "FS.00000000.wal", bytes: segment.bytes }, {
      name: "FS.00000000.wal.lz4",
      bytes: yield* Effect.promise(() => frameOf(segment.bytes))
    })
  })

/** Reads from an event to the end: where reading began, whether the events are those recorded, what was read for it. */
const readFrom = Effect.fnUntraced(function*(segment: BuiltSegment, file: SegmentFile, fromId: number) {
  const disk = yield* Disk
  let bytesRead = 0
  const counting = Disk.of({
    ...disk,
    open: (path, mode) =>
      Effect.map(disk.open(path, mode), (opened) => ({
        ...opened,
        read: (target: Uint8Array, offset: number) =>
          Effect.tap(opened.read(target, offset), (count) => Effect.sync(() => bytesRead += count))
      }))
  })
  let firstId = 0
  let nextId = 0
  let bytesToFirst = 0
  yield* Effect.scoped(Effect.gen(function*() {
    const cursor = yield* openSegmentAt(file, { segmentIndex: 0 }, soughtEvent(fromId), forReplay(rotatingMemory(1)))
    while (true) {
      const blocks = yield* cursor.next
      if (firstId === 0) bytesToFirst = bytesRead
      for (const block of blocks) {
        forEachEvent(block, (id, bytes, start, end) => {
          if (firstId === 0) firstId = nextId = id
          if (id !== nextId) assert.fail(`event ${id} where ${nextId} was expected`)
          const recorded = segment.events[id - segment.firstEventId]!
          if (Buffer.compare(recorded, bytes.subarray(start, end)) !== 0) {
            assert.fail(`event ${id} is not what was recorded`)
          }
          nextId += 1
        })
      }
      if (blocks.length === 0) return cursor.summary()
    }
  })).pipe(Effect.provideService(Disk, counting))
  // Nothing is read when nothing was asked for.
  const expectedId = fromId > segment.lastEventId && firstId === 0 ? 0 : segment.lastEventId + 1
  assert.strictEqual(nextId, expectedId, "it was read to the end")
  return { firstId, bytesToFirst }
})

const randomBytes = (count: number, bytesMax: number, seed: number): Array<Uint8Array> => {
  const random = makeRandom(seed)
  return Array.from({ length: count }, () => {
    const event = Buffer.alloc(Math.floor(random() * bytesMax))
    for (let at = 0; at < event.length; at += 5) event[at] = Math.floor(random() * 256)
    return event
  })
}

const inCommits = (events: ReadonlyArray<Uint8Array>, commitEvents: number): Array<ReadonlyArray<Uint8Array>> => {
  const commits: Array<ReadonlyArray<Uint8Array>> = []
  for (let at = 0; at < events.length; at += commitEvents) commits.push(events.slice(at, at + commitEvents))
  return commits
}

const mebibyteBlocks: SegmentLayout = { version: 2, eventSize: 0, blockBytesMax: 1024 * 1024 }
const smallFixedBlocks: SegmentLayout = { version: 2, eventSize: 64, blockBytesMax: 4096 }

/** 6 to 10 MiB each. */
const largeSegments: ReadonlyArray<readonly [string, () => BuiltSegment]> = [
  [
    "format 1",
    () => buildSegment({ layout: format1Layout, commits: [format1Events(1, 50_000)], blocks: 200 })
  ],
  [
    "format 2, full blocks of 1 MiB",
    () => buildSegment({ layout: mebibyteBlocks, commits: [randomBytes(400, 32_000, 5)] })
  ],
  [
    "format 2, small commits",
    () => buildSegment({ layout: mebibyteBlocks, commits: inCommits(randomBytes(8000, 1300, 6), 3) })
  ],
  [
    "format 2, fixed events",
    () => buildSegment({ layout: smallFixedBlocks, firstEventId: 1, commits: [format1Events(1, 50_000)] })
  ]
]

describe("SegmentSeek", () => {
  for (const [name, build] of largeSegments) {
    it.effect(`reads from any event on, hot and cold (${name})`, () =>
      Effect.gen(function*() {
        const segment = build()
        yield* putBoth(segment)
        const count = segment.events.length
        const random = makeRandom(7)
        const ids = [
          1,
          2,
          count,
          count - 1,
          count + 1,
          ...Array.from({ length: 3 }, () => 1 + Math.floor(random() * count))
        ]
        for (const file of [hotFile, coldFile]) {
          for (const id of ids) {
            const { firstId } = yield* readFrom(segment, file, id)
            assert.isAtMost(firstId, id)
          }
        }
      }).pipe(onSimulatedDisk))
  }

  it.effect.each(formats)(
    "does not read or decode most of what lies before the event ($name)",
    ({ layout }) =>
      Effect.gen(function*() {
        // Random bytes do not get smaller, so the bytes of the frame count like those of its content.
        const random = makeRandom(3)
        const isFixed = layout.eventSize > 0
        const count = isFixed ? 256 * 1024 : 1000
        const events = Array.from({ length: count }, (_, i) => {
          const event = Buffer.alloc(isFixed ? layout.eventSize : 16 * 1024)
          for (let at = 0; at < event.length; at += 4) event.writeUInt32LE(Math.floor(random() * 2 ** 32), at)
          if (isFixed) event.writeBigUInt64LE(BigInt(i + 1))
          return event
        })
        const segment = buildSegment({
          layout: isFixed ? layout : { ...layout, blockBytesMax: 256 * 1024 },
          commits: isFixed ? [events] : inCommits(events, 50)
        })
        yield* putBoth(segment)
        for (const file of [hotFile, coldFile]) {
          const { bytesToFirst, firstId } = yield* readFrom(segment, file, Math.floor(0.95 * count))
          assert.isBelow(bytesToFirst, segment.bytes.length / 2)
          assert.isAbove(firstId, 0.7 * count)
        }
      }).pipe(onSimulatedDisk)
  )

  it.effect("is not deceived by recorded copies of blocks of the same segment", () =>
    Effect.gen(function*() {
      const layout = mebibyteBlocks
      const before = randomBytes(3000, 600, 11)
      const honest = buildSegment({ layout, commits: inCommits(before, 20) })
      // Shifted so that the copied headers stand where headers stand: after a block header and a length.
      const copy = Buffer.concat([Buffer.alloc(60), honest.bytes.subarray(128, 128 + 700 * 1024)])
      const events = [...before]
      for (let round = 0; round < 8; round++) events.push(copy, ...randomBytes(30, 600, 20 + round))
      const commits = [...inCommits(before, 20), ...inCommits(events.slice(before.length), 1)]
      const segment = buildSegment({ layout, commits })
      yield* putBoth(segment)
      for (const file of [hotFile, coldFile]) {
        for (let id = 1; id <= segment.lastEventId; id += 1222) {
          const { firstId } = yield* readFrom(segment, file, id)
          assert.isAtMost(firstId, id)
        }
      }
    }).pipe(onSimulatedDisk))

  it.effect.each([0, 2])(
    "reads events that lie before damage, and fails at the damage (segment %i)",
    (which) =>
      Effect.gen(function*() {
        const segment = largeSegments[which]![1]()
        const at = segment.blockEnds[Math.floor(segment.blockEnds.length * 0.7)]!
        segment.bytes[at.offset + 70]! ^= 1
        yield* putBoth(segment)
        for (const file of [hotFile, coldFile]) {
          const ids: Array<number> = []
          const wanted = at.eventCount - 500
          const failure = yield* Effect.flip(Effect.scoped(Effect.gen(function*() {
            const cursor = yield* openSegmentAt(file, {}, soughtEvent(wanted), forReplay(rotatingMemory(1)))
            while (true) {
              const blocks = yield* cursor.next
              for (const block of blocks) forEachEvent(block, (id) => ids.push(id))
              if (blocks.length === 0) return
            }
          })))
          assert.strictEqual(failure._tag === "SegmentCorrupt" ? failure.reason._tag : failure._tag, "BadPayload")
          assert.isAtMost(ids[0]!, wanted)
          assert.strictEqual(ids.at(-1), at.eventCount)
        }
      }).pipe(onSimulatedDisk)
  )
})
