/**
 * A writer and a flusher on the same slot, step by step: between any two steps of a flush the writer does what it
 * likes. Whatever it does, every event that it has published finds room in the file.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { format1BlockBytes } from "../../../src/format/Block.ts"
import { fileBytesOf, format1BlocksOf, format1Layout } from "../../../src/format/SegmentLayout.ts"
import { seal } from "../../../src/format/SegmentSealer.ts"
import * as Format1Room from "../../../src/maintainer/persist/Format1Room.ts"
import { SegmentWriter } from "../../../src/recorder/SegmentWriter.ts"
import * as Arena from "../../../src/shared/Arena.ts"
import * as BatchMarks from "../../../src/shared/BatchMarks.ts"
import * as TaskQueue from "../../../src/shared/TaskQueue.ts"
import { makeRandom } from "../../fixtures/segments.ts"
import { playSample, samples } from "../../samples.ts"

const { blockBytesMax: blockBytes } = format1Layout
const eventBytes = 64

const race = (slotBytes: number, random: () => number, batches: boolean) => {
  const arena = Arena.makeUnsafe({ slots: 2, slotBytes, layout: format1Layout })
  let rotations = 0
  const isHandedOver = () => rotations > 0
  const writer = new SegmentWriter({
    arena,
    toPersist: Effect.runSync(TaskQueue.make({ capacity: 8, consumersMax: 1, isShared: false })),
    firstSegmentIndex: 0,
    firstEventId: 1,
    nowMillis: () => 0,
    nowNanos: () => 0,
    onRotate: () => {
      rotations += 1
    }
  })
  const below = (count: number) => Math.floor(random() * count)

  /** The writer loads the limit in `reserveUnsafe` and publishes the watermark in `publishUnsafe`. */
  let isReserved = false
  const reserve = () => {
    if (isReserved || isHandedOver()) return
    writer.reserveUnsafe(eventBytes)
    isReserved = !isHandedOver()
  }
  const publish = () => {
    if (isReserved) writer.publishUnsafe()
    isReserved = false
  }
  const append = (count: number) => {
    publish()
    for (let i = 0; i < count && !isHandedOver(); i++) {
      reserve()
      publish()
    }
  }
  /** What runs while a batch is on its way: after the writer has loaded the limit, before it publishes. */
  let meanwhile: (() => void) | undefined
  const put = writer["put"].bind(writer)
  Object.assign(writer, {
    put: (event: Uint8Array) => {
      const act = meanwhile
      meanwhile = undefined
      act?.()
      put(event)
    }
  })
  const event = new Uint8Array(eventBytes)
  /** Events of the next segment. */
  let eventsBehind = 0
  const batch = (count: number) => {
    publish()
    if (isHandedOver()) return
    writer.appendAllUnsafe(Array.from({ length: count }, () => event))
    if (isHandedOver()) eventsBehind = count
  }
  const roomUpToLimit = () =>
    Math.floor((Atomics.load(arena.words, Arena.limitWord(0)) - writer.activeBytes) / eventBytes)
  const write = () => {
    switch (below(batches ? 9 : 6)) {
      case 6:
        return batch(2 + below(254))
      case 7:
        return batch(128 + below(3))
      case 8: {
        meanwhile = sealMeanwhile
        batch(2 + below(254))
        meanwhile = undefined
        return undefined
      }
      case 0:
        return reserve()
      case 1:
        return publish()
      case 2:
        return append(1)
      case 3:
        return append(254 + below(4))
      case 4:
        // To the very edge of the limit, or just short of it, with the last event still in flight.
        append(roomUpToLimit() - below(3))
        return reserve()
      default:
        return undefined
    }
  }

  const sealTo = (watermark: number) => {
    const state = Arena.sealStateOf(arena, 0)
    const payload = Arena.slotData(arena, 0).subarray(state.sealedBytes, watermark)
    const marks = BatchMarks.reader(arena, 0)
    const sealed = seal(format1Layout, 1, state, payload, 0n, marks && ((at) => marks(state.sealedBytes + at)))
    Arena.putSealRecordUnsafe(arena, 0, sealed.state)
    assert.isAtMost(sealed.state.blockCount, format1BlocksOf(slotBytes))
  }
  const sealMeanwhile = () => {
    if (Arena.watermarkOf(arena, 0) === Arena.sealStateOf(arena, 0).sealedBytes) return
    Format1Room.keepRoomUnsafe(arena, 0, Arena.sealStateOf(arena, 0))
    sealTo(Arena.watermarkOf(arena, 0))
  }
  const flush = () => {
    if (Arena.watermarkOf(arena, 0) === Arena.sealStateOf(arena, 0).sealedBytes) return
    write()
    Format1Room.keepRoomUnsafe(arena, 0, Arena.sealStateOf(arena, 0))
    write()
    const watermark = Arena.watermarkOf(arena, 0)
    write()
    sealTo(watermark)
  }

  while (!isHandedOver()) {
    write()
    if (!isHandedOver() && below(3) > 0) flush()
  }
  sealTo(Arena.watermarkOf(arena, 0))
  const { blockCount, eventCount, fileOffset } = Arena.sealStateOf(arena, 0)
  assert.strictEqual(eventCount, writer.lastEventId - eventsBehind)
  assert.strictEqual(fileOffset, 64 + blockCount * format1BlockBytes)
  assert.isAtMost(fileOffset, fileBytesOf(1, slotBytes))
  return { blockCount, eventCount }
}

describe("the room of a segment of format 1", () => {
  it("is enough for every published event, however a writer races a flusher", async ({ annotate }) => {
    let fullest = Number.NEGATIVE_INFINITY
    const races = await playSample("room", annotate, (seed) => {
      // From 14 blocks of events on, nothing but the blocks kept back is left over.
      const slotBytes = [14, 15, 14.5][seed % 3]! * blockBytes
      const { blockCount } = race(slotBytes, makeRandom(seed), seed % 2 === 0)
      fullest = Math.max(fullest, blockCount - format1BlocksOf(slotBytes))
    })
    // The protocol gives nothing away: some race needs the very last block.
    if (races >= samples.room.atLeast) assert.strictEqual(fullest, 0)
  })

  it("is used up by events alone when nothing is flushed in the middle of a block", () => {
    const slotBytes = 20 * blockBytes
    // One more than 20: the last block of a flush is never full.
    // Appends 256 events, and does not flush.
    let draws = 0
    const random = () => [0.55, 0.55, 0.1][draws++ % 3]!
    assert.deepStrictEqual(race(slotBytes, random, false), { blockCount: 21, eventCount: 20 * 256 })
    assert.strictEqual(format1BlocksOf(slotBytes), 22)
  })

  it("is never less than 16 blocks", () => {
    assert.strictEqual(format1BlocksOf(64), 16)
    assert.strictEqual(fileBytesOf(1, 300 * eventBytes), 263_232)
  })
})
