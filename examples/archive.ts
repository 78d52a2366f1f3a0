/**
 * Moves cold segments to another place before they are deleted: a hold is the archive's watermark, and advances only over
 * segments whose copy is durable. Where a bucket would be there is a directory here. In the end recorder's directory and
 * archive together hold every event.
 *
 *     node examples/archive.ts
 *
 * Holds live in memory. So the recorder starts with unlimited cold segments, which get their limit when the hold stands.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { SegmentMaintainer } from "../src/index.ts"
import { NodeDisk, Replay, SegmentName, Wal } from "../src/index.ts"

const root = fs.mkdtempSync(join(tmpdir(), "effect-wal-archive-"))
const directory = join(root, "log")
const archive = join(root, "archive")
fs.mkdirSync(archive)

const events = 20_000
const coldKept = 4

/** A copy is durable before it has its name, so a name in the archive is a whole segment. */
const upload = (name: string): void => {
  const target = join(archive, name)
  if (fs.existsSync(target)) return
  fs.copyFileSync(join(directory, name), `${target}.tmp`)
  const file = fs.openSync(`${target}.tmp`, "r+")
  fs.fsyncSync(file)
  fs.closeSync(file)
  fs.renameSync(`${target}.tmp`, target)
}

class Events extends Wal.Service<Events>()("example/Events") {}

/** Archives what is cold, oldest first, and lets go of it. */
const archiveCold = Effect.fnUntraced(function*(hold: SegmentMaintainer.Hold) {
  const { maintainer: { naming, segments } } = yield* Events
  for (const { compression, isHot, segmentIndex } of yield* segments) {
    if (isHot) return
    yield* Effect.sync(() => upload(SegmentName.coldName(naming, segmentIndex, compression)))
    yield* hold.advanceTo(segmentIndex + 1)
  }
})

/** Runs for as long as the scope; what is cold when it closes is archived too. */
const archiver = Effect.gen(function*() {
  const { maintainer } = yield* Events
  const { limits } = yield* maintainer.status
  const hold = yield* maintainer.hold({ name: "archive", fromSegmentIndex: 0 })
  yield* maintainer.setLimits({ ...limits, maxCompressedSegments: coldKept })
  yield* Effect.addFinalizer(() => Effect.andThen(maintainer.setLimits(limits), archiveCold(hold)))
  yield* Effect.forkScoped(
    Stream.runForEach(maintainer.outcomes, (outcome) => outcome._tag === "Frozen" ? archiveCold(hold) : Effect.void)
  )
})

const EventsLive = Events.layerWorker({
  directory,
  segmentBytesMax: "64KiB",
  limits: { maxSegments: 2, maxCompressedSegments: "unlimited" }
}).pipe(Layer.provideMerge(NodeDisk.layer))

const record = Effect.gen(function*() {
  yield* archiver
  const { append, commit } = yield* Events
  for (let number = 1; number <= events; number++) {
    yield* append(Buffer.from(`event ${number} that must be kept for ten years`))
    if (number % 1000 === 0) yield* commit
  }
}).pipe(Effect.scoped, Effect.provide(EventsLive))

const count = (place: string) =>
  Effect.gen(function*() {
    let first = 0
    let last = 0
    yield* Stream.runForEach(Replay.events({ directory: place }), ({ id }) =>
      Effect.sync(() => {
        if (first === 0) first = id
        last = id
      }))
    yield* Console.log(`${place}: events ${first} to ${last}, ${fs.readdirSync(place).length} files`)
    return { first, last }
  }).pipe(Effect.provide(NodeDisk.layer))

NodeRuntime.runMain(
  Effect.gen(function*() {
    yield* record
    const archived = yield* count(archive)
    const kept = yield* count(directory)
    const isWhole = archived.first === 1 && kept.first <= archived.last + 1 && kept.last === events
    if (!isWhole || kept.first === 1) return yield* Effect.die(new Error("an event is in neither place"))
  }).pipe(Effect.ensuring(Effect.sync(() => fs.rmSync(root, { recursive: true }))))
)
