/**
 * What a directory says by itself when no recorder runs in it: names, lengths, and the beginnings of the oldest and the
 * newest segment. Nothing is checked (`verify` does that); of an open segment all is read, because its header does not
 * count yet.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { Disk } from "../../disk/Disk.ts"
import type { DiskError } from "../../disk/Disk.ts"
import * as MetaStore from "../../disk/MetaStore.ts"
import type { Meta } from "../../disk/MetaStore.ts"
import { SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { makeDirectoryReader, oldestEventId } from "../../reading/DirectoryReader.ts"
import type { SegmentDirectoryReader } from "../../reading/DirectoryReader.ts"
import type { SegmentCorrupt } from "../../reading/segment/SegmentCorrupt.ts"
import { readStart, verifySegment } from "../../reading/segment/SegmentReader.ts"
import { groupOf } from "../../telemetry/CounterLayout.ts"
import { defaultPrefix } from "../../telemetry/TelemetryCollect.ts"
import { ratioOf } from "../commands/inspect.ts"

/**
 * A directory at one moment.
 *
 * @since 0.1.0
 * @category models
 */
export interface DirectoryReport {
  readonly directory: string
  readonly atMillis: number
  readonly hotSegments: number
  /** On disk, as are `coldBytes`. */
  readonly hotBytes: number
  readonly coldSegments: number
  readonly coldBytes: number
  /** Uncompressed to compressed, over the cold segments that tell; 0 when none does. */
  readonly ratio: number
  /** 0 when there is no event. */
  readonly firstEventId: number
  /** Of the newest segment; 0 when there is no event, and when that segment is damaged. */
  readonly lastEventId: number
  /** What `wal_meta.dat` claims; null when it is not there. */
  readonly meta: Meta | null
  readonly diskFreeBytes: number
}

/**
 * Looks at a directory.
 *
 * @since 0.1.0
 * @category reading
 */
export const readDirectory = Effect.fnUntraced(function*(directory: string) {
  const disk = yield* Disk
  const reader = yield* makeDirectoryReader(new SegmentDirectory(directory))
  const totals = { hotSegments: 0, hotBytes: 0, coldSegments: 0, coldBytes: 0 }
  let toldBytes = 0
  let contentBytes = 0
  const count = Effect.fnUntraced(function*(file: SegmentFile) {
    const { bytes } = yield* disk.stat(file.path)
    if (file.form === "hot") {
      totals.hotSegments += 1
      totals.hotBytes += bytes
      return
    }
    const ratio = yield* ratioOf(file, bytes)
    totals.coldSegments += 1
    totals.coldBytes += bytes
    if (ratio === 0) return
    toldBytes += bytes
    contentBytes += bytes * ratio
  })
  for (const { segmentIndex } of reader.segments()) yield* reader.use(segmentIndex, count)

  const report: DirectoryReport = {
    directory,
    atMillis: yield* Effect.clockWith((clock) => clock.currentTimeMillis),
    ...totals,
    ratio: toldBytes === 0 ? 0 : Number((contentBytes / toldBytes).toFixed(3)),
    firstEventId: (yield* oldestEventId(reader)) ?? 0,
    lastEventId: yield* newestIn(reader),
    meta: (yield* MetaStore.read(directory)) ?? null,
    diskFreeBytes: yield* disk.freeBytes(directory)
  }
  return report
})

/**
 * The newest event of a directory; 0 when there is none, and when its segment is damaged.
 *
 * @since 0.1.0
 * @category reading
 */
export const newestEventId = (directory: string): Effect.Effect<number, DiskError | SegmentCorrupt, Disk> =>
  Effect.flatMap(makeDirectoryReader(new SegmentDirectory(directory)), newestIn)

/** A segment without an event says nothing; the one before it does. */
const newestIn = Effect.fnUntraced(function*(reader: SegmentDirectoryReader) {
  let lastEventId = 0
  for (const { segmentIndex } of reader.segments().slice(-2)) {
    const found = yield* Effect.catchTag(
      reader.use(segmentIndex, newestIdOf),
      "SegmentCorrupt",
      () => Effect.succeed(0)
    )
    lastEventId = Math.max(lastEventId, found ?? 0)
  }
  return lastEventId
})

const newestIdOf = Effect.fnUntraced(function*(file: SegmentFile) {
  const { header } = yield* readStart(file)
  const { eventCount, lastEventId } = header.closedNanos === 0n ? yield* verifySegment(file) : header
  return eventCount === 0 ? 0 : lastEventId
})

/**
 * The gauges of a directory in the Prometheus text format: the segments and the free space, under the names that a
 * running recorder has for them. What only a recorder knows is left out.
 *
 * @since 0.1.0
 * @category formatting
 */
export const directoryPrometheusText = (report: DirectoryReport): string => {
  const values = new Map(Object.entries(report))
  const lines = groupOf("segments").fields.flatMap(({ exported, help, labels, name }) => {
    const metric = `${defaultPrefix}_${exported}`
    const text = Object.entries(labels).map(([label, value]) => `${label}="${value}"`).join(",")
    return [`# HELP ${metric} ${help}`, `# TYPE ${metric} gauge`, `${metric}{${text}} ${values.get(name)}`]
  })
  return `${lines.join("\n")}\n`
}
