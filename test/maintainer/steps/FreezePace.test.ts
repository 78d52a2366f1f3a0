/** How a freeze gives way: to commits, and to whatever else needs the event loop. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { setImmediate as nextTurn } from "node:timers/promises"
import { Disk } from "../../../src/disk/Disk.ts"
import { SegmentDirectory } from "../../../src/disk/SegmentDirectory.ts"
import { blocking } from "../../../src/maintainer/Compressor.ts"
import type { RawCompressor } from "../../../src/maintainer/Compressor.ts"
import { SegmentMaintainer } from "../../../src/maintainer/SegmentMaintainer.ts"
import * as FreezePace from "../../../src/maintainer/steps/FreezePace.ts"
import { freeze } from "../../../src/maintainer/steps/FreezeStep.ts"
import { anyBytes, closedSegment, SegmentProof } from "../../../src/maintainer/steps/SegmentProof.ts"
import type { ProofMaker } from "../../../src/maintainer/steps/SegmentProof.ts"
import { FrameMemory } from "../../../src/reading/segment/FrameReader.ts"
import { Recorder } from "../../../src/recorder/Recorder.ts"
import * as Wal from "../../../src/recorder/WalParts.ts"
import { noopUpdater } from "../../../src/telemetry/SegmentMaintainerUpdater.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import { hotPath, open, put, quiet, simulated, whileClockTurns } from "../maintaining.ts"

const directory = "/wal"
const pieces = 8

/**
 * A compressor that takes its time, and a proof that counts how often a piece is proved while another is compressed.
 */
const watched = (proof: ProofMaker, turnsOfCompressing: number) => {
  const seen = { overlaps: 0, aside: 0, awaited: 0 }
  let compressing = 0
  let isProving = false
  const compressor: RawCompressor = {
    ...blocking,
    compress: async (bytes, options) => {
      if (options?.urgent === true) seen.awaited += 1
      if (isProving) seen.overlaps += 1
      compressing += 1
      for (let turn = 0; turn < turnsOfCompressing; turn++) await nextTurn()
      compressing -= 1
      return blocking.compress(bytes)
    },
    uncompress: (bytes, options) => {
      isProving = true
      if (options?.urgent === false) seen.aside += 1
      return blocking.uncompress(bytes)
    }
  }
  const begin: ProofMaker["begin"] = (segmentIndex) => {
    const run = proof.begin(segmentIndex)
    return {
      end: run.end,
      push: (chunk) => {
        isProving = false
        if (compressing > 0) seen.overlaps += 1
        run.push(chunk)
      }
    }
  }
  return { seen, services: Layer.merge(simulated({}, compressor), Layer.succeed(SegmentProof, { begin })) }
}

/**
 * Freezes eight pieces, and returns how often two things were done at once, or one was hurried, and how often the event
 * loop turned.
 */
const freezeWhile = (pressure: FreezePace.Pressure, turnsOfCompressing = 20) => {
  const { seen, services } = watched(anyBytes, turnsOfCompressing)
  let turns = 0
  return Effect.gen(function*() {
    yield* Disk.use((disk) => disk.makeDirectory(directory))
    yield* put(hotPath(directory, 0), new Uint8Array(pieces * 1024 * 1024))
    const options = {
      directory: new SegmentDirectory(directory),
      compression: "frame",
      telemetry: noopUpdater,
      pressure,
      leftBehind: new Set<string>(),
      memory: new FrameMemory()
    } as const
    let next: NodeJS.Immediate | undefined
    const turn = () => {
      turns += 1
      next = setImmediate(turn)
    }
    turn()
    yield* Effect.ensuring(freeze(options, 0), Effect.sync(() => clearImmediate(next)))
    return { ...seen, turns }
  }).pipe(Effect.provide(Layer.fresh(services)))
}

/**
 * Records eight pieces, which are frozen as soon as they are closed. Meanwhile nothing waits, or a caller waits for one
 * commit after the other, for another freeze, for a drain, or for a commit that finds no room on the disk.
 */
const recordWhile = Effect.fnUntraced(
  function*(whom: "nobody" | "commits" | "another freeze" | "a drain" | "a full disk") {
    const { seen, services } = watched(closedSegment, 20)
    const { close, context } = yield* open(
      Wal.layer({
        directory,
        segmentBytesMax: pieces * 1024 * 1024,
        slots: 2,
        flushEvery: 0,
        limits: { maxSegments: 2, maxCompressedSegments: 4 }
      }).pipe(Layer.provideMerge(Layer.fresh(services)))
    )
    const disk = Context.get(context, SimulatedDisk.SimulatedDisk)
    const recorder = Context.get(context, Recorder)
    const maintainer = Context.get(context, SegmentMaintainer)
    const event = new Uint8Array(64 * 1024)
    for (let count = 1; count < pieces * 16; count++) yield* recorder.append(event)
    yield* recorder.rotate
    yield* recorder.append(event)
    const isFrozen = Effect.map(maintainer.status, (status) => status.coldSegments > 0)
    if (whom === "another freeze") {
      // More than half a segment: one that is short stays hot until another one follows.
      for (let count = 1; count < pieces * 10; count++) yield* recorder.append(event)
      yield* recorder.rotate
    }
    if (whom === "a full disk") yield* disk.failAlways("write", "Full", /00000001/)
    const turn = {
      "nobody": Effect.yieldNow,
      "commits": Effect.andThen(recorder.append(event.subarray(0, 9)), recorder.commit),
      "another freeze": Effect.yieldNow,
      "a drain": maintainer.drain,
      "a full disk": Effect.andThen(Effect.forkScoped(Effect.ignore(recorder.commit)), Effect.yieldNow)
    }[whom]
    const frozen = Effect.repeat(Effect.andThen(turn, isFrozen), { until: (isFrozen) => isFrozen })
    yield* whileClockTurns(frozen)
    const { awaited, overlaps } = seen
    yield* disk.heal
    yield* whileClockTurns(close)
    return { awaited, overlaps }
  },
  Effect.scoped,
  quiet
)

describe("a freeze", () => {
  it.effect("compresses a piece while it decodes and proves another", () =>
    Effect.gen(function*() {
      const { aside, awaited, overlaps } = yield* freezeWhile({ commitsAsked: () => 0, isAwaited: () => false })
      assert.isAtLeast(overlaps, pieces - 2)
      assert.strictEqual(aside, 0)
      assert.strictEqual(awaited, 0)
    }))

  it.effect("does one after the other while commits come, and decodes where it compresses", () =>
    Effect.gen(function*() {
      let asked = 0
      const { aside, overlaps } = yield* freezeWhile({ commitsAsked: () => ++asked, isAwaited: () => false })
      assert.strictEqual(overlaps, 0)
      assert.strictEqual(aside, pieces)
    }))

  it.effect("goes on at full speed, commits or not, while anything waits for it", () =>
    Effect.gen(function*() {
      let asked = 0
      const { aside, awaited, overlaps } = yield* freezeWhile({ commitsAsked: () => ++asked, isAwaited: () => true })
      assert.isAtLeast(overlaps, pieces - 2)
      assert.strictEqual(aside, 0)
      assert.strictEqual(awaited, pieces)
    }))

  it.effect("gives every part of a piece a turn of the event loop of its own", () =>
    Effect.gen(function*() {
      let asked = 0
      // Reading, hashing and compressing; decoding, hashing again and proving.
      assert.isAtLeast(
        (yield* freezeWhile({ commitsAsked: () => ++asked, isAwaited: () => false }, 0)).turns,
        pieces * 5
      )
    }))
})

describe("a recorder's maintainer", () => {
  it.effect("freezes as fast as it can while nobody commits", () =>
    Effect.gen(function*() {
      const { awaited, overlaps } = yield* recordWhile("nobody")
      assert.isAtLeast(overlaps, pieces - 2)
      assert.strictEqual(awaited, 0)
    }))

  it.effect("gives way to commits", () =>
    Effect.gen(function*() {
      // The first pieces may be under way before the first commit comes.
      const { awaited, overlaps } = yield* recordWhile("commits")
      assert.isAtMost(overlaps, 2)
      assert.strictEqual(awaited, 0)
    }))

  for (const whom of ["another freeze", "a drain", "a full disk"] as const) {
    it.effect(`hurries beside ${whom}`, () =>
      Effect.gen(function*() {
        const { awaited, overlaps } = yield* recordWhile(whom)
        assert.isAtLeast(overlaps, pieces - 3)
        assert.isAtLeast(awaited, pieces - 3)
      }))
  }
})

describe("FreezePace", () => {
  it.effect("sees commits at every piece, and for fifteen pieces after the last", () =>
    Effect.gen(function*() {
      let asked = 7
      let isAwaited = false
      const pace = yield* FreezePace.make({ commitsAsked: () => asked, isAwaited: () => isAwaited })
      assert.strictEqual(pace.look(), "free", "commits before the freeze are over")
      asked += 1
      for (let piece = 0; piece < 16; piece++) assert.strictEqual(pace.look(), "givesWay", `piece ${piece}`)
      assert.strictEqual(pace.look(), "free")
      asked += 100
      assert.strictEqual(pace.look(), "givesWay")
      assert.strictEqual(pace.last(), "givesWay")
      isAwaited = true
      assert.strictEqual(pace.look(), "awaited")
      assert.strictEqual(pace.last(), "awaited")
      isAwaited = false
      assert.strictEqual(pace.look(), "givesWay", "the commits were seen meanwhile")
    }))
})
