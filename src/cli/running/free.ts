/**
 * `effect-wal free`: reports which segments have only events before an id; with `--apply` deletes them. It takes the
 * lock of the directory, so it refuses while a recorder holds it: there `SegmentMaintainer.freeBefore` does the same.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Disk } from "../../disk/Disk.ts"
import { positionIn } from "../../disk/FileNames.ts"
import * as PositionStore from "../../disk/PositionStore.ts"
import { SegmentDirectory, segmentsOf } from "../../disk/SegmentDirectory.ts"
import { layerAlone, SegmentMaintainer } from "../../maintainer/SegmentMaintainer.ts"
import { segmentWith } from "../../reading/DirectoryReader.ts"
import * as Replay from "../../reading/Replay.ts"
import * as SegmentQueues from "../../shared/SegmentQueues.ts"
import * as Telemetry from "../../telemetry/Telemetry.ts"
import { requireDirectory } from "../flags/requireDirectory.ts"
import type { Output } from "../outputs/outputs.ts"
import { report, writeJson, writeLines } from "../terminal/StandardStreams.ts"

/** What its flags give. */
interface Given {
  readonly dir: string
  readonly before: number
  readonly apply: boolean
  readonly json: boolean
}

/** Runs the command. */
export const free = Effect.fnUntraced(function*({ apply, before, dir, json }: Given) {
  yield* requireDirectory(dir)
  const due = yield* segmentsBefore(dir, before)
  if (apply && due.length > 0) yield* freeNow(dir, before)
  const left = yield* segmentsBefore(dir, before)
  const freed: Output<"free"> = {
    directory: dir,
    applied: apply,
    segments: apply ? due.length - left.length : due.length,
    left: apply ? left.length : 0,
    firstEventId: Option.getOrElse(yield* Replay.firstAvailableId(dir), () => 0),
    keptFor: yield* positionsBefore(dir, before)
  }
  yield* report(json ? writeJson(freed) : writeLines(linesOf(freed)), freed.left > 0)
})

/** The names of the positions that have not passed all events before this one. */
const positionsBefore = Effect.fnUntraced(function*(dir: string, eventId: number) {
  const entries = yield* Disk.use((disk) => disk.list(dir))
  const names = entries.flatMap(({ name }) => positionIn(name) ?? []).toSorted()
  return yield* Effect.filter(
    names,
    (name) => Effect.map(PositionStore.read(dir, name), ({ position }) => (position?.eventId ?? 0) < eventId - 1)
  )
})

const segmentsBefore = Effect.fnUntraced(function*(dir: string, eventId: number) {
  const directory = new SegmentDirectory(dir)
  const end = (yield* segmentWith(directory, eventId)) ?? 0
  return segmentsOf(yield* directory.scan).filter(({ segmentIndex }) => segmentIndex < end)
})

/** Nothing but what is asked for shall be deleted. */
const limits = { maxSegments: 128, maxCompressedSegments: "unlimited" } as const

const freeNow = (directory: string, eventId: number) =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* Layer.build(
      layerAlone({ directory, limits }).pipe(
        Layer.provide(Layer.merge(SegmentQueues.layer, Telemetry.layer({ writersMax: 1 })))
      )
    )
    const maintainer = Context.get(services, SegmentMaintainer)
    yield* maintainer.freeBefore(eventId)
    yield* maintainer.drain
  }))

const linesOf = (
  { applied, directory, firstEventId, keptFor, left, segments }: Output<"free">
): ReadonlyArray<string> => [
  `${directory}: ${segments} segments ${applied ? "deleted" : "to delete"}` +
  (left > 0 ? `, ${left} could not be deleted` : "") +
  `; the oldest event is ${firstEventId}`,
  ...keptFor.map((name) => `note: ${name} has not done all of these events, and what it has not done is kept for it`),
  ...(!applied && segments > 0 ? ["nothing was changed; give --apply to do it"] : [])
]
