/**
 * The program that is killed, starved and lied to. It records the events of `workload.ts` and says on its standard output,
 * with synchronous writes, what has happened to it, one line each:
 *
 * ```text
 * open ID            the directory is open; its last event is ID
 * durable ID         a commit said that everything up to ID is durable
 * failed REASON TEXT a commit failed with a RecorderError
 * error TAG REASON TEXT   the directory could not be opened, or something else failed with an error of ours
 * gave up            commits have failed for `giveUpMillis`, or the drain took too long; the process ends without it
 * end ID             the scope was closed and everything was drained; the last event is ID
 * defect TEXT        something failed that is no error of ours
 * ```
 *
 * It ends with 0 after `end`, 3 after `error`, 4 after `defect`, 5 after `gave up`.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { writeSync } from "node:fs"
import * as Archive from "../../src/archive/Archive.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import * as DirectoryStore from "../../src/store/DirectoryStore.ts"
import { Telemetry } from "../../src/telemetry/Telemetry.ts"
import { prometheusText } from "../../src/telemetry/TelemetryExport.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import { archivedLog, batchFrom, blockBytesMax, eventOf } from "./workload.ts"

export interface VictimOptions {
  readonly directory: string
  readonly layer: "fiber" | "worker"
  /** Of the events. */
  readonly seed: number
  /** Of what the program does with them. */
  readonly behaviourSeed: number
  /** Ends when the log has this many events; without it, never. */
  readonly eventsMax?: number
  /** Events between two commits; random without it. */
  readonly eventsPerCommit?: number
  readonly segmentBytesMax: number
  readonly maxSegments: number
  readonly maxCompressedSegments: number
  readonly reserveBytes?: number
  /** A directory that is the store of an archive of the log; without it, there is no archive. */
  readonly archive?: string
  /** Stops itself (SIGSTOP) as soon as it has called this event durable. */
  readonly stopsAt?: number
  /** Commits that fail for so long make the program give up, and a drain four times as long; without it, never. */
  readonly giveUpMillis?: number
  /** Put into every event, and every metric is printed at the end: see the test of what logs reveal. */
  readonly marker?: string
}

const options: VictimOptions = JSON.parse(process.argv[2] ?? "{}")

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

const giveUp = (): never => {
  say("gave up")
  process.exit(5)
}

const wal = (): Layer.Layer<Wal.Parts, Wal.WalError, never> => {
  const walOptions: Wal.WalOptions = {
    directory: options.directory,
    segmentBytesMax: options.segmentBytesMax,
    blockBytesMax,
    slots: 3,
    // It tells of every failed attempt, and gives up by itself.
    onDiskFailure: "fail",
    reserveBytes: options.reserveBytes ?? 0,
    limits: { maxSegments: options.maxSegments, maxCompressedSegments: options.maxCompressedSegments },
    ...(options.archive === undefined ? {} : { onArchiveBehind: "keep" as const })
  }
  const layer = options.layer === "worker" ? Wal.layerWorker(walOptions) : Wal.layer(walOptions)
  const archive = options.archive === undefined
    ? Layer.empty
    : Layer.provide(Archive.layer({ log: archivedLog }), DirectoryStore.layer({ directory: options.archive }))
  return Layer.provideMerge(archive, layer).pipe(Layer.provide(NodeDisk.layer))
}

const event = (id: number): Buffer =>
  options.marker === undefined ? eventOf(options.seed, id) : Buffer.from(`${options.marker} ${id} ${options.marker}`)

const record = Effect.gen(function*() {
  const recorder = yield* Recorder
  const random = new SeededRandom(options.behaviourSeed)
  const eventsMax = options.eventsMax ?? Number.POSITIVE_INFINITY
  let id = recorder.writer.lastEventId
  say(`open ${id}`)

  let hasStopped = false
  let failingSince = 0
  const commit = Effect.gen(function*() {
    while (true) {
      const committed = recorder.commit.pipe(
        Effect.map((durable) => {
          say(`durable ${durable}`)
          if (hasStopped || durable < (options.stopsAt ?? Number.POSITIVE_INFINITY)) return
          hasStopped = true
          process.kill(process.pid, "SIGSTOP")
        }),
        Effect.as(true),
        Effect.catch((error) => Effect.sync(() => (say(`failed ${error.reason._tag} ${error.message}`), false)))
      )
      // A commit that begins while the disk refuses waits until it no longer does.
      const isDone = yield* failingSince === 0
        ? committed
        : Effect.map(Effect.timeoutOption(committed, "200 millis"), (done) => done._tag === "Some" && done.value)
      if (isDone) {
        failingSince = 0
        return
      }
      if (failingSince === 0) failingSince = Date.now()
      if (Date.now() - failingSince > (options.giveUpMillis ?? Number.POSITIVE_INFINITY)) {
        giveUp()
      }
      yield* Effect.sleep(20)
    }
  })

  while (id < eventsMax) {
    const count = Math.min(options.eventsPerCommit ?? 1 + random.below(60), eventsMax - id)
    // Batches only where nothing counts the events of a commit.
    for (let done = 0; done < count; done++) {
      const isPlain = options.eventsPerCommit !== undefined || options.marker !== undefined
      const batch = isPlain ? [] : batchFrom(options.seed, id + 1)
      id = batch.length > 0 && id + batch.length <= eventsMax
        ? yield* recorder.appendAll(batch)
        : yield* recorder.append(event(id + 1))
    }
    if (options.eventsPerCommit !== undefined || random.chance(0.7)) yield* commit
    if (options.eventsPerCommit === undefined && random.chance(0.02)) yield* recorder.rotate
  }
  yield* commit
  if (options.marker !== undefined) {
    const telemetry = yield* Telemetry
    say(prometheusText(yield* telemetry.snapshot))
  }
  // A drain goes on until the disk takes everything, however long; an application that cannot wait must end itself.
  if (options.giveUpMillis !== undefined) setTimeout(giveUp, 4 * options.giveUpMillis).unref()
  return id
})

const exit = await record.pipe(
  Effect.provide(wal()),
  Effect.provideService(Logger.LogToStderr, true),
  Effect.provideService(References.MinimumLogLevel, "Debug"),
  Effect.runPromiseExit
)

const errorsOfOurs = new Set(["DiskError", "SegmentCorrupt", "FormatMismatch", "RecorderError", "MaintainerDown"])

if (Exit.isSuccess(exit)) say(`end ${exit.value}`)
else {
  for (const reason of exit.cause.reasons) {
    if (reason._tag === "Fail" && errorsOfOurs.has(reason.error._tag)) {
      const { error } = reason
      say(`error ${error._tag} ${"reason" in error ? error.reason._tag : "-"} ${error.message}`)
      process.exitCode ??= 3
    } else {
      say(`defect ${Cause.pretty(exit.cause).replaceAll("\n", " | ")}`)
      process.exitCode = 4
    }
  }
}
