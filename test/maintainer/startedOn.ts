/** A maintainer that is started on a directory with given files. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { Disk } from "../../src/disk/Disk.ts"
import type { MaintainerOptions } from "../../src/maintainer/MaintainerOptions.ts"
import { layerAlone, SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import { buildWal, frameOf } from "../fixtures/segments.ts"
import type { Kind } from "./maintaining.ts"
import { coldPath, foundation, hotPath, look, open, put, recorded, settle, simulated } from "./maintaining.ts"

export const directory = "/wal"

/** Twelve segments of 30 events each. */
export const twelveSegments = ({ layout }: Kind) => buildWal({ layout, segments: Array.from({ length: 12 }, () => 30) })

/** Which of twelve segments there are, in which form, and what else. */
export interface Given {
  readonly hot?: ReadonlyArray<number>
  readonly cold?: ReadonlyArray<number>
  readonly files?: Readonly<Record<string, Uint8Array>>
  readonly options?: Partial<MaintainerOptions>
}

/** Makes the function that starts a maintainer on these files. */
export const startedOn = (kind: Kind) => {
  const wal = twelveSegments(kind)
  return Effect.fnUntraced(function*({ cold = [], files = {}, hot = [], options = {} }: Given) {
    const services = yield* Layer.build(Layer.fresh(Layer.merge(foundation, simulated())))
    yield* TestClock.setTime(1_800_000_000_000)
    yield* Effect.gen(function*() {
      yield* Disk.use((disk) => disk.makeDirectory(directory))
      for (const segmentIndex of hot) yield* put(hotPath(directory, segmentIndex), wal[segmentIndex]!.bytes)
      for (const segmentIndex of cold) {
        const frame = yield* Effect.promise(() => frameOf(wal[segmentIndex]!.bytes))
        yield* put(coldPath(directory, segmentIndex), frame)
      }
      for (const [name, bytes] of Object.entries(files)) yield* put(`${directory}/${name}`, bytes)
    }).pipe(Effect.provideContext(services))
    const limits = { maxSegments: 32, maxCompressedSegments: "unlimited" } as const
    const opened = yield* open(
      layerAlone({ directory, limits, ...options }).pipe(
        Layer.provide(Layer.succeedContext(services))
      )
    )
    yield* settle
    return {
      maintainer: Context.get(opened.context, SegmentMaintainer),
      services,
      found: look(directory).pipe(Effect.provideContext(services)),
      events: Effect.map(recorded(directory, kind).pipe(Effect.provideContext(services)), (events) => events.length)
    }
  })
}
