import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeDisk from "../../../src/disk/NodeDisk.ts"
import type { SegmentFile } from "../../../src/disk/SegmentDirectory.ts"
import { blockHeaderBytes } from "../../../src/format/Block.ts"
import { blockPayloadBytesMax } from "../../../src/format/Limits.ts"
import { frameHeader } from "../../../src/format/lz4/Lz4Frame.ts"
import { encodeHeader } from "../../../src/format/SegmentHeader.ts"
import { format1Layout } from "../../../src/format/SegmentLayout.ts"
import type { SegmentLayout } from "../../../src/format/SegmentLayout.ts"
import { forEachEvent, trimBlock } from "../../../src/reading/segment/BlockEvents.ts"
import { rotatingMemory } from "../../../src/reading/segment/BlockMemory.ts"
import {
  forReplay,
  forVerification,
  readSegment,
  readStart,
  verifySegment
} from "../../../src/reading/segment/SegmentReader.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import { formats } from "../../fixtures/formats.ts"
import {
  blockFileOf,
  buildSegment,
  eventsNamed,
  eventsOf,
  format1Events,
  frameOf,
  makeRandom,
  put,
  temporaryDirectory
} from "../../fixtures/segments.ts"
import type { BuiltSegment } from "../../fixtures/segments.ts"
import { swept } from "../../sweep.ts"

const hotFile: SegmentFile = { segmentIndex: 0, path: "/wal/FS.00000000.wal", form: "hot", compression: "frame" }
const frameFile: SegmentFile = { ...hotFile, path: "/wal/FS.00000000.wal.lz4", form: "cold" }
const blockFile: SegmentFile = { ...frameFile, path: "/wal/FS.00000000.wal.lz4b", compression: "block" }

const eventsIn = Effect.fnUntraced(function*(file: SegmentFile, reading = forVerification()) {
  const events: Array<string> = []
  const summary = yield* readSegment(file, {}, (block) =>
    forEachEvent(block, (id, bytes, start, end) => {
      events.push(`${id}:${Buffer.from(bytes.subarray(start, end)).toString("hex")}`)
    }), reading)
  return { events, summary }
})

const expectedEvents = (segment: BuiltSegment): ReadonlyArray<string> =>
  segment.events.map((event, i) => `${segment.firstEventId + i}:${Buffer.from(event).toString("hex")}`)

/** Events of random lengths, so blocks end anywhere. */
const randomEvents = (count: number, bytesMax: number, seed: number): Array<Uint8Array> => {
  const random = makeRandom(seed)
  return Array.from({ length: count }, () => {
    const event = Buffer.alloc(Math.floor(random() * bytesMax))
    for (let at = 0; at < event.length; at += 7) event[at] = Math.floor(random() * 256)
    return event
  })
}

/** 4 to 9 MiB: several reads, blocks across the borders of reads and of frame blocks. */
const largeSegment = (layout: SegmentLayout): BuiltSegment =>
  layout.eventSize > 0
    ? buildSegment({
      layout,
      commits: [format1Events(1, 40_000), format1Events(40_001, 40_003), format1Events(40_004, 70_000)]
    })
    : buildSegment({
      layout: { ...layout, blockBytesMax: 1024 * 1024 },
      commits: [randomEvents(200, 60_000, 1), randomEvents(3, 100, 2), randomEvents(120, 60_000, 3)]
    })

/** Longer than the first read of a segment, and short when it is compressed. */
const longSegment = (layout: SegmentLayout, closed: boolean): BuiltSegment => {
  const commits = [eventsOf(layout, 1, 30), eventsOf(layout, 31, 40)]
  return layout.version === 1
    ? buildSegment({ layout, commits, closed, blocks: 6 })
    : buildSegment({
      layout: { ...layout, blockBytesMax: 100_000 },
      commits: [...commits, [Buffer.alloc(90_000)]],
      closed
    })
}

/** Several frame blocks to a long segment, and two to its first read. */
const frameBlockBytes = 40_000

/** Where the blocks of one of our frames begin. */
const frameBlocks = (frame: Buffer): ReadonlyArray<number> => {
  const offsets: Array<number> = []
  for (let at = frameHeader(0).length; frame.readUInt32LE(at) !== 0; at += 4 + (frame.readUInt32LE(at) & 0x7fff_ffff)) {
    offsets.push(at)
  }
  return offsets
}

describe("SegmentReader", () => {
  it.effect("hands out every block before a bad one of a frame and names the bad one's place", () =>
    Effect.gen(function*() {
      const segment = largeSegment({ version: 2, eventSize: 0, blockBytesMax: 1024 * 1024 })
      const expected = expectedEvents(segment)
      const frame = yield* Effect.promise(() => frameOf(segment.bytes))
      const places = frameBlocks(frame)
      assert.isAtLeast(places.length, 8)
      for (const bad of [0, 1, 5, places.length - 1]) {
        const damaged = Buffer.from(frame)
        const at = places[bad]!
        // A match that begins 0 bytes back.
        damaged.set([0x0f, 0, 0], at + 4)
        yield* Effect.gen(function*() {
          yield* put("/wal", { name: "FS.00000000.wal.lz4", bytes: damaged })
          const events: Array<string> = []
          const error = yield* Effect.flip(
            readSegment(frameFile, {}, (block) =>
              forEachEvent(block, (id, bytes, start, end) => {
                events.push(`${id}:${Buffer.from(bytes.subarray(start, end)).toString("hex")}`)
              }))
          )
          assert.deepStrictEqual([error._tag, error.reason._tag], ["SegmentCorrupt", "BadFrame"])
          assert.strictEqual("offset" in error.reason ? error.reason.offset : -1, at)
          assert.deepStrictEqual(events, expected.slice(0, events.length))
          // Of the whole frame blocks before it at most one segment block is not complete.
          const handedOutBytes = segment.events.slice(0, events.length).reduce(
            (sum, event) => sum + event.length + 4,
            0
          )
          assert.isAtLeast(handedOutBytes, (bad - 1.1) * 1024 * 1024)
        }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 })))
      }
    }))
})

describe.each(formats)("SegmentReader ($name)", ({ layout }) => {
  it.effect("reads a segment the same hot, as a frame and as a block file", () =>
    Effect.gen(function*() {
      for (
        const segment of [
          buildSegment({ layout, commits: [eventsOf(layout, 1, 90), eventsOf(layout, 91, 400)] }),
          buildSegment({ layout, commits: [] }),
          largeSegment(layout)
        ]
      ) {
        yield* put(
          "/wal",
          { name: "FS.00000000.wal", bytes: segment.bytes },
          { name: "FS.00000000.wal.lz4", bytes: yield* Effect.promise(() => frameOf(segment.bytes)) },
          { name: "FS.00000000.wal.lz4b", bytes: yield* Effect.promise(() => blockFileOf(segment.bytes)) }
        )
        for (const file of [hotFile, frameFile, blockFile]) {
          const { events, summary } = yield* eventsIn(file)
          assert.deepStrictEqual(events, expectedEvents(segment))
          assert.strictEqual(summary.bytes, segment.bytes.length)
          assert.strictEqual(summary.chainedChecksum, segment.chainedChecksum)
        }
      }
    }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 }))))

  it.effect("reads a segment the same when every read is short", () =>
    Effect.gen(function*() {
      const segment = buildSegment({ layout, commits: [eventsOf(layout, 1, 90), eventsOf(layout, 91, 200)] })
      yield* put("/wal", { name: "FS.00000000.wal", bytes: segment.bytes })
      yield* put("/wal", {
        name: "FS.00000000.wal.lz4",
        bytes: yield* Effect.promise(() => frameOf(segment.bytes))
      })
      const { setFaults } = yield* SimulatedDisk.SimulatedDisk
      yield* setFaults({ shortReadRate: 1 })
      for (const file of [hotFile, frameFile]) {
        assert.deepStrictEqual((yield* eventsIn(file)).events, expectedEvents(segment))
      }
    }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 }))))

  for (const purpose of ["verification", "replay"] as const) {
    it.effect(`finds every flipped byte of a frame, or gives the very same events and bytes, in ${purpose}`, () =>
      Effect.gen(function*() {
        const segment = longSegment(layout, true)
        const frame = yield* Effect.promise(() => frameOf(segment.bytes, frameBlockBytes))
        // Whatever a reader leaves behind in its memory after a fault, the next one reads right.
        const memory = rotatingMemory(1)
        const unseen: Array<number> = []
        const offsets = [...swept(0, frame.length)]
        for (const at of offsets) {
          const bytes = Buffer.from(frame)
          bytes[at] = bytes[at]! ^ (1 + at % 255)
          yield* put("/wal", { name: "FS.00000000.wal.lz4", bytes })
          const reading = purpose === "replay" ? forReplay(memory) : forVerification()
          const result = yield* Effect.result(eventsIn(frameFile, reading))
          if (Result.isFailure(result)) {
            assert.strictEqual(result.failure._tag, "SegmentCorrupt", `the flip at ${at}`)
            continue
          }
          unseen.push(at)
          assert.deepStrictEqual(result.success.events, expectedEvents(segment), `the flip at ${at}`)
          assert.strictEqual(result.success.summary.bytes, segment.bytes.length)
        }
        // LZ4 can encode the same in several ways: another distance to a copy of the same bytes.
        assert.isBelow(unseen.length, offsets.length / 20)
        // A replay has proved the content by the segment's own checksums; verification compares the frame's as well.
        const isOfChecksum = (at: number) => at >= frame.length - 4
        assert.deepStrictEqual(unseen.filter(isOfChecksum), purpose === "replay" ? offsets.filter(isOfChecksum) : [])
      }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 }))))
  }

  it.effect("compares the checksum of a frame around an open segment, whose damage could pass for its end", () =>
    Effect.gen(function*() {
      const segment = longSegment(layout, false)
      const bytes = Buffer.from(segment.bytes)
      bytes[segment.blockEnds[0]!.offset + 70]! ^= 1
      const [whole, damaged] = yield* Effect.promise(() =>
        Promise.all([segment.bytes, bytes].map((content) => frameOf(content, frameBlockBytes)))
      )
      damaged!.set(whole!.subarray(-4), damaged!.length - 4)
      yield* put("/wal", { name: "FS.00000000.wal.lz4", bytes: damaged! })
      const failure = yield* Effect.flip(eventsIn(frameFile, forReplay(rotatingMemory(1))))
      assert.strictEqual(failure._tag === "SegmentCorrupt" ? failure.reason._tag : failure._tag, "BadFrame")
    }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 }))))

  it.effect("finds every cut of a frame and of a block file", () =>
    Effect.gen(function*() {
      const segment = buildSegment({ layout, commits: [eventsOf(layout, 1, 30)] })
      const frame = yield* Effect.promise(() => frameOf(segment.bytes))
      const block = yield* Effect.promise(() => blockFileOf(segment.bytes))
      for (const [file, bytes] of [[frameFile, frame], [blockFile, block]] as const) {
        for (const length of swept(0, bytes.length)) {
          yield* put("/wal", { name: file.path.slice(5), bytes: bytes.subarray(0, length) })
          const result = yield* Effect.result(verifySegment(file))
          assert.isTrue(Result.isFailure(result), `the cut of ${file.path} to ${length} bytes is found`)
        }
      }
    }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 }))))

  it.effect("hands out what lies before a fault, then names file, byte, expected and found", () =>
    Effect.gen(function*() {
      const segment = buildSegment({
        layout,
        commits: [eventsOf(layout, 1, 3), eventsOf(layout, 4, 6), eventsOf(layout, 7, 9)]
      })
      const at = segment.blockEnds[1]!.offset + blockHeaderBytes + 2
      segment.bytes[at] = segment.bytes[at]! ^ 1
      yield* put("/wal", { name: "FS.00000000.wal", bytes: segment.bytes })
      const events: Array<number> = []
      const failure = yield* Effect.flip(
        readSegment(hotFile, {}, (block) => forEachEvent(block, (id) => events.push(id)))
      )
      assert.deepStrictEqual(events, [1, 2, 3, 4, 5, 6])
      assert.strictEqual(failure._tag, "SegmentCorrupt")
      if (failure._tag !== "SegmentCorrupt") return
      assert.strictEqual(failure.reason._tag, "BadPayload")
      assert.strictEqual(failure.path, hotFile.path)
      assert.strictEqual(failure.reason.offset, segment.blockEnds[1]!.offset + blockHeaderBytes)
      assert.match(
        failure.message,
        /^\/wal\/FS\.00000000\.wal: BadPayload at offset \d+: expected 0x\w{16}, found 0x\w{16}/
      )
      assert.notInclude(failure.message, "\n")
    }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 }))))

  it.effect("hands out what a damaged frame gives before its fault", () =>
    Effect.gen(function*() {
      const segment = largeSegment(layout)
      const frame = yield* Effect.promise(() => frameOf(segment.bytes))
      yield* put("/wal", { name: "FS.00000000.wal.lz4", bytes: frame.subarray(0, frame.length - 20) })
      let lastId = 0
      const failure = yield* Effect.flip(readSegment(frameFile, {}, (block) => {
        lastId = block.lastEventId
      }))
      assert.strictEqual(failure._tag === "SegmentCorrupt" ? failure.reason._tag : failure._tag, "BadFrame")
      // All but the last frame block, 1 MiB, can be had.
      const before = segment.blockEnds.filter(({ offset }) => offset <= segment.bytes.length - 1024 * 1024).at(-1)!
      assert.isAtLeast(lastId, before.eventCount)
    }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 }))))

  it.effect("says how a segment begins, from its header or its first block", () =>
    Effect.gen(function*() {
      for (const closed of [true, false]) {
        const commits = [eventsOf(layout, 17, 20)]
        const segment = buildSegment({ layout, firstEventId: 17, commits, closed })
        yield* put("/wal", { name: "FS.00000000.wal", bytes: segment.bytes }, {
          name: "FS.00000000.wal.lz4",
          bytes: yield* Effect.promise(() => frameOf(segment.bytes))
        })
        for (const file of [hotFile, frameFile]) assert.strictEqual((yield* readStart(file)).firstEventId, 17)
        // One that is closed without events names the id that comes next.
        const empty = buildSegment({ layout, firstEventId: 17, commits: [], closed })
        yield* put("/wal", { name: "FS.00000000.wal", bytes: empty.bytes })
        assert.strictEqual((yield* readStart(hotFile)).firstEventId, closed ? 17 : undefined)
      }
    }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 }))))

  it.effect("trims a block to a range of ids", () =>
    Effect.gen(function*() {
      const segment = buildSegment({ layout, firstEventId: 11, commits: [eventsOf(layout, 11, 20)] })
      yield* put("/wal", { name: "FS.00000000.wal", bytes: segment.bytes })
      yield* readSegment(hotFile, {}, (block) => {
        for (let from = 9; from <= 22; from++) {
          for (let to = from; to <= 22; to++) {
            const ids: Array<number> = []
            const part = trimBlock(block, from, to)
            if (part !== undefined) forEachEvent(part, (id) => ids.push(id))
            const first = Math.max(11, from)
            const expected = Array.from({ length: Math.max(0, Math.min(20, to) - first + 1) }, (_, i) => first + i)
            assert.deepStrictEqual(ids, expected)
            assert.strictEqual(part?.eventCount ?? 0, expected.length)
          }
        }
      })
    }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 }))))
})

describe("SegmentReader, of any file", () => {
  it.effect("never follows a link", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      writeFileSync(join(directory, "elsewhere"), buildSegment({ commits: [eventsNamed(1, 3)] }).bytes)
      const path = join(directory, "FS.00000000.wal")
      symlinkSync(join(directory, "elsewhere"), path)
      const failure = yield* Effect.flip(verifySegment({ ...hotFile, path }))
      assert.strictEqual(failure._tag === "DiskError" ? failure.reason._tag : failure._tag, "Unsafe")
    }).pipe(Effect.provide(NodeDisk.layer)))

  it.effect("makes no room for what a header only claims", () =>
    Effect.gen(function*() {
      const segment = buildSegment({ commits: [eventsNamed(1, 3)], closed: false })
      const bytes = Buffer.from(segment.bytes)
      bytes.set(encodeHeader({ ...segment.header, blockBytesMax: blockPayloadBytesMax }))
      // A block that claims 60 MiB, in a small file: its own checksum is wrong, but the header's is right.
      const claim = Buffer.alloc(64)
      const { encodeBlockHeader } = yield* Effect.promise(() => import("../../../src/format/Block.ts"))
      encodeBlockHeader(2, {
        firstEventId: 4,
        lastEventId: 4,
        blockChecksum: 0n,
        chainedChecksum: 0n,
        blockIndex: 1,
        eventCount: 1,
        payloadBytes: 60 * 1024 * 1024,
        flushFirstBlock: 1,
        flushNanos: 1_800_000_000_000_000_000n
      }, claim)
      yield* put("/wal", { name: "FS.00000000.wal", bytes: Buffer.concat([bytes, claim, Buffer.alloc(1000, 1)]) })
      const before = process.memoryUsage().arrayBuffers
      const summary = yield* verifySegment(hotFile)
      assert.isBelow(process.memoryUsage().arrayBuffers - before, 8 * 1024 * 1024)
      assert.strictEqual(summary.eventCount, 3)
      assert.strictEqual(summary.torn?.kind, "Truncated")
    }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 }))))

  it.effect("refuses a frame and a block file that claim far more than they hold", () =>
    Effect.gen(function*() {
      const claims4GiB = Buffer.from("ffffffff0000000000", "hex")
      yield* put("/wal", { name: "FS.00000000.wal.lz4b", bytes: claims4GiB })
      const block = yield* Effect.flip(verifySegment(blockFile))
      assert.strictEqual(block._tag === "SegmentCorrupt" ? block.reason._tag : block._tag, "BadFrame")
      yield* put("/wal", { name: "FS.00000000.wal.lz4", bytes: Buffer.from("04224d18607073ffffff7f", "hex") })
      const frame = yield* Effect.flip(verifySegment(frameFile))
      assert.strictEqual(frame._tag === "SegmentCorrupt" ? frame.reason._tag : frame._tag, "BadFrame")
    }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 }))))
})

describe("SegmentReader, of files of another writer", () => {
  it.effect.skipIf(!existsSync("/usr/bin/lz4"))(
    "reads frames that another writer makes: linked 4 MiB blocks, no checksum",
    () =>
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        for (const closed of [true, false]) {
          const segment = buildSegment({
            layout: format1Layout,
            commits: [format1Events(1, 100_000), format1Events(100_001, 150_100)],
            closed,
            blocks: 700
          })
          const hot = join(directory, "FS.00000000.wal")
          const path = `${hot}.lz4`
          writeFileSync(hot, segment.bytes)
          execFileSync("/usr/bin/lz4", ["-q", "-f", "-B7", "-BD", "--no-frame-crc", hot, path])
          assert.isBelow(readFileSync(path).length, segment.bytes.length)
          const { events, summary } = yield* eventsIn({ ...frameFile, path })
          assert.strictEqual(summary.eventCount, 150_100)
          assert.deepStrictEqual(events.at(-1), expectedEvents(segment).at(-1))
          assert.strictEqual(events.length, 150_100)
        }
      }).pipe(Effect.provide(NodeDisk.layer))
  )
})
