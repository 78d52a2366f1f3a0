/**
 * Archives a log, deletes its directory, and reads every event from the archive. Where a directory is the store here, a
 * bucket is one with `S3Store.layer({ url: "s3://bucket/prefix", … })` from `effect-wal/s3`, and nothing else changes.
 *
 *     node examples/archive.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Archive, ArchiveDisk, DirectoryStore } from "../src/archive/index.ts"
import { NodeDisk, Replay, Wal } from "../src/index.ts"

const root = fs.mkdtempSync(join(tmpdir(), "effect-wal-archive-"))
const directory = join(root, "log")
fs.mkdirSync(join(root, "store"))

const events = 20_000
const log = "events"

class Events extends Wal.Service<Events>()("example/Events") {}

const StoreLive = DirectoryStore.layer({ directory: join(root, "store") })

/** Two segments as they are, four compressed ones, and all the others in the archive alone. */
const ArchivedEvents = Archive.layer({ log }).pipe(
  Layer.provide(Events.parts),
  Layer.provideMerge(Events.layerWorker({
    directory,
    segmentBytesMax: "64KiB",
    limits: { maxSegments: 2, maxCompressedSegments: 4 },
    onArchiveBehind: "keep"
  })),
  Layer.provide(StoreLive)
)

/** When the layer closes, what is left is archived too. */
const record = Effect.gen(function*() {
  const { append, commit } = yield* Events
  for (let number = 1; number <= events; number++) {
    yield* append(Buffer.from(`event ${number} that must be kept for ten years`))
    if (number % 1000 === 0) yield* commit
  }
}).pipe(Effect.provide(ArchivedEvents))

const read = Effect.gen(function*() {
  const replayed = Replay.events({ directory: ArchiveDisk.shownDirectory(log) })
  const count = yield* Stream.runFold(replayed, () => 0, (count) => count + 1)
  yield* Console.log(`${count} of ${events} events from the archive, after the log's directory was deleted`)
  if (count !== events) return yield* Effect.die(new Error("an event is missing"))
}).pipe(Effect.provide(Layer.provide(ArchiveDisk.layer({ log }), StoreLive)))

NodeRuntime.runMain(
  Effect.gen(function*() {
    yield* record
    yield* Console.log(`${fs.readdirSync(directory).length} files are left in the log's directory`)
    yield* Effect.sync(() => fs.rmSync(directory, { recursive: true }))
    yield* read
  }).pipe(
    Effect.provide(NodeDisk.layer),
    Effect.ensuring(Effect.sync(() => fs.rmSync(root, { recursive: true })))
  )
)
