/**
 * The consumers of a directory at one moment: what their positions say, held against the segments. What only the
 * recorder knows (for how long a consumer is behind) comes from its monitor, if it has one.
 */
import * as Effect from "effect/Effect"
import { Disk } from "../../disk/Disk.ts"
import { isConsumer, lockName, positionIn, positionLockName } from "../../disk/FileNames.ts"
import * as PositionStore from "../../disk/PositionStore.ts"
import { pathIn, SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import { lastSegmentUpTo, makeDirectoryReader, oldestEventId } from "../../reading/DirectoryReader.ts"
import type { SegmentDirectoryReader } from "../../reading/DirectoryReader.ts"
import * as Monitor from "../../recorder/monitor/Monitor.ts"
import { newestEventId } from "../../report/DirectoryReport.ts"
import { formatBytes, formatNanos } from "../../telemetry/TelemetryDump.ts"
import { count, formatTable } from "./Columns.ts"

/** A consumer. Plain data. */
interface ConsumerReport {
  readonly name: string
  /** The last event that is done; null when the position is not intact. */
  readonly eventId: number | null
  readonly behindEvents: number | null
  /** On disk, of the segments that are kept for it. */
  readonly behindBytes: number | null
  /** For how long; null when no recorder tells. */
  readonly behindMillis: number | null
  readonly maxLagBytes: number | null
  readonly maxLagMillis: number | null
  /** Who reads; null when nobody does. */
  readonly readBy: string | null
  /** What is wrong; null when nothing is. */
  readonly problem: string | null
}

/** A directory with its consumers. */
interface ConsumersReport {
  readonly directory: string
  /** Of the events that are there; 0 when there is none. */
  readonly firstEventId: number
  readonly lastEventId: number
  /** Whether a recorder holds the directory. */
  readonly isRecorded: boolean
  readonly consumers: ReadonlyArray<ConsumerReport>
}

/** Reads the consumers of a directory. */
export const readConsumers = Effect.fnUntraced(function*(directory: string) {
  const disk = yield* Disk
  const reader = yield* makeDirectoryReader(new SegmentDirectory(directory))
  const recorder = yield* Effect.catchTag(Monitor.read(directory), "MonitorError", () => Effect.undefined)
  const firstEventId = (yield* oldestEventId(reader)) ?? 0
  const lastEventId = recorder?.positions.durable ?? (yield* newestEventId(directory))
  const names = (yield* disk.list(directory)).flatMap(({ name }) => positionIn(name) ?? []).filter(isConsumer)
  const consumers = yield* Effect.forEach(
    names.toSorted(),
    Effect.fnUntraced(function*(name) {
      const { fault, position } = yield* PositionStore.read(directory, name)
      const hold = recorder?.maintainer.durableHolds.find((hold) => hold.name === name)
      const eventId = position?.eventId ?? null
      const report: ConsumerReport = {
        name,
        eventId,
        behindEvents: eventId === null ? null : Math.max(0, lastEventId - eventId),
        behindBytes: eventId === null ? null : yield* bytesAfter(reader, eventId, lastEventId),
        behindMillis: hold?.behindMillis ?? null,
        maxLagBytes: position?.maxLagBytes ?? null,
        maxLagMillis: position?.maxLagMillis ?? null,
        readBy: (yield* disk.lockHolder(pathIn(directory, positionLockName(name)))) ?? null,
        problem: eventId === null
          ? `${fault}; everything is kept for it`
          : eventId > lastEventId && lastEventId > 0
          ? `it is ahead of the log, which ends with event ${lastEventId}`
          : eventId + 1 < firstEventId
          ? `events ${eventId + 1} to ${firstEventId - 1} were deleted before it has read them`
          : null
      }
      return report
    })
  )
  const holder = yield* disk.lockHolder(pathIn(directory, lockName))
  const report: ConsumersReport = { directory, firstEventId, lastEventId, isRecorded: holder !== undefined, consumers }
  return report
})

/** The bytes of the segments that have events after this one. */
const bytesAfter = Effect.fnUntraced(function*(reader: SegmentDirectoryReader, eventId: number, lastEventId: number) {
  if (eventId >= lastEventId) return 0
  const from = (yield* lastSegmentUpTo(reader, eventId + 1)) ?? 0
  let bytes = 0
  for (const { segmentIndex } of reader.segments()) {
    if (segmentIndex < from) continue
    bytes += (yield* reader.use(segmentIndex, (file) => Disk.use((disk) => disk.stat(file.path))))?.bytes ?? 0
  }
  return bytes
})

const behindText = ({ behindBytes, behindEvents }: ConsumerReport): string =>
  behindEvents === null || behindBytes === null
    ? "unknown"
    : behindEvents === 0
    ? "nothing"
    : `${count(behindEvents)} events, ${formatBytes(behindBytes)}`

/** Formats a table for people. */
export const consumerTable = ({ consumers, directory }: ConsumersReport): ReadonlyArray<string> =>
  consumers.length === 0 ? [`${directory} has no consumers`] : [
    ...formatTable(
      [
        { name: "consumer", align: "left" },
        { name: "position", align: "right" },
        { name: "behind", align: "right" },
        { name: "read by", align: "left" }
      ],
      consumers.map((consumer) => [
        consumer.name,
        consumer.eventId === null ? "unknown" : count(consumer.eventId),
        behindText(consumer),
        consumer.readBy ?? "nobody"
      ])
    ),
    ...consumers.flatMap(({ name, problem }) => problem === null ? [] : [`note: ${name}: ${problem}`])
  ]

const line = (name: string, text: string): string => `${name.padEnd(12)}${text}`

/** Formats one consumer for people. */
export const consumerLines = (
  consumer: ConsumerReport,
  { directory, firstEventId, lastEventId }: ConsumersReport
): ReadonlyArray<string> => {
  const { behindMillis, eventId, maxLagBytes, maxLagMillis, name, problem, readBy } = consumer
  const bounds = [
    ...(maxLagBytes === null ? [] : [formatBytes(maxLagBytes)]),
    ...(maxLagMillis === null ? [] : [formatNanos(maxLagMillis * 1e6)])
  ]
  const forMillis = behindMillis === null || behindMillis === 0
    ? ""
    : `, the oldest for ${formatNanos(behindMillis * 1e6)}`
  return [
    line("consumer", `${name} of ${directory}`),
    line("position", eventId === null ? "unknown" : `event ${count(eventId)} is done, and all before it`),
    line("log", lastEventId === 0 ? "no events" : `events ${count(firstEventId)} to ${count(lastEventId)}`),
    line("behind", behindText(consumer) + forMillis),
    line("kept", bounds.length === 0 ? "everything that it has not done" : `at most ${bounds.join(", or ")}`),
    line("read by", readBy ?? "nobody"),
    ...(problem === null ? [] : [line("problem", problem)])
  ]
}
