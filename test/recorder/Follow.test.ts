/** Following a real recorder on a real disk, while retention deletes what was read. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { readdirSync } from "node:fs"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import * as Follow from "../../src/recorder/Follow.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import { isLong, playSample } from "../samples.ts"
import { kinds, layers, temporaryDirectory } from "./fixtures.ts"
import type { Kind } from "./fixtures.ts"

/** A segment of format 1 takes 257 KiB on disk, so there are fewer of them. */
const eventCountOf = ({ options }: Kind): number => options.format === 1 ? 8000 : 12_000

/** Few cold segments may stay, so nearly all that is written is deleted again. */
const tight = { segmentBytesMax: 16_384, slots: 4, limits: { maxSegments: 4, maxCompressedSegments: 4 } } as const

const oldestIndex = (directory: string): number =>
  Math.min(...readdirSync(directory).filter((name) => name.startsWith("FS.")).map((name) => Number(name.slice(3, 11))))

const variants = layers.slice(0, 2).flatMap(([layer, wal]) =>
  kinds.map(([name, kind]) => [layer, name, wal, kind] as const)
)

const followed = Effect.fnUntraced(function*(walLayer: (typeof variants)[number][2], kind: Kind, eventCount: number) {
  const { event, options } = kind
  const directory = yield* temporaryDirectory
  yield* Effect.gen(function*() {
    const recorder = yield* Recorder
    const maintainer = yield* SegmentMaintainer
    let lastId = 0
    const reader = yield* Effect.forkChild(Stream.runForEachArray(
      Follow.events({ name: "reader", from: { id: 1 }, to: { id: eventCount } }),
      (events) =>
        Effect.gen(function*() {
          const { durable } = yield* recorder.positions
          for (const { bytes, id } of events) {
            if (id !== lastId + 1 || Buffer.compare(bytes, event(id)) !== 0) {
              assert.fail(`event ${id} behind ${lastId}: ${Buffer.from(bytes).toString()}`)
            }
            lastId = id
          }
          assert.isAtMost(lastId, durable, "nothing is handed out that is not durable")
        })
    ))
    for (let id = 1; id <= eventCount; id++) {
      yield* recorder.append(event(id))
      if (id % 5000 === 0) yield* recorder.commit
    }
    yield* recorder.commit
    yield* Fiber.join(reader)
    assert.strictEqual(lastId, eventCount)
    assert.deepStrictEqual((yield* maintainer.status).holds, [], "the hold has ended with the stream")
  }).pipe(Effect.provide(Layer.provideMerge(walLayer({ directory, ...tight, ...options }), NodeDisk.layer)))
  assert.isAbove(oldestIndex(directory), 20, "segments were deleted behind the reader")
}, Effect.scoped)

describe.each(variants)("Follow, maintainer in a %s, %s", (_layer, _format, walLayer, kind) => {
  const { event, options } = kind
  const eventCount = eventCountOf(kind)

  it.live(
    `gives ${eventCount} events once and in order while segments rotate, freeze and get deleted`,
    () => followed(walLayer, kind, eventCount)
  )

  it.live("keeps what a slow reader still needs, and lets go of what it has read", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* Effect.gen(function*() {
        const recorder = yield* Recorder
        const maintainer = yield* SegmentMaintainer
        const pulled: Array<number> = []
        yield* Effect.scoped(Effect.gen(function*() {
          const pull = yield* Stream.toPull(Follow.events({ name: "slow", from: { id: 1 } }))
          for (let id = 1; id <= 100; id++) yield* recorder.append(event(id))
          yield* recorder.commit
          // The stream begins, and with it the hold, when it is pulled.
          for (const { id } of yield* pull) pulled.push(id)
          assert.strictEqual(pulled[0], 1)
          for (let id = 101; id <= 12_000; id++) yield* recorder.append(event(id))
          yield* recorder.commit
          const { holds } = yield* maintainer.status
          assert.deepStrictEqual(holds.map(({ name }) => name), ["slow"])
          assert.isAbove((yield* maintainer.segments).length, 20, "more than the limits allow, for the reader's sake")
          while (pulled.at(-1) !== 12_000) for (const { id } of yield* pull) pulled.push(id)
          assert.deepStrictEqual(pulled, Array.from({ length: 12_000 }, (_, i) => i + 1))
          assert.isAbove((yield* maintainer.status).holds[0]?.fromSegmentIndex ?? 0, 20)
        }))
      }).pipe(Effect.provide(Layer.provideMerge(walLayer({ directory, ...tight, ...options }), NodeDisk.layer)))
      assert.isAtMost(readdirSync(directory).filter((name) => name.startsWith("FS.")).length, 8)
    }))
})

describe("Follow", () => {
  it.runIf(isLong)(
    "gives many times as many, in every layer and format (in the long run)",
    ({ annotate }) =>
      playSample("follow", annotate, (seed) => {
        const [, , walLayer, kind] = variants[seed % variants.length]!
        return Effect.runPromise(followed(walLayer, kind, 10 * eventCountOf(kind)))
      })
  )
})
