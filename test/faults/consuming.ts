/**
 * The program with consumers that is killed: it records the events of `workload.ts`, and its consumers `billing` (one after
 * the other), `totals` (in batches), `mail` (side by side) and `audit` (a stream that is acknowledged) process them. What an
 * event is processed with is a line with its id in a file of the consumer, `NAME.done`, written synchronously: a killed
 * process has done what is there. It says on its standard output:
 *
 * ```text
 * open ID               the directory is open; its last event is ID
 * acknowledged NAME ID  the position of NAME was durable at ID
 * end ID                every consumer has done everything, and everything was drained
 * wrong TEXT            a consumer was given what it must not be given, or failed
 * ```
 *
 * It ends with 0 after `end`, and 3 after `wrong`.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import { openSync, writeSync } from "node:fs"
import { join } from "node:path"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import { consumerNames, eventOf, isEventOf } from "./workload.ts"

/** What the program is told. */
export interface ConsumingOptions {
  readonly directory: string
  /** Where the files of what is done are. */
  readonly work: string
  readonly layer: "fiber" | "worker"
  readonly format: 1 | 2
  /** Of the events. */
  readonly seed: number
  /** Of what the program does with them. */
  readonly behaviourSeed: number
  /** Ends when the log has so many events and all of them are done; without it, never. */
  readonly eventsMax?: number
}

class Events extends Wal.Service<Events>()("test/Events") {}

/** An event of format 1 has 64 bytes and begins with its id, which the recorder writes. */
const eventIn = (format: 1 | 2, seed: number, id: number): Buffer =>
  format === 2 ? eventOf(seed, id) : Buffer.alloc(64, id % 251)

const isEventIn = (format: 1 | 2, seed: number, id: number, bytes: Uint8Array): boolean =>
  format === 2
    ? isEventOf(seed, id, bytes)
    : bytes.length === 64 && bytes.subarray(8).every((byte) => byte === id % 251)

const say = (line: string): void => void writeSync(1, `${line}\n`)

const main = (options: ConsumingOptions) => {
  const { behaviourSeed, directory, eventsMax = Number.POSITIVE_INFINITY, format, layer, seed, work } = options
  const random = new SeededRandom(behaviourSeed)
  const makeLayer = layer === "worker" ? Events.layerWorker : Events.layer

  const recording = Effect.gen(function*() {
    const { append, commit, recorder: { writer } } = yield* Events
    while (writer.lastEventId < eventsMax) {
      for (let left = 1 + random.below(60); left > 0; left--) {
        yield* append(eventIn(format, seed, writer.lastEventId + 1))
      }
      yield* commit
      if (random.chance(0.3)) yield* Effect.sleep(random.below(20))
    }
  })

  const consuming = Effect.fnUntraced(function*(name: typeof consumerNames[number], follow: boolean) {
    const log = yield* Events
    const file = openSync(join(work, `${name}.done`), "a")
    const consumer = yield* log.consumer(name)
    const position = yield* consumer.position
    writeSync(file, `after ${position}\n`)
    say(`acknowledged ${name} ${position}`)
    const done = ({ event, id }: { readonly event: Uint8Array; readonly id: number }) => {
      if (!isEventIn(format, seed, id, event)) throw new Error(`event ${id} is not what was recorded`)
      writeSync(file, `${id}\n`)
    }
    const slowly = random.chance(0.5) ? Effect.sleep(random.below(3)) : Effect.void
    const within = [0, 5, 100][random.below(3)]!
    const look = Effect.map(consumer.position, (id) => say(`acknowledged ${name} ${id}`))
    switch (name) {
      case "billing":
        return yield* consumer.forEach(
          (event) => Effect.andThen(Effect.sync(() => done(event)), event.id % 50 === 0 ? look : Effect.void),
          { within, follow }
        )
      case "mail":
        return yield* consumer.forEach(
          (event) => Effect.andThen(slowly, Effect.sync(() => done(event))),
          { within, follow, concurrency: 8 }
        )
      case "totals":
        return yield* consumer.forEachBatch(
          (events) => Effect.andThen(slowly, Effect.sync(() => events.forEach(done))),
          { within, follow, maxBatch: 1 + random.below(200) }
        )
      case "audit":
        return yield* Stream.runForEachArray(consumer.events({ follow }), (events) =>
          Effect.gen(function*() {
            events.forEach(done)
            const last = events.at(-1)!.id
            yield* consumer.acknowledge(last)
            say(`acknowledged ${name} ${last}`)
          }))
    }
  }, Effect.scoped)

  const program = Effect.gen(function*() {
    const { recovery } = yield* Events
    say(`open ${recovery.lastEventId}`)
    const begin = (name: typeof consumerNames[number]) =>
      Effect.andThen(Effect.sleep(random.below(100)), consuming(name, true))
    yield* Effect.raceFirst(
      recording,
      Effect.all(consumerNames.map((name) => begin(name)), { concurrency: "unbounded" })
    )
    for (const name of consumerNames) yield* consuming(name, false)
  })
  return program.pipe(
    Effect.provide(
      makeLayer({
        directory,
        format,
        segmentBytesMax: 16 * 1024,
        limits: { maxSegments: 3, maxCompressedSegments: 4 }
      })
    ),
    Effect.provide(Layer.merge(NodeDisk.layer, Layer.succeed(References.MinimumLogLevel, "None"))),
    Effect.matchCause({
      onFailure: (cause) => {
        say(`wrong ${Cause.pretty(cause).replaceAll("\n", " ")}`)
        process.exitCode = 3
      },
      onSuccess: () => say("end")
    })
  )
}

await Effect.runPromise(main(JSON.parse(process.argv[2] ?? "{}")))
