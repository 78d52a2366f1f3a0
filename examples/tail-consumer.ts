/**
 * Durable consumers of one log: `mailer` processes events one after the other and is stopped in the middle and started
 * again; `totals` takes them in batches. Neither misses an event, although retention deletes all that both have done.
 *
 *     node examples/tail-consumer.ts
 *
 * At least once: what was done and is not in the durable position comes again after a restart. So each is told apart by its
 * id, and what comes again is recognized.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NodeDisk, Wal } from "../src/index.ts"

const directory = mkdtempSync(join(tmpdir(), "effect-wal-tail-"))

class Messages extends Wal.Service<Messages>()("example/Messages", { event: Schema.String }) {}

const MessagesLive = Messages.layer({
  directory,
  segmentBytesMax: "64KiB",
  limits: { maxSegments: 2, maxCompressedSegments: 4 }
}).pipe(Layer.provideMerge(NodeDisk.layer))

/** What was mailed; `again` counts what came a second time. */
const mailed = new Set<number>()
let again = 0
/** What could not be mailed, whatever was tried. */
const undeliverable: Array<number> = []
let counted = 0

/** Every 5,000th message is to somebody whose mailbox does not exist. */
const mail = (id: number) =>
  Effect.suspend(() => {
    if (id % 5_000 === 0) return Effect.fail("no such mailbox")
    if (mailed.has(id)) again += 1
    mailed.add(id)
    return Effect.void
  })

const mailing = Effect.gen(function*() {
  const mailer = yield* (yield* Messages).consumer("mailer")
  yield* mailer.forEach(({ id }) => mail(id), {
    retry: Schedule.recurs(2),
    deadLetter: ({ id }) => Effect.sync(() => undeliverable.push(id))
  })
}).pipe(Effect.scoped)

/** One life of the application: it records, and its consumers run beside it until they are stopped, wherever they are. */
const life = (messages: number, enough: number) =>
  Effect.gen(function*() {
    const { append, commit, consumer, maintainer } = yield* Messages
    // From here on, and in every later life from its start on, what it has not done is held.
    const totals = yield* consumer("totals")
    const isEnough = () => mailed.size + undeliverable.length >= enough
    const mailer = yield* Effect.forkChild(
      Effect.raceFirst(mailing, Effect.repeat(Effect.sleep("1 millis"), { until: isEnough }))
    )
    for (let number = 1; number <= messages; number++) {
      yield* append(`message ${number} to somebody who waits for it`)
      if (number % 500 === 0) yield* commit
    }
    yield* commit
    yield* totals.forEachBatch((batch) => Effect.sync(() => void (counted += batch.length)), { follow: false })
    yield* Fiber.join(mailer)
    yield* maintainer.drain
    const { coldSegments, durableHolds, hotSegments } = yield* maintainer.status
    const [{ behindEvents } = { behindEvents: 0 }] = durableHolds.filter(({ name }) => name === "mailer")
    yield* Console.log(
      `mailed ${mailed.size}, ${behindEvents} behind; ${hotSegments} hot and ${coldSegments} cold segments are left`
    )
  }).pipe(Effect.scoped, Effect.provide(Layer.fresh(MessagesLive)))

NodeRuntime.runMain(
  Effect.gen(function*() {
    yield* life(10_000, 1_000)
    yield* life(10_000, 20_000)
    yield* Console.log(`counted ${counted}, undeliverable ${undeliverable.join(", ")}, mailed again ${again}`)
    const isWhole = mailed.size + undeliverable.length === 20_000 && counted === 20_000
    if (!isWhole) return yield* Effect.die(new Error("an event was missed"))
  }).pipe(Effect.ensuring(Effect.sync(() => rmSync(directory, { recursive: true }))))
)
