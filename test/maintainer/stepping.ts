/** Steps on the simulated disk, and the order in which they change it. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Disk } from "../../src/disk/Disk.ts"
import { SegmentDirectory } from "../../src/disk/SegmentDirectory.ts"
import type { Compression } from "../../src/format/SegmentName.ts"
import { blocking } from "../../src/maintainer/Compressor.ts"
import type { RawCompressor } from "../../src/maintainer/Compressor.ts"
import type { Pressure } from "../../src/maintainer/steps/FreezePace.ts"
import { freeze } from "../../src/maintainer/steps/FreezeStep.ts"
import { FrameMemory } from "../../src/reading/segment/FrameReader.ts"
import { Telemetry } from "../../src/telemetry/Telemetry.ts"
import * as TelemetryLayer from "../../src/telemetry/Telemetry.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { buildWal } from "../fixtures/segments.ts"
import type { BuiltSegment } from "../fixtures/segments.ts"
import type { Kind } from "./maintaining.ts"
import { hotPath, put, simulated } from "./maintaining.ts"

export const directory = "/wal"

/**
 * The changes to the disk in their order, as `operation name`; reads are left out, and so are the lock and meta files.
 */
export const changes = Effect.gen(function*() {
  const log = yield* SimulatedDisk.SimulatedDisk.use((simulated) => simulated.log)
  return log.flatMap((line) => {
    const [, operation, path, detail] = /^#\d+ (\w+) (\S+?)(?: (\S+))?: /.exec(line) ?? []
    if (operation === undefined || path === undefined || /wal_meta|wal\.lock|wal\.reserve/.test(line)) return []
    const name = path === directory ? "." : path.slice(directory.length + 1)
    if (operation === "rename") return [`rename ${name} → ${detail?.slice(directory.length + 1)}`]
    return ["write", "sync", "truncate", "unlink", "syncDirectory"].includes(operation) ? [`${operation} ${name}`] : []
  })
})

export const lastChanges = (before: number) => Effect.map(changes, (lines) => lines.slice(before))

export const segments = new SegmentDirectory(directory)
const alone: Pressure = { commitsAsked: () => 0, isAwaited: () => false }

/** Commits come all the time. */
export const besideCommits = (): Pressure => {
  let commits = 0
  return { commitsAsked: () => commits++, isAwaited: () => false }
}

export const freezing = (segmentIndex: number, compression: Compression = "frame", pressure = alone) =>
  Effect.flatMap(Telemetry, (telemetry) =>
    freeze(
      {
        directory: segments,
        compression,
        telemetry: telemetry.updater(0),
        pressure,
        leftBehind: new Set(),
        memory: new FrameMemory()
      },
      segmentIndex
    ))

export const stepLayer = (compressor: RawCompressor = blocking, disk: Partial<SimulatedDisk.Options> = {}) =>
  Layer.merge(simulated(disk, compressor), TelemetryLayer.layer({ writersMax: 1 }))

/** Three segments of 60 events each. */
export const threeSegments = ({ layout }: Kind) => buildWal({ layout, segments: [60, 60, 60] })

/** Puts segments on the disk, durably. */
export const putDurably = Effect.fnUntraced(function*(wal: ReadonlyArray<BuiltSegment>) {
  const disk = yield* Disk
  yield* disk.makeDirectory(directory)
  for (const { bytes, segmentIndex } of wal) yield* put(hotPath(directory, segmentIndex), bytes)
  yield* disk.syncDirectory(directory)
  yield* disk.syncDirectory("/")
})
