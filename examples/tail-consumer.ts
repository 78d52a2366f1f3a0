/**
 * A consumer that reads along with the recorder, remembers under a name how far it has come, and holds back the deletion of
 * what it has not done yet. It is stopped in the middle and started again, and has seen every event once. (After a crash
 * between some work and its position that work comes again: a consumer that cannot bear that saves both together.)
 *
 *     node examples/tail-consumer.ts
 *
 * Holds live in memory. So that nothing is deleted between a start and the first hold, the recorder starts with unlimited
 * cold segments, and gets its limit when the hold stands; before the hold ends it is unlimited again.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { closeSync, fsyncSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NodeDisk, Wal } from "../src/index.ts"

const root = mkdtempSync(join(tmpdir(), "effect-wal-tail-"))
const directory = join(root, "log")

/** A position with a name: the id of the last event that is done. Replaced whole, so a crash leaves the old or the new one. */
const position = (name: string) => {
  const path = join(root, `${name}.position`)
  return {
    read: (): number => {
      try {
        return Number(readFileSync(path, "utf8"))
      } catch {
        return 0
      }
    },
    save: (id: number): void => {
      const file = openSync(`${path}.tmp`, "w")
      writeSync(file, String(id))
      fsyncSync(file)
      closeSync(file)
      renameSync(`${path}.tmp`, path)
    }
  }
}

class Messages extends Wal.Service<Messages>()("example/Messages", { event: Schema.String }) {}

const MessagesLive = Messages.layer({
  directory,
  segmentBytesMax: "64KiB",
  limits: { maxSegments: 2, maxCompressedSegments: "unlimited" }
}).pipe(Layer.provideMerge(NodeDisk.layer))

/** Works off events for ever; `work` is done before the position says so. */
const consume = Effect.fnUntraced(function*(name: string, work: (id: number, text: string) => void) {
  const { events, maintainer } = yield* Messages
  const { read, save } = position(name)
  const { limits } = yield* maintainer.status
  const hold = yield* maintainer.hold({ name, fromSegmentIndex: 0 })
  yield* maintainer.setLimits({ ...limits, maxCompressedSegments: 4 })
  yield* Effect.addFinalizer(() => maintainer.setLimits(limits))

  yield* Stream.runForEachArray(
    events({ name: `${name}, reading`, from: { id: read() + 1 }, follow: true }),
    (messages) =>
      Effect.gen(function*() {
        for (const { event, id } of messages) work(id, event)
        const done = messages.at(-1)?.id ?? 0
        save(done)
        const segments = yield* maintainer.segments
        const needed = segments.find(({ lastEventId }) => lastEventId === undefined || lastEventId > done)
        if (needed !== undefined) yield* hold.advanceTo(needed.segmentIndex)
      })
  )
}, Effect.scoped)

const produce = (from: number, to: number) =>
  Effect.gen(function*() {
    const messages = yield* Messages
    for (let number = from; number <= to; number++) {
      yield* messages.append(`message ${number} to somebody who waits for it`)
      if (number % 500 === 0) yield* messages.commit
    }
    return yield* messages.commit
  })

const seen: Array<number> = []
const mail = (id: number): void => {
  seen.push(id)
}

/** One life of the application: it records, its consumer runs beside it and is stopped wherever it is. */
const life = (from: number, to: number, enough: () => boolean) =>
  Effect.gen(function*() {
    const consumer = yield* Effect.forkChild(consume("mailer", mail))
    yield* produce(from, to)
    const mailed = Effect.repeat(Effect.sleep("5 millis"), { until: enough })
    yield* Effect.raceFirst(mailed, Fiber.join(consumer))
    yield* Fiber.interrupt(consumer)
    const { coldSegments, hotSegments } = yield* (yield* Messages).maintainer.status
    yield* Console.log(`mailed ${seen.length} of ${to}; ${hotSegments} hot and ${coldSegments} cold segments`)
  }).pipe(Effect.provide(Layer.fresh(MessagesLive)))

NodeRuntime.runMain(
  Effect.gen(function*() {
    yield* life(1, 10_000, () => seen.length > 0)
    yield* life(10_001, 20_000, () => seen.length >= 20_000)
    const isWhole = seen.every((id, index) => id === index + 1)
    yield* Console.log(`every event once and in order: ${isWhole}`)
    if (!isWhole) return yield* Effect.die(new Error("an event was missed or seen twice"))
  }).pipe(Effect.ensuring(Effect.sync(() => rmSync(root, { recursive: true }))))
)
