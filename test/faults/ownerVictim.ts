/**
 * The owner of a replicated log that is killed, put to sleep and cut off. It opens the log, at once or when nobody seems
 * to have it, reads what was recorded before, and records. It tells on its standard output, with synchronous writes, what
 * has happened, one line each:
 *
 * ```text
 * standing by                  it waits until the log shows no owner
 * open EPOCH ID                the log is its own, and ends with ID
 * has ID NAME NAME …           what it reads of earlier lives, from ID on
 * replicated ID NAME NAME …    events that were acknowledged as replicated, the first of them under ID
 * failed REASON                a commit failed
 * lost MESSAGE                 another recorder was faster, and has the log
 * ended                        it has closed the log
 * ```
 *
 * It ends with 0, and with 4 after anything else, which it tells on its standard error.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import { writeSync } from "node:fs"
import * as Archive from "../../src/archive/Archive.ts"
import * as ArchiveDisk from "../../src/archive/ArchiveDisk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Failover from "../../src/failover/Failover.ts"
import * as Standby from "../../src/failover/Standby.ts"
import * as Replay from "../../src/reading/Replay.ts"
import type { Log } from "../../src/recorder/Log.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import * as AwsEnvironment from "../../src/s3/AwsEnvironment.ts"
import * as S3Store from "../../src/s3/S3Store.ts"
import * as DirectoryStore from "../../src/store/DirectoryStore.ts"
import type { ObjectStore } from "../../src/store/ObjectStore.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import { nameOf, ownedEvent, ownedLog, ownedName } from "./ownedEvents.ts"

export interface OwnerOptions {
  readonly directory: string
  readonly layer: "fiber" | "worker"
  /** A directory, or a bucket whose credentials are in the environment. */
  readonly store: { readonly directory: string } | { readonly url: string; readonly endpoint: string }
  readonly seed: number
  readonly life: number
  /** Waits until the log shows no owner. */
  readonly standsBy: boolean
  /** Reads the whole log and closes it, instead of reading its end and recording. */
  readonly closes: boolean
}

const options: OwnerOptions = JSON.parse(process.argv[2] ?? "{}")
const { directory, life, seed } = options
const random = new SeededRandom(seed * 2 ** 20 + life)

/** So many of the newest events are read by an owner that goes on. */
const readBack = 3000
/** Names in a line. */
const namesAtOnce = 100
const callers = 5
const batchEventsMax = 20

const say = (line: string): void => {
  const bytes = Buffer.from(`${line}\n`)
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(1, bytes, done)
    } catch (error) {
      // The reader is slow; the line must get out before anything else happens.
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error
    }
  }
}

class Owned extends Wal.Service<Owned>()("victim/Owned") {}

const store: Layer.Layer<ObjectStore, AwsEnvironment.AwsEnvironmentError> = "directory" in options.store
  ? Layer.provide(DirectoryStore.layer({ directory: options.store.directory }), NodeDisk.layer)
  : S3Store.layer({ ...options.store, credentials: AwsEnvironment.credentials }).pipe(
    Layer.provide([FetchHttpClient.layer, NodeFileSystem.layer])
  )

const walOptions = {
  directory,
  onArchiveBehind: "keep",
  acknowledge: "replicated",
  segmentBytesMax: 32 * 1024,
  blockBytesMax: 16 * 1024,
  slots: 3,
  limits: { maxSegments: 3, maxCompressedSegments: 3 }
} as const

const recorder = Archive.layer({ log: ownedLog, settleMax: options.closes ? "2 minutes" : "500 millis" }).pipe(
  Layer.provide(Owned.parts),
  Layer.provideMerge(options.layer === "fiber" ? Owned.layer(walOptions) : Owned.layerWorker(walOptions)),
  Layer.provideMerge(
    Failover.layer({
      log: ownedLog,
      directory,
      owner: `life ${life}`,
      renewEvery: "200 millis",
      settleMax: options.closes ? "2 minutes" : "500 millis",
      tailObjects: 2 + random.below(30)
    })
  )
)

/** What lies in directory and archive, as they were when the log was opened. */
const read = Effect.fnUntraced(function*(from: number, to: number) {
  let first = from
  let names: Array<string> = []
  const flush = () => {
    if (names.length > 0) say(`has ${first} ${names.join(" ")}`)
    first += names.length
    names = []
  }
  yield* Replay.events({ directory, from: { id: from }, to: { id: to } }).pipe(
    Stream.runForEach(({ bytes, id }) =>
      Effect.sync(() => {
        if (id !== first + names.length) throw new Error(`event ${id} where ${first + names.length} should be`)
        const name = ownedName(seed, bytes)
        if (name === undefined) throw new Error(`event ${id} is not what anybody has recorded`)
        names.push(name)
        if (names.length === namesAtOnce) flush()
      })
    )
  )
  flush()
}, Effect.provide(ArchiveDisk.layer({ log: ownedLog, directory })))

let next = 1

const record = (log: Log<Uint8Array>) =>
  Effect.forever(Effect.suspend(() => {
    const count = random.chance(0.7) ? 1 : 1 + random.below(batchEventsMax)
    const numbers = Array.from({ length: count }, () => next++)
    const names = numbers.map((number) => nameOf(life, number))
    return log.appendAll(numbers.map((number) => ownedEvent(seed, life, number))).pipe(
      Effect.tap(log.commitTo),
      Effect.map((last) => say(`replicated ${last - count + 1} ${names.join(" ")}`))
    )
  })).pipe(
    Effect.catch((error) => Effect.sync(() => say(`failed ${error.reason._tag}`)))
  )

const program = Effect.gen(function*() {
  const log = yield* Owned
  const failover = yield* Failover.Failover
  const { lastEventId } = log.recovery
  say(`open ${(yield* failover.status).epoch} ${lastEventId}`)
  const reading = read(options.closes ? 1 : Math.max(1, lastEventId - readBack), lastEventId)
  if (options.closes) return yield* reading
  yield* Effect.all([reading, ...Array.from({ length: callers }, () => record(log))], {
    concurrency: "unbounded",
    discard: true
  })
})

const standing = options.standsBy
  ? Standby.layer({ log: ownedLog, after: "1 second", lookEvery: "100 millis" }, recorder)
  : recorder
if (options.standsBy) say("standing by")

const exit = await program.pipe(
  Effect.provide(standing.pipe(Layer.provideMerge(Layer.merge(store, NodeDisk.layer)))),
  Effect.provideService(Logger.LogToStderr, true),
  Effect.provideService(References.MinimumLogLevel, "Info"),
  Effect.runPromiseExit
)

const refusal = Exit.isFailure(exit) ? exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error : undefined
if (refusal?._tag === "ArchiveError" && refusal.reason._tag === "Fenced") say(`lost ${refusal.message}`)
// Whoever is fenced has a second to close the log, and is interrupted then.
else if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) say("ended")
else {
  writeSync(2, `${Cause.pretty(exit.cause)}\n`)
  process.exitCode = 4
}
