/** What the commands print that record, and that maintain what is recorded. */
import * as Schema from "effect/Schema"
import { AcknowledgedHole } from "../../disk/HoleStore.ts"
import { stepNames } from "../../maintainer/steps/StepError.ts"
import { stepReasonTags } from "../../maintainer/steps/StepReason.ts"
import { DrainReceipt } from "./parts.ts"

/** The summary of a recording. Ids are 0 when nothing was recorded. Bytes of segments are those on disk. */
export const Record = Schema.Struct({
  directory: Schema.String,
  /** `input` if the input ended; otherwise the name of the signal. */
  endedBy: Schema.String,
  events: Schema.Int,
  /** Read from standard input. */
  bytes: Schema.Int,
  /** Lines longer than an event may be, which were skipped or split. */
  longLines: Schema.Int,
  firstEventId: Schema.Int,
  lastEventId: Schema.Int,
  durableEventId: Schema.Int,
  hotSegments: Schema.Int,
  hotBytes: Schema.Int,
  coldSegments: Schema.Int,
  coldBytes: Schema.Int,
  /** Deleted by retention in this run. */
  deletedSegments: Schema.Int,
  /** Uncompressed to compressed, of the segments compressed in this run; 0 when there were none. */
  ratio: Schema.Finite,
  /** Steps of the maintainer that failed for good. */
  failures: Schema.Int,
  /** From the first read to the end of the drain. */
  millis: Schema.Finite,
  /** What the maintainer did at the end, when nothing more came. */
  drain: DrainReceipt,
  eventsPerSecond: Schema.Int
})

/** What was appended. Ids are 0 when nothing was. Events of others may have ids between them. */
export const Append = Schema.Struct({
  address: Schema.String,
  /** `input` if the input ended; otherwise the name of the signal. */
  endedBy: Schema.String,
  events: Schema.Int,
  /** Read from standard input. */
  bytes: Schema.Int,
  firstEventId: Schema.Int,
  lastEventId: Schema.Int,
  /** Of the whole log. */
  durableEventId: Schema.Int,
  millis: Schema.Finite
})

const segmentIndex = Schema.Int
/** Absent when the step does not know. */
const known = Schema.optional(Schema.Finite)

/** One action a line, and the receipt at the end. */
export const Maintain = Schema.Union([
  Schema.Struct({ action: Schema.Literal("opened"), segmentIndex }),
  Schema.Struct({
    action: Schema.Literal("persisted"),
    segmentIndex,
    bytes: Schema.Int,
    usedBytes: known,
    firstEventId: known,
    lastEventId: known,
    closedMillis: Schema.Finite,
    millis: known
  }),
  Schema.Struct({
    action: Schema.Literal("frozen"),
    segmentIndex,
    hotBytes: Schema.Int,
    coldBytes: Schema.Int,
    firstEventId: known,
    lastEventId: known,
    closedMillis: Schema.Finite,
    millis: known
  }),
  Schema.Struct({ action: Schema.Literal("freed"), segmentIndex, millis: known }),
  Schema.Struct({
    action: Schema.Literal("quarantined"),
    segmentIndex,
    kept: Schema.Literals(["other form", "whole blocks", "nothing"]),
    quarantine: Schema.String,
    bytes: Schema.Int,
    firstEventId: Schema.Int,
    lastEventId: Schema.Int,
    hole: Schema.optional(AcknowledgedHole)
  }),
  Schema.Struct({
    action: Schema.Literal("failed"),
    segmentIndex,
    step: Schema.Literals(stepNames),
    reason: Schema.Literals(stepReasonTags),
    path: Schema.String,
    message: Schema.String,
    isRetryable: Schema.Boolean,
    isFinal: Schema.Boolean,
    atMillis: Schema.Finite,
    millis: Schema.Finite
  }),
  Schema.Struct({ action: Schema.Literal("drained"), ...DrainReceipt.fields })
])
