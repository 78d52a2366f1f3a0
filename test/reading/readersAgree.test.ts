/**
 * Readers agree. A table of files stands in the middle of a log, and every reader gets it: verification, also
 * incremental and on a read-only mount; replays of all of it, from ids, from a time, from the segment, past damage;
 * repair, backup, inspection, and opening for recording. What one accepts, all accept, with the same events. What one
 * refuses, all refuse for the same fault, but for a reader that began after it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { compressSync } from "lz4-napi"
import { Disk } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { SegmentDirectory } from "../../src/disk/SegmentDirectory.ts"
import { encodeHeader } from "../../src/format/SegmentHeader.ts"
import type { SegmentHeader } from "../../src/format/SegmentHeader.ts"
import { format1Layout } from "../../src/format/SegmentLayout.ts"
import type { SegmentLayout } from "../../src/format/SegmentLayout.ts"
import { coldName, defaultNaming, hotName } from "../../src/format/SegmentName.ts"
import { makeDirectoryReader, oldestEventId } from "../../src/reading/DirectoryReader.ts"
import { backup } from "../../src/reading/recovery/Backup.ts"
import * as Recovery from "../../src/reading/recovery/Recovery.ts"
import { repair } from "../../src/reading/recovery/Repair.ts"
import { verify } from "../../src/reading/recovery/Verify.ts"
import type { VerifyReport } from "../../src/reading/recovery/Verify.ts"
import * as Replay from "../../src/reading/Replay.ts"
import type { SegmentCorrupt } from "../../src/reading/segment/SegmentCorrupt.ts"
import { readStart } from "../../src/reading/segment/SegmentReader.ts"
import { here, place } from "../cli/commandLine.ts"
import { buildSegment, buildWal, filesIn, makeRandom, put } from "../fixtures/segments.ts"
import type { BuiltSegment, NamedFile } from "../fixtures/segments.ts"
import { directory, onReadOnlyDisk, onSimulatedDisk } from "../fixtures/simulatedWal.ts"
import { foreignFrame as frame, skippable } from "../format/lz4/foreignFrames.ts"

/** Content of a full block of the frames: the least that LZ4 has, so that a short segment has many. */
const fullBytes = 64 * 1024

const flipped = (bytes: Uint8Array, at: number): Buffer => {
  const copy = Buffer.from(bytes)
  const index = at < 0 ? copy.length + at : at
  copy[index] = copy[index]! ^ 0x10
  return copy
}

/** A file of the table: what stands for the middle segment, and what verification reports of it. */
interface Case {
  readonly name: string
  readonly file: (middle: BuiltSegment) => NamedFile
  /** `intact`: every reader hands out every event. `damaged`: no reader that reads the fault goes past it. */
  readonly verdict: "intact" | "damaged" | "redundant"
  /** The fault lies before the last events of the segment, or where only a reader of the whole segment looks. */
  readonly mayBegin?: "after it"
}

const hot = (bytes: Uint8Array): NamedFile => ({ name: hotName(defaultNaming, 1), bytes })
const cold = (bytes: Uint8Array): NamedFile => ({ name: coldName(defaultNaming, 1, "frame"), bytes })
const block = (bytes: Uint8Array): NamedFile => ({ name: coldName(defaultNaming, 1, "block"), bytes })
const blockOf = (content: Uint8Array): Buffer => Buffer.from(compressSync(Buffer.from(content)))

/** The same segment with another header, which has the checksum of its own fields. */
const withHeader = (middle: BuiltSegment, fields: Partial<SegmentHeader>): Buffer => {
  const bytes = Buffer.from(middle.bytes)
  bytes.set(encodeHeader({ ...middle.header, ...fields }))
  return bytes
}

const intact: ReadonlyArray<readonly [string, Case["file"]]> = [
  ["hot", ({ bytes }) => hot(bytes)],
  ["a frame as a freeze makes it", ({ bytes }) => cold(frame(bytes))],
  ["the block form", ({ bytes }) => block(blockOf(bytes))],
  ["a frame with blocks of 64 KiB", ({ bytes }) => cold(frame(bytes, { code: 4 }))],
  ["a frame without a content size", ({ bytes }) => cold(frame(bytes, { claimedBytes: "none" }))],
  ["a frame without a content checksum", ({ bytes }) => cold(frame(bytes, { hasContentChecksum: false }))],
  ["a frame with block checksums", ({ bytes }) => cold(frame(bytes, { hasBlockChecksums: true }))],
  ["a frame that says its blocks are linked", ({ bytes }) => cold(frame(bytes, { isLinked: true }))],
  [
    "a frame of as many blocks as full ones would be, which are not full",
    ({ bytes }) => cold(frame(bytes, { blockBytes: [fullBytes - 64, fullBytes - 128, fullBytes - 64, fullBytes - 64] }))
  ],
  ["a skippable frame in front", ({ bytes }) => cold(Buffer.concat([skippable(100), frame(bytes)]))],
  ["an empty skippable frame in front", ({ bytes }) => cold(Buffer.concat([skippable(0), frame(bytes)]))],
  ["a skippable frame behind", ({ bytes }) => cold(Buffer.concat([frame(bytes), skippable(2 * fullBytes)]))],
  ["two frames", ({ bytes }) => cold(Buffer.concat([frame(bytes.subarray(0, 4e5)), frame(bytes.subarray(4e5))]))],
  [
    "two frames, the first of which can be sought in",
    ({ bytes }) => cold(Buffer.concat([frame(bytes.subarray(0, -1000)), frame(bytes.subarray(-1000))]))
  ],
  [
    "two frames with a skippable one between",
    ({ bytes }) => {
      const half = bytes.length >> 1
      return cold(Buffer.concat([frame(bytes.subarray(0, half)), skippable(7), frame(bytes.subarray(half))]))
    }
  ],
  ["an empty frame in front", ({ bytes }) => cold(Buffer.concat([frame(new Uint8Array(0)), frame(bytes)]))],
  ["an empty frame behind", ({ bytes }) => cold(Buffer.concat([frame(bytes), frame(new Uint8Array(0))]))]
]

const damaged: ReadonlyArray<readonly [string, Case["file"], Pick<Case, "mayBegin">?]> = [
  ["bytes after a hot segment", ({ bytes }) => hot(Buffer.concat([bytes, Buffer.alloc(1000, 1)]))],
  ["bytes after a frame", ({ bytes }) => cold(Buffer.concat([frame(bytes), Buffer.alloc(1000, 1)]))],
  ["a byte after a frame", ({ bytes }) => cold(Buffer.concat([frame(bytes), Buffer.alloc(1, 1)]))],
  ["a byte after the block form", ({ bytes }) => block(Buffer.concat([blockOf(bytes), Buffer.alloc(1, 1)]))],
  [
    "a frame with content after the segment",
    ({ bytes }) => cold(Buffer.concat([frame(bytes), frame(Buffer.alloc(1000, 1))]))
  ],
  ["half a skippable frame behind", ({ bytes }) => cold(Buffer.concat([frame(bytes), skippable(100).subarray(0, 50)]))],
  ["a hot segment that is cut off", ({ bytes }) => hot(bytes.subarray(0, bytes.length - 100_000))],
  ["a frame that is cut off in a block", ({ bytes }) => cold(frame(bytes).subarray(0, -1000))],
  ["a frame without its end mark", ({ bytes }) => cold(frame(bytes).subarray(0, -8))],
  ["a frame without the checksum that it names", ({ bytes }) => cold(frame(bytes).subarray(0, -4))],
  ["the block form, cut off", ({ bytes }) => block(blockOf(bytes).subarray(0, -1000))],
  ["a frame that claims less", ({ bytes }) => cold(frame(bytes, { claimedBytes: bytes.length - 1 }))],
  ["a frame that claims more", ({ bytes }) => cold(frame(bytes, { claimedBytes: bytes.length + 1 }))],
  ["a frame that claims a block more", ({ bytes }) => cold(frame(bytes, { claimedBytes: bytes.length + fullBytes }))],
  [
    "a block form that claims more",
    ({ bytes }) => {
      const form = blockOf(bytes)
      form.writeUInt32LE(bytes.length + 1)
      return block(form)
    }
  ],
  ["an empty hot file", () => hot(new Uint8Array(0))],
  ["an empty cold file", () => cold(new Uint8Array(0))],
  ["an empty block form", () => block(new Uint8Array(0))],
  ["zeros instead of a frame", () => cold(Buffer.alloc(10 * fullBytes))],
  ["a skippable frame alone", () => cold(skippable(100))],
  ["an empty frame alone", () => cold(frame(new Uint8Array(0)))],
  [
    "a legacy frame",
    ({ bytes }) => cold(Buffer.concat([Buffer.from([0x02, 0x21, 0x4c, 0x18]), frame(bytes).subarray(4)]))
  ],
  ...(["magic", "flags", "block maximum", "content size", "header checksum"] as const).map((field, at) =>
    [
      `a flipped ${field} of a frame`,
      ({ bytes }: BuiltSegment) => cold(flipped(frame(bytes), [0, 4, 5, 9, 14][at]!))
    ] as const
  ),
  ...([
    ["magic", 0],
    ["version", 2],
    ["header size", 3],
    ["segment index", 4],
    ["block count", 8],
    ["event count", 12],
    ["first id", 16],
    ["last id", 24],
    ["created", 32],
    ["closed", 40],
    ["checksum", 48],
    ["last chain", 56]
  ] as const).map(([field, at]) =>
    [
      `a flipped ${field} of a segment header`,
      ({ bytes }: BuiltSegment) => at % 8 === 0 ? hot(flipped(bytes, at)) : cold(frame(flipped(bytes, at)))
    ] as const
  ),
  ["another index in the header", (middle) => hot(withHeader(middle, { segmentIndex: 7 }))],
  [
    "another block count in the header",
    (middle) => hot(withHeader(middle, { blockCount: middle.header.blockCount - 1 }))
  ],
  [
    "another event count in the header",
    (middle) => hot(withHeader(middle, { eventCount: middle.header.eventCount - 1 })),
    { mayBegin: "after it" }
  ],
  [
    "another last id in the header",
    (middle) => hot(withHeader(middle, { lastEventId: middle.header.lastEventId + 1 }))
  ],
  ["another last chain in the header", (middle) => hot(withHeader(middle, { lastChainedChecksum: 7n }))],
  [
    "a flipped byte in the first block",
    (middle) => hot(flipped(middle.bytes, middle.blockEnds[0]!.offset - 80)),
    { mayBegin: "after it" }
  ],
  [
    "a flipped byte in the first block of a frame",
    ({ bytes }) => cold(flipped(frame(bytes, { hasBlockChecksums: true }), 60)),
    { mayBegin: "after it" }
  ],
  ["a flipped byte in the last block", (middle) => hot(flipped(middle.bytes, middle.blockEnds.at(-1)!.offset - 80))],
  [
    "a flipped byte in the last block, in a frame",
    (middle) => cold(frame(flipped(middle.bytes, middle.blockEnds.at(-1)!.offset - 80)))
  ],
  [
    "a flipped byte in the last block of a frame",
    ({ bytes }) => cold(flipped(frame(bytes, { hasBlockChecksums: true }), -20))
  ]
]

/** What only verification looks at, since it changes no event: a checksum beside others that are right. */
const redundant: ReadonlyArray<readonly [string, Case["file"]]> = [
  ["another content checksum of a frame", ({ bytes }) => cold(flipped(frame(bytes), -1))]
]

const table: ReadonlyArray<Case> = [
  ...intact.map(([name, file]): Case => ({ name, file, verdict: "intact" })),
  ...damaged.map(([name, file, notes]): Case => ({ name, file, verdict: "damaged", ...notes })),
  ...redundant.map(([name, file]): Case => ({ name, file, verdict: "redundant" }))
]

/** A fault of the middle segment, without its path. */
const faultOf = ({ faults }: VerifyReport): string | undefined => {
  for (const fault of faults) {
    if (fault.kind === "Corrupt" && fault.segmentIndex === 1) return faultText(fault)
  }
  return faults[0] && JSON.stringify(faults[0])
}

const faultText = (fault: {
  readonly reason: string
  readonly offset: number
  readonly expected: string
  readonly found: string
}): string => `${fault.reason} at ${fault.offset}: expected ${fault.expected}, found ${fault.found}`

const corruptText = ({ reason }: SegmentCorrupt): string => faultText({ ...reason, reason: reason._tag })

/** What a replay hands out, whether all of that is true, and how it ends. */
const replayedOf = (truth: ReadonlyMap<number, Uint8Array>) =>
  Effect.fnUntraced(function*(options: Omit<Replay.ReplayOptions, "directory">) {
    const ids: Array<number> = []
    let isRight = true
    const read = Stream.runForEachArray(Replay.events({ directory, ...options }), (events) =>
      Effect.sync(() => {
        for (const { bytes, id } of events) {
          ids.push(id)
          const event = truth.get(id)
          isRight &&= event !== undefined && Buffer.compare(bytes, event) === 0
        }
      }))
    const end = yield* Effect.result(read)
    const fault = Result.isSuccess(end)
      ? undefined
      : end.failure._tag === "SegmentCorrupt"
      ? corruptText(end.failure)
      : String(end.failure)
    return { ids, isRight, fault }
  })

interface Kind {
  readonly name: string
  readonly layout: SegmentLayout
  readonly built: ReadonlyArray<BuiltSegment>
}

const seconds = [[0, 10], [11, 20], [21, 30]] as const

/** Segments of events of 4 KiB, 15 to a block. */
const buildLongWal = (layout: SegmentLayout, segments: ReadonlyArray<number>): Array<BuiltSegment> => {
  const nanosAt = (second: number): bigint => BigInt(1_700_000_000 + second) * 1_000_000_000n
  const random = makeRandom(1)
  const built: Array<BuiltSegment> = []
  for (const [segmentIndex, count] of segments.entries()) {
    const before = built.at(-1)
    const [created, closed] = seconds[segmentIndex]!
    const event = () => Buffer.from(Float64Array.from({ length: 512 }, (_, i) => i < 300 ? random() : 0).buffer)
    built.push(buildSegment({
      layout,
      segmentIndex,
      firstEventId: (before?.lastEventId ?? 0) + 1,
      commits: Array.from({ length: count / 15 }, () => Array.from({ length: 15 }, event)),
      previousChainedChecksum: before?.chainedChecksum ?? 0n,
      createdNanos: nanosAt(created),
      closedNanos: nanosAt(closed),
      commitNanos: (firstEventId) => nanosAt(created) + BigInt(firstEventId) * 1_000_000n
    }))
  }
  return built
}

const format2: SegmentLayout = { version: 2, eventSize: 0, blockBytesMax: 64 * 1024 }

const kinds: ReadonlyArray<Kind> = [
  { name: "format 2", layout: format2, built: buildLongWal(format2, [30, 165, 30]) },
  {
    name: "format 1",
    layout: format1Layout,
    built: buildWal({ layout: format1Layout, segments: [1000, 9500, 1000], commitEvents: 255, seconds })
  }
]

describe.each(kinds)("readers of $name", ({ built, layout }) => {
  const [oldest, middle, newest] = [built[0]!, built[1]!, built[2]!]
  const replayed = replayedOf(
    new Map(built.flatMap(({ events, firstEventId }) => events.map((event, at) => [firstEventId + at, event] as const)))
  )
  const lastId = newest.lastEventId

  it("are given a segment that is long enough for seeks to begin inside it", () => {
    assert.isAbove(middle.bytes.length, 8 * fullBytes)
    assert.isAbove(middle.bytes.length, 4 * layout.blockBytesMax)
  })

  it.effect.each(table)("agree on $name: $verdict", ({ file, mayBegin, verdict }) =>
    Effect.gen(function*() {
      yield* put(
        directory,
        { name: hotName(defaultNaming, 0), bytes: oldest.bytes },
        file(middle),
        { name: hotName(defaultNaming, 2), bytes: newest.bytes }
      )
      const before = yield* filesIn(directory)
      const report = yield* verify({ directory })
      const fault = faultOf(report)
      assert.strictEqual(fault === undefined, verdict === "intact", fault)

      // Verification in other ways, on a disk that takes nothing.
      yield* Effect.gen(function*() {
        for (const incremental of ["onlyNew", "again"] as const) {
          assert.deepStrictEqual((yield* verify({ directory, incremental })).faults, report.faults)
        }
      }).pipe(onReadOnlyDisk)

      // Whole replay.
      const whole = yield* replayed({})
      assert.isTrue(whole.isRight)
      if (verdict === "damaged") assert.strictEqual(whole.fault, fault)
      else assert.deepStrictEqual([whole.fault, whole.ids.length], [undefined, lastId])

      // Replays that begin anywhere.
      const { firstEventId, lastEventId } = middle
      const places = [
        { id: firstEventId },
        { id: firstEventId + 3 },
        { id: Math.floor((firstEventId + lastEventId) / 2) },
        { id: lastEventId - 1 },
        { time: 1_700_000_011_000 }
      ]
      for (const from of places) {
        const part = yield* replayed({ from })
        const what = `from ${JSON.stringify(from)}`
        assert.isTrue(part.isRight, what)
        const fromId = from.id ?? firstEventId
        if (part.fault === undefined) {
          assert.isTrue(verdict !== "damaged" || mayBegin === "after it", `${what} refuses: ${fault}`)
          assert.deepStrictEqual([part.ids[0], part.ids.length], [fromId, lastId - fromId + 1], what)
        } else {
          assert.strictEqual(verdict, "damaged", `${what} accepts`)
          assert.strictEqual(part.fault, fault, what)
        }
      }

      // Past damage.
      const holes: Array<Replay.Hole> = []
      const past = yield* replayed({ onHole: (hole) => Effect.sync(() => holes.push(hole)) })
      assert.isUndefined(past.fault)
      assert.isTrue(past.isRight)
      assert.strictEqual(holes.length > 0, verdict === "damaged")
      const first = holes[0]?.damage[0]?.error
      if (first !== undefined) assert.strictEqual(first._tag === "SegmentCorrupt" && corruptText(first), fault)

      // Repair, and a copy.
      const { left, steps } = yield* repair({ directory, apply: false })
      assert.strictEqual(steps.length + left.length > 0, verdict !== "intact")
      const copy = yield* backup({ directory, to: "/copy" })
      assert.deepStrictEqual(
        copy.faults.map((found) =>
          "path" in found ? { ...found, path: found.path.replace("/copy", directory) } : found
        ),
        report.faults
      )
      assert.deepStrictEqual(yield* filesIn(directory), before)

      // What looks at beginnings alone, and what records after it.
      if (verdict === "intact") {
        const reader = yield* makeDirectoryReader(new SegmentDirectory(directory))
        assert.strictEqual(yield* oldestEventId(reader), 1)
        const start = yield* reader.use(1, readStart)
        assert.strictEqual(start?.firstEventId, firstEventId)
        assert.strictEqual(start?.header.eventCount, middle.events.length)
        yield* Disk.use((disk) => disk.unlink(`${directory}/${hotName(defaultNaming, 2)}`))
        const { report: opened } = yield* Recovery.open({ directory, naming: defaultNaming, version: layout.version })
        assert.strictEqual(opened.lastEventId, lastEventId)
      }
    }).pipe(onSimulatedDisk))

  /** Writes other files than one in the middle, and gives what verification and a whole replay find. */
  const readWith = Effect.fnUntraced(function*(...files: ReadonlyArray<NamedFile>) {
    yield* put(directory, { name: hotName(defaultNaming, 0), bytes: oldest.bytes }, ...files)
    const report = yield* verify({ directory })
    const whole = yield* replayed({})
    const part = yield* replayed({ from: { id: middle.lastEventId - 1 } })
    return { fault: faultOf(report), whole, part, report }
  })

  it.effect("agree on a segment without events between two, whatever its form", () =>
    Effect.gen(function*() {
      const chainStart = layout.version === 1 ? 0n : oldest.chainedChecksum
      const header = encodeHeader({
        ...middle.header,
        blockCount: 0,
        eventCount: 0,
        firstEventId: middle.firstEventId,
        lastEventId: middle.firstEventId - 1,
        lastChainedChecksum: chainStart
      })
      const after = buildSegment({
        layout,
        segmentIndex: 2,
        firstEventId: middle.firstEventId,
        commits: [middle.events.slice(0, 10)],
        previousChainedChecksum: chainStart
      })
      const next: NamedFile = { name: hotName(defaultNaming, 2), bytes: after.bytes }
      for (const file of [hot(header), cold(frame(header)), block(blockOf(header))]) {
        yield* Effect.gen(function*() {
          const { fault, whole } = yield* readWith(file, next)
          assert.deepStrictEqual([fault, whole.fault, whole.ids.length], [
            undefined,
            undefined,
            oldest.lastEventId + 10
          ])
          const part = yield* replayed({ from: { id: middle.firstEventId + 5 } })
          assert.deepStrictEqual([part.fault, part.ids.length], [undefined, 5])
        }).pipe(onSimulatedDisk)
      }
    }))

  it.effect("agree on a segment that does not belong where it is", () =>
    Effect.gen(function*() {
      const foreign: ReadonlyArray<readonly [string, Buffer]> = [
        ["BadOrder", newest.bytes],
        ...(layout.version === 1 ? [] : [
          ["BrokenChain", withHeader(middle, { walId: new Uint8Array(16).fill(7) })] as const,
          ["BrokenChain", withHeader(middle, { previousChainedChecksum: 7n })] as const
        ])
      ]
      for (const [kind, bytes] of foreign) {
        for (const file of [hot(bytes), cold(frame(bytes)), block(blockOf(bytes))]) {
          yield* Effect.gen(function*() {
            const { fault, whole } = yield* readWith(file)
            assert.include(fault ?? "", kind)
            assert.strictEqual(whole.fault, fault)
            assert.strictEqual(whole.ids.length, oldest.lastEventId)
            const { left, steps } = yield* repair({ directory, apply: false })
            assert.strictEqual(steps.length + left.length, 1)
          }).pipe(onSimulatedDisk)
        }
      }
    }))

  it.effect("agree on names that are not of the log, and on several forms of a segment", () =>
    Effect.gen(function*() {
      const next: NamedFile = { name: hotName(defaultNaming, 2), bytes: newest.bytes }
      const others = ["FS.1.wal", "FS.00000001.wal.lz4.bak", "XX.00000001.wal", "FS.4294967295.wal", "notes.txt"].map(
        (name): NamedFile => ({ name, bytes: Buffer.from(name) })
      )
      const { fault, part, report, whole } = yield* readWith(
        hot(middle.bytes),
        cold(frame(middle.bytes)),
        next,
        ...others
      )
      assert.deepStrictEqual([fault, whole.fault, part.fault], [undefined, undefined, undefined])
      assert.deepStrictEqual([whole.ids.length, report.severalForms], [lastId, [1]])
      assert.deepStrictEqual([...report.foreign].sort(), others.map(({ name }) => name).sort())
    }).pipe(onSimulatedDisk))

  it.live(
    "agree on the command line: it inspects, exports and verifies every form alike",
    () =>
      Effect.gen(function*() {
        const inPlace = yield* place
        const fromId = middle.lastEventId - 1
        for (const [name, file] of intact) {
          const dir = inPlace(name.replaceAll(" ", "-"))
          yield* put(
            dir,
            { name: hotName(defaultNaming, 0), bytes: oldest.bytes },
            file(middle),
            { name: hotName(defaultNaming, 2), bytes: newest.bytes }
          )
          const inspected = yield* here("inspect", "--dir", dir, "--json")
          const { segments } = JSON.parse(inspected.stdout)
          assert.deepStrictEqual(
            segments.map(({ events, firstEventId, lastEventId }: Readonly<Record<string, number>>) => [
              events,
              firstEventId,
              lastEventId
            ]),
            built.map(({ events, firstEventId, lastEventId }) => [events.length, firstEventId, lastEventId])
          )
          const exported = yield* here("export", "--dir", dir, "--from", String(fromId), "--to", String(fromId))
          assert.strictEqual(JSON.parse(exported.stdout).id, fromId)
          assert.deepStrictEqual([inspected.code, exported.code, exported.stderr], [0, 0, ""])
          assert.strictEqual((yield* here("verify", "--dir", dir)).code, 0)
        }
      }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer))
  )
})
