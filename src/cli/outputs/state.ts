/** What the commands print that tell how a log, its consumers and its machine are doing. */
import * as Schema from "effect/Schema"
import { AcknowledgedHole } from "../../disk/HoleStore.ts"
import { MonitorReport } from "../../recorder/monitor/MonitorReport.ts"

/** The report of the recorder that runs in the directory, or of the directory when none does. */
export const Stats = Schema.Union([
  Schema.Struct({ source: Schema.Literal("recorder"), ...MonitorReport.fields }),
  Schema.Struct({
    source: Schema.Literal("directory"),
    directory: Schema.String,
    atMillis: Schema.Finite,
    hotSegments: Schema.Int,
    /** On disk, as are `coldBytes`. */
    hotBytes: Schema.Int,
    coldSegments: Schema.Int,
    coldBytes: Schema.Int,
    /** Uncompressed to compressed; 0 when that is not known. */
    ratio: Schema.Finite,
    /** 0 when there is no event. */
    firstEventId: Schema.Int,
    lastEventId: Schema.Int,
    /** Null when the file is absent or not intact. */
    meta: Schema.NullOr(
      Schema.Struct({ lastOffset: Schema.Int, lastSegmentIndex: Schema.Int, lastEventId: Schema.Int })
    ),
    holes: Schema.Array(AcknowledgedHole),
    diskFreeBytes: Schema.Int,
    /** Null when nobody holds the directory. */
    heldBy: Schema.NullOr(Schema.String)
  })
])

/** How a log is doing, for monitoring. */
export const Check = Schema.Struct({
  directory: Schema.String,
  severity: Schema.Literals(["ok", "warning", "critical"]),
  findings: Schema.Array(
    Schema.Struct({ severity: Schema.Literals(["warning", "critical"]), text: Schema.String })
  )
})

/** What was deleted, or would be. */
export const Free = Schema.Struct({
  directory: Schema.String,
  applied: Schema.Boolean,
  /** How many were deleted, or would be. */
  segments: Schema.Int,
  /** How many could not be deleted. */
  left: Schema.Int,
  /** The oldest event that is there now; 0 when there is none. */
  firstEventId: Schema.Int,
  /** Consumers, and others with a durable position, for which something before the id is kept. */
  keptFor: Schema.Array(Schema.String)
})

/** A consumer. */
const Consumer = Schema.Struct({
  name: Schema.String,
  /** The last event that is done; null when the position is not intact. */
  eventId: Schema.NullOr(Schema.Int),
  behindEvents: Schema.NullOr(Schema.Int),
  /** On disk, of the segments that are kept for it. */
  behindBytes: Schema.NullOr(Schema.Int),
  /** For how long; null when no recorder tells. */
  behindMillis: Schema.NullOr(Schema.Finite),
  maxLagBytes: Schema.NullOr(Schema.Finite),
  maxLagMillis: Schema.NullOr(Schema.Finite),
  /** Who reads; null when nobody does. */
  readBy: Schema.NullOr(Schema.String),
  /** What is wrong; null when nothing is. */
  problem: Schema.NullOr(Schema.String)
})

/** A directory with its consumers. */
export const ConsumersList = Schema.Struct({
  directory: Schema.String,
  /** Of the events that are there; 0 when there is none. */
  firstEventId: Schema.Int,
  lastEventId: Schema.Int,
  /** Whether a recorder holds the directory. */
  isRecorded: Schema.Boolean,
  consumers: Schema.Array(Consumer)
})

/** One consumer. */
export const ConsumersShow = Schema.Struct({ directory: Schema.String, ...Consumer.fields })

/** With which event a consumer continues. */
export const ConsumersReset = Schema.Struct({
  directory: Schema.String,
  name: Schema.String,
  nextEventId: Schema.Int
})

/** Which consumer is forgotten. */
export const ConsumersRemove = Schema.Struct({ directory: Schema.String, name: Schema.String })

const Times = Schema.Struct({
  count: Schema.Int,
  p50Nanos: Schema.Finite,
  p99Nanos: Schema.Finite,
  maxNanos: Schema.Finite
})

/** What `doctor` has found out. */
export const Doctor = Schema.Struct({
  directory: Schema.String,
  nodeVersion: Schema.String,
  cpus: Schema.Int,
  /** Null when no limit is known. */
  openFilesMax: Schema.NullOr(Schema.Int),
  /** Null when it is not known. */
  fileSystem: Schema.NullOr(
    Schema.Struct({ type: Schema.String, device: Schema.String, mountPoint: Schema.String })
  ),
  clockStepNanos: Schema.Finite,
  freeBytes: Schema.Int,
  /** The process that holds the directory; then nothing is measured. Null when none does. */
  heldBy: Schema.NullOr(Schema.String),
  /** Null when the directory is held, and when there is too little space to measure. */
  measures: Schema.NullOr(Schema.Struct({
    write: Schema.Struct({ bytes: Schema.Int, nanos: Schema.Finite, bytesPerSecond: Schema.Finite }),
    sync: Times,
    rotation: Times
  })),
  /** The syncs of the recorder that holds the directory, since its start; null when none answers. */
  recorderSync: Schema.NullOr(Times),
  /** How far the wall clock was set during the measurement. */
  clockJumpMillis: Schema.Finite,
  /** Null when nothing was measured. */
  advice: Schema.NullOr(Schema.Struct({
    segmentBytes: Schema.Int,
    rotationShare: Schema.Finite,
    commit: Schema.String,
    commitsPerSecond: Schema.Finite
  })),
  /** Null without `--archive`, and when its store cannot be used. */
  archive: Schema.NullOr(Schema.Struct({
    url: Schema.String,
    checksMd5: Schema.Boolean,
    put: Times,
    range: Times,
    putBytesPerSecond: Schema.Finite,
    getBytesPerSecond: Schema.Finite
  })),
  findings: Schema.Array(Schema.Struct({ level: Schema.Literals(["warning", "note"]), text: Schema.String }))
})
