/**
 * `effect-wal consumers`: lists the consumers of a log, shows one, moves it, or forgets it; beside a recorder, too,
 * which reads positions again every few seconds. A consumer that is being read has its position locked, and is left
 * alone.
 */
import * as Effect from "effect/Effect"
import { Disk } from "../../disk/Disk.ts"
import { positionLockName } from "../../disk/FileNames.ts"
import * as PositionStore from "../../disk/PositionStore.ts"
import { pathIn } from "../../disk/SegmentDirectory.ts"
import * as Monitor from "../../recorder/monitor/Monitor.ts"
import { requireDirectory } from "../flags/requireDirectory.ts"
import type { Output } from "../outputs/outputs.ts"
import { OperatingFailure } from "../terminal/CliFailure.ts"
import { writeJson, writeLines } from "../terminal/StandardStreams.ts"
import { consumerLines, consumerTable, readConsumers } from "../views/Consumers.ts"

/** What the flags of all of them give. */
interface Given {
  readonly dir: string
  readonly json: boolean
}

/** What names one of them. */
interface Named extends Given {
  readonly name: string
}

/** Runs `consumers list`. */
export const consumersList = Effect.fnUntraced(function*({ dir, json }: Given) {
  yield* requireDirectory(dir)
  const report = yield* readConsumers(dir)
  yield* json ? writeJson(report satisfies Output<"consumers list">) : writeLines(consumerTable(report))
})

/** Finds the consumer, or fails with what there is. */
const find = Effect.fnUntraced(function*({ dir, name }: Named) {
  yield* requireDirectory(dir)
  const report = yield* readConsumers(dir)
  const consumer = report.consumers.find((consumer) => consumer.name === name)
  if (consumer !== undefined) return { consumer, report }
  const names = report.consumers.map(({ name }) => name).join(", ")
  return yield* new OperatingFailure({
    message: `${dir} has no consumer of this name; ${names === "" ? "it has none" : `it has ${names}`}`
  })
})

/** Runs `consumers show`. */
export const consumersShow = Effect.fnUntraced(function*(given: Named) {
  const { consumer, report } = yield* find(given)
  yield* given.json
    ? writeJson({ directory: given.dir, ...consumer } satisfies Output<"consumers show">)
    : writeLines(consumerLines(consumer, report))
})

/** Takes the position, so that no reader moves it meanwhile. */
const take = ({ dir, name }: Named) =>
  Effect.catchReason(
    Disk.use((disk) => disk.lock(pathIn(dir, positionLockName(name)))),
    "DiskError",
    "Held",
    ({ holder }) =>
      Effect.fail(
        new OperatingFailure({ message: `the consumer ${name} of ${dir} is being read (${holder}); stop that first` })
      )
  )

/** How long a recorder may take to notice, and how often it is looked at. */
const noticeMax = "20 seconds"
const noticeInterval = "200 millis"

/** Waits until the recorder that runs in the directory, if it can be asked, holds from this position. */
const untilHeld = ({ dir, name }: Named, eventId: number) =>
  Effect.gen(function*() {
    while (true) {
      const report = yield* Monitor.read(dir)
      const hold = report?.maintainer.durableHolds.find((hold) => hold.name === name)
      if (report === undefined || hold?.eventId === eventId) return
      yield* Effect.sleep(noticeInterval)
    }
  }).pipe(Effect.timeoutOption(noticeMax), Effect.ignore)

/** Runs `consumers reset`. */
export const consumersReset = Effect.fnUntraced(function*(given: Named & { readonly to: number }) {
  const { dir, json, name, to } = given
  yield* find(given)
  yield* take(given)
  // Only what is read under the lock is what there is.
  const { report } = yield* find(given)
  const { firstEventId, lastEventId } = report
  if (to > lastEventId + 1) {
    return yield* new OperatingFailure({
      message: `the log in ${dir} has no event ${to} yet; --to ${lastEventId + 1} is the next one`
    })
  }
  const refuseDeleted = (firstEventId: number) =>
    to < firstEventId
      ? Effect.fail(
        new OperatingFailure({
          message: `event ${to} of ${dir} was deleted by retention; the oldest is --to ${firstEventId}`
        })
      )
      : Effect.void
  yield* refuseDeleted(firstEventId)
  const { position } = yield* PositionStore.read(dir, name)
  yield* PositionStore.write(dir, { ...position, name, eventId: to - 1 })
  yield* untilHeld(given, to - 1)
  // Until a recorder has noticed, it may have deleted what comes next.
  yield* refuseDeleted((yield* readConsumers(dir)).firstEventId)
  yield* json
    ? writeJson({ directory: dir, name, nextEventId: to } satisfies Output<"consumers reset">)
    : writeLines([`the consumer ${name} of ${dir} continues with event ${to}`])
}, Effect.scoped)

/** Runs `consumers remove`. */
export const consumersRemove = Effect.fnUntraced(function*(given: Named) {
  const { dir, json, name } = given
  yield* find(given)
  yield* take(given)
  yield* PositionStore.remove(dir, name)
  yield* json
    ? writeJson({ directory: dir, name } satisfies Output<"consumers remove">)
    : writeLines([`the consumer ${name} of ${dir} is forgotten; nothing is kept for it any more`])
}, Effect.scoped)
