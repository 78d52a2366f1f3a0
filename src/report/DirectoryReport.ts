/**
 * Describes a directory in which no recorder runs, from names, lengths, and the beginnings of the oldest and the newest
 * segment. The content is not checked; `verify` does that. Only a segment that is still open is read to its end,
 * because its header has no counts yet.
 */
import * as Effect from "effect/Effect"
import { Disk } from "../disk/Disk.ts"
import type { DiskError } from "../disk/Disk.ts"
import { lockName } from "../disk/FileNames.ts"
import * as HoleStore from "../disk/HoleStore.ts"
import type { AcknowledgedHole } from "../disk/HoleStore.ts"
import * as MetaStore from "../disk/MetaStore.ts"
import type { Meta } from "../disk/MetaStore.ts"
import { pathIn, SegmentDirectory } from "../disk/SegmentDirectory.ts"
import type { SegmentFile } from "../disk/SegmentDirectory.ts"
import { forEachSegment, makeDirectoryReader, oldestEventId } from "../reading/DirectoryReader.ts"
import type { SegmentDirectoryReader } from "../reading/DirectoryReader.ts"
import type { SegmentCorrupt } from "../reading/segment/SegmentCorrupt.ts"
import { readStart, verifySegment } from "../reading/segment/SegmentReader.ts"
import { groupOf } from "../telemetry/CounterLayout.ts"
import { defaultPrefix } from "../telemetry/TelemetryCollect.ts"
import { ratioOf } from "./ColdRatio.ts"

/** A directory at one moment. */
export interface DirectoryReport {
  readonly directory: string
  readonly atMillis: number
  readonly hotSegments: number
  /** On disk, as are `coldBytes`. */
  readonly hotBytes: number
  readonly coldSegments: number
  readonly coldBytes: number
  /** Uncompressed to compressed, over the cold segments whose headers have a length; 0 when none has. */
  readonly ratio: number
  /** 0 when there is no event. */
  readonly firstEventId: number
  /** The last of the newest segment; 0 when there is no event, and when that segment is damaged. */
  readonly lastEventId: number
  /** The content of `wal_meta.dat`; null when the file is absent or not intact. */
  readonly meta: Meta | null
  /** Where events are lost, which is acknowledged. */
  readonly holes: ReadonlyArray<AcknowledgedHole>
  readonly diskFreeBytes: number
  /** Who holds the directory, as `process 12 on host, since TIME`; null when nobody does. */
  readonly heldBy: string | null
}

/** Reads the report of a directory. */
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
  yield* forEachSegment(reader, count)

  const report: DirectoryReport = {
    directory,
    atMillis: yield* Effect.clockWith((clock) => clock.currentTimeMillis),
    ...totals,
    ratio: toldBytes === 0 ? 0 : Number((contentBytes / toldBytes).toFixed(3)),
    firstEventId: (yield* oldestEventId(reader)) ?? 0,
    lastEventId: yield* newestIn(reader),
    meta: (yield* MetaStore.read(directory)).meta ?? null,
    holes: HoleStore.since((yield* HoleStore.read(directory)).holes, reader.segments()[0]?.segmentIndex ?? 0),
    diskFreeBytes: yield* disk.freeBytes(directory),
    heldBy: (yield* disk.lockHolder(pathIn(directory, lockName))) ?? null
  }
  return report
})

/** Reads the id of the newest event of a directory; 0 when there is none, and when its segment is damaged. */
export const newestEventId = (directory: string): Effect.Effect<number, DiskError | SegmentCorrupt, Disk> =>
  Effect.flatMap(makeDirectoryReader(new SegmentDirectory(directory)), newestIn)

/** Reads the last two segments, because the newest one may have no event yet. */
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
 * Formats the gauges of a directory in the Prometheus text format: the segments and the free space, under the names
 * that a running recorder uses. What only a recorder knows is left out.
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
