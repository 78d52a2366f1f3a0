/**
 * Segments and frames that were changed at random: flipped, cut, spliced, repeated, with lengths that lie. Whatever was
 * done to them, reading ends, memory stays bounded, and no event is handed out that was not recorded under its id.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { compressSync } from "lz4-napi"
import { Disk, DiskError } from "../../../src/disk/Disk.ts"
import type { DiskFile } from "../../../src/disk/Disk.ts"
import { Denied } from "../../../src/disk/DiskReason.ts"
import type { SegmentFile } from "../../../src/disk/SegmentDirectory.ts"
import { blockHeaderBytes, encodeBlockHeader } from "../../../src/format/Block.ts"
import { encodeHeader } from "../../../src/format/SegmentHeader.ts"
import { format1Layout } from "../../../src/format/SegmentLayout.ts"
import type { SegmentLayout } from "../../../src/format/SegmentLayout.ts"
import { forEachEvent } from "../../../src/reading/segment/BlockEvents.ts"
import { rotatingMemory } from "../../../src/reading/segment/BlockMemory.ts"
import { forReplay, forVerification, readSegment } from "../../../src/reading/segment/SegmentReader.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import { buildSegment, eventsNamed, format1Events, frameOf, makeRandom } from "../../fixtures/segments.ts"
import type { BuiltSegment } from "../../fixtures/segments.ts"
import { playSample, samples } from "../../samples.ts"

type Random = () => number

const below = (random: Random, limit: number): number => Math.floor(random() * limit)

/** Numbers that lengths like to be wrong by. */
const lies = [0, 1, 2, 63, 64, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff, 0xffff_ff00, 0x4000_0000, 65_536]

const changes: ReadonlyArray<(bytes: Buffer, random: Random) => Buffer> = [
  // A flipped bit.
  (bytes, random) => {
    const at = below(random, bytes.length)
    bytes[at] = bytes[at]! ^ 1 << below(random, 8)
    return bytes
  },
  // Another byte.
  (bytes, random) => {
    bytes[below(random, bytes.length)] = below(random, 256)
    return bytes
  },
  // A cut.
  (bytes, random) => bytes.subarray(0, below(random, bytes.length)),
  // Something missing inside.
  (bytes, random) => {
    const at = below(random, bytes.length)
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + below(random, 200))])
  },
  // Something repeated.
  (bytes, random) => {
    const at = below(random, bytes.length)
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(below(random, at + 1))])
  },
  // A splice of aligned parts: a block where another should be.
  (bytes, random) => {
    const from = 64 * below(random, bytes.length / 64)
    const to = 64 * below(random, bytes.length / 64)
    bytes.copy(bytes, to, from, from + 64 * (1 + below(random, 4)))
    return bytes
  },
  // A length that lies.
  (bytes, random) => {
    if (bytes.length < 4) return bytes
    bytes.writeUInt32LE(lies[below(random, lies.length)]!, below(random, bytes.length - 3))
    return bytes
  },
  // Zeros, as a hole in the file reads.
  (bytes, random) => {
    const at = below(random, bytes.length)
    bytes.fill(0, at, Math.min(bytes.length, at + 512))
    return bytes
  },
  // More bytes after the end.
  (bytes, random) => Buffer.concat([bytes, Buffer.alloc(1 + below(random, 300), below(random, 2) * below(random, 256))])
]

const mutate = (original: Uint8Array, random: Random): Buffer => {
  let bytes: Buffer = Buffer.from(original)
  const times = 1 + below(random, 3)
  for (let time = 0; time < times && bytes.length > 0; time++) {
    bytes = changes[below(random, changes.length)]!(bytes, random)
  }
  return bytes
}

/** A segment header or block header that lies under a checksum that holds. */
const lie = (segment: BuiltSegment, random: Random): Buffer => {
  const bytes = Buffer.from(segment.bytes)
  const number = () => random() < 0.5 ? lies[below(random, lies.length)]! : below(random, 100)
  if (random() < 0.5) {
    const field = (["blockCount", "eventCount", "firstEventId", "lastEventId", "segmentIndex"] as const)[
      below(random, 5)
    ]!
    const sizes = random() < 0.3 && segment.header.version === 2
      ? { blockBytesMax: number(), eventSize: number() & 0xffff }
      : {}
    bytes.set(encodeHeader({ ...segment.header, [field]: number(), ...sizes }))
    return bytes
  }
  const { version } = segment.header
  const start = segment.blockEnds.at(-2)?.offset ?? (version === 1 ? 64 : 128)
  const at = bytes.subarray(start, start + blockHeaderBytes)
  const truth = {
    firstEventId: Number(at.readBigUInt64LE(0)),
    lastEventId: Number(at.readBigUInt64LE(8)),
    blockChecksum: at.readBigUInt64LE(16),
    chainedChecksum: at.readBigUInt64LE(24),
    blockIndex: at.readUInt32LE(40),
    eventCount: at.readUInt16LE(44),
    payloadBytes: at.readUInt32LE(48),
    flushFirstBlock: at.readUInt32LE(52),
    flushNanos: at.readBigUInt64LE(56)
  }
  const field =
    (["firstEventId", "lastEventId", "blockIndex", "payloadBytes", "flushFirstBlock"] as const)[below(random, 5)]!
  const eventCount = random() < 0.3 ? number() & 0xffff : truth.eventCount
  encodeBlockHeader(version, { ...truth, eventCount, [field]: number() }, at)
  return bytes
}

/** A file that lies in memory. */
const fileOf = (path: string, bytes: Uint8Array): DiskFile => {
  const refuse = () => Effect.fail(new DiskError({ operation: "write", path, reason: new Denied({ detail: "" }) }))
  return {
    path,
    read: (target, offset) =>
      Effect.sync(() => {
        const part = bytes.subarray(offset, offset + target.length)
        target.set(part)
        return part.length
      }),
    write: refuse,
    truncate: refuse,
    sync: refuse(),
    stat: Effect.succeed({ kind: "file", bytes: bytes.length, modifiedMillis: 0, identity: path, permissions: 0o640 }),
    restrict: () => Effect.void,
    close: Effect.void
  }
}

const fixed: SegmentLayout = { version: 2, eventSize: 16, blockBytesMax: 512 }

const sources: ReadonlyArray<BuiltSegment> = [true, false].flatMap((closed) => [
  buildSegment({ commits: [eventsNamed(1, 40), eventsNamed(41, 44), eventsNamed(45, 140)], closed }),
  buildSegment({
    layout: fixed,
    firstEventId: 1,
    commits: [
      Array.from({ length: 50 }, (_, i) => Buffer.alloc(16, i)),
      Array.from({ length: 9 }, (_, i) => Buffer.alloc(16, 99 - i))
    ],
    closed
  }),
  buildSegment({
    layout: format1Layout,
    commits: [format1Events(1, 20), format1Events(21, 300)],
    closed,
    blocks: 3
  })
])

/** Two reads of 4 MiB, and what a frame of 4 MiB blocks needs. */
const allocatedBytesMax = 24 * 1024 * 1024

const forms = [
  { form: "hot", compression: "frame" },
  { form: "cold", compression: "frame" },
  { form: "cold", compression: "block" }
] as const

describe("SegmentReader, fed with files that were changed at random", () => {
  it("reads them without a wrong event, a crash or a hang", async ({ annotate }) => {
    const { disk } = await Effect.runPromise(SimulatedDisk.make({ seed: 1 }))
    const frameBlockBytes = 600
    const frames = await Promise.all(sources.map((segment) => frameOf(segment.bytes, frameBlockBytes)))
    // Handed from file to file, whatever the one before was.
    const memory = rotatingMemory(1)
    const recorded = sources.map((segment) => segment.events.map((event) => Buffer.from(event).toString("latin1")))
    let bytes: Uint8Array = new Uint8Array(0)
    const inMemory = Disk.of({ ...disk, open: (path) => Effect.succeed(fileOf(path, bytes)) })
    const outcomes = { failed: 0, shorter: 0, whole: 0 }
    const read = async (seed: number) => {
      const random = makeRandom(seed)
      const which = below(random, sources.length)
      const segment = sources[which]!
      const shape = forms[below(random, forms.length)]!
      const file: SegmentFile = { segmentIndex: 0, path: `seed ${seed}`, ...shape }
      // Either the segment was changed before it was compressed, or the file after.
      const isInner = random() < 0.4
      const inner = isInner ? (random() < 0.4 ? lie(segment, random) : mutate(segment.bytes, random)) : segment.bytes
      const whole = shape.form === "hot"
        ? inner
        : shape.compression === "block"
        ? compressSync(inner)
        : isInner
        ? await frameOf(inner, frameBlockBytes)
        : frames[which]!
      bytes = isInner ? whole : mutate(whole, random)
      const reading = random() < 0.5 ? forReplay(memory) : forVerification()
      let next = 1
      let wrong: string | undefined
      const before = process.memoryUsage().arrayBuffers
      const result = await Effect.runPromise(Effect.result(Effect.provideService(
        readSegment(file, {}, (block) =>
          forEachEvent(block, (id, payload, start, end) => {
            const text = Buffer.from(payload.buffer, payload.byteOffset + start, end - start).toString("latin1")
            if (id !== next || recorded[which]![id - 1] !== text) wrong ??= `event ${id} where ${next} was expected`
            next += 1
          }), reading),
        Disk,
        inMemory
      )))
      if (wrong !== undefined) assert.fail(wrong)
      if (Result.isFailure(result)) {
        outcomes.failed += 1
        if (result.failure._tag !== "SegmentCorrupt") assert.fail(String(result.failure))
      } else if (next - 1 === segment.events.length) {
        outcomes.whole += 1
      } else {
        // Only an open segment may end earlier without a fault.
        if (result.success.closed) assert.fail(`${next - 1} events in a closed segment, and no fault`)
        outcomes.shorter += 1
      }
      // Counts what is garbage already, so it bounds what one file can make a reader allocate.
      const allocated = process.memoryUsage().arrayBuffers - before
      if (allocated > allocatedBytesMax) assert.fail(`${allocated} bytes of memory for one small file`)
    }
    const count = await playSample("segmentFuzz", annotate, read)
    if (count < samples.segmentFuzz.atLeast) return
    assert.isAbove(outcomes.failed, count / 4)
    assert.isAbove(outcomes.shorter, count / 50)
  })
})
