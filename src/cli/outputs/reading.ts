/** What the commands print that read a log, check it, copy it or repair it. */
import * as Schema from "effect/Schema"
import { AcknowledgedHole } from "../../disk/HoleStore.ts"
import { VerifyFault } from "./parts.ts"

const about = { id: Schema.Int, time: Schema.optionalKey(Schema.String) }

/** An event a line: its text, or its bytes when they are no UTF-8. Events of format 1 have no time. */
export const Event = Schema.Union([
  Schema.Struct({ ...about, text: Schema.String }),
  Schema.Struct({ ...about, base64: Schema.String })
])

const holes = Schema.Array(AcknowledgedHole)

const Verified = Schema.Struct({
  directory: Schema.String,
  segments: Schema.Array(Schema.Struct({
    segmentIndex: Schema.Int,
    path: Schema.String,
    form: Schema.Literals(["hot", "cold"]),
    version: Schema.Int,
    closed: Schema.Boolean,
    blockCount: Schema.Int,
    eventCount: Schema.Int,
    /** 0 when it has no event. */
    firstEventId: Schema.Int,
    lastEventId: Schema.Int,
    /** Of its content, uncompressed. */
    bytes: Schema.Int,
    /** After the last intact block of a segment that was not closed. */
    tornBytes: Schema.Int,
    /** It was verified before, and not read. */
    remembered: Schema.Boolean
  })),
  faults: Schema.Array(VerifyFault),
  severalForms: Schema.Array(Schema.Int),
  foreign: Schema.Array(Schema.String),
  holes,
  ignoredHints: Schema.Array(Schema.String),
  notRemembered: Schema.String
})

const Restored = Schema.Struct({
  directory: Schema.String,
  applied: Schema.Boolean,
  quarantine: Schema.NullOr(Schema.String),
  steps: Schema.Array(Schema.Struct({
    segmentIndex: Schema.Int,
    because: Schema.Literals(["damaged", "missing"]),
    key: Schema.String,
    firstEventId: Schema.Int,
    lastEventId: Schema.Int
  })),
  left: Schema.Array(VerifyFault),
  holes
})

/** What `verify` found; with `--repair-from-archive` what was put back, and what is left. */
export const Verify = Schema.Union([Verified, Restored])

/** The segments, from their headers. */
export const Inspect = Schema.Struct({
  directory: Schema.String,
  segments: Schema.Array(Schema.Struct({
    segmentIndex: Schema.Int,
    path: Schema.String,
    state: Schema.Literals(["open", "hot", "cold", "damaged"]),
    events: Schema.Int,
    firstEventId: Schema.Int,
    lastEventId: Schema.Int,
    /** On disk. */
    bytes: Schema.Int,
    /** Uncompressed to compressed; 0 when that is not known. */
    ratio: Schema.Finite,
    /** ISO 8601; empty when that is not known. */
    created: Schema.String,
    closed: Schema.String,
    /** What is wrong; empty when nothing is. */
    detail: Schema.String
  })),
  holes,
  foreign: Schema.Array(Schema.String),
  unsafe: Schema.Array(Schema.String)
})

/** The fields of a header. Numbers of 64 bits are text, checksums are text in hex. */
const Header = Schema.Record(Schema.String, Schema.Union([Schema.String, Schema.Finite, Schema.Boolean]))

const Block = Schema.Struct({
  index: Schema.Int,
  offset: Schema.Int,
  headerHolds: Schema.Boolean,
  payloadHolds: Schema.Boolean,
  header: Header
})

/** The header of a segment, one of its blocks, or an event; `base64` has the bytes of what was asked for. */
export const Dump = Schema.Union([
  Schema.Struct({ path: Schema.String, header: Header, base64: Schema.String }),
  Schema.Struct({ path: Schema.String, block: Block, base64: Schema.String }),
  Schema.Struct({
    path: Schema.String,
    block: Block,
    event: Schema.Struct({ id: Schema.Int, offset: Schema.Int }),
    base64: Schema.String
  })
])

/** What was moved to quarantine, or would be. */
export const Repair = Schema.Struct({
  directory: Schema.String,
  applied: Schema.Boolean,
  /** Null when nothing was moved. */
  quarantine: Schema.NullOr(Schema.String),
  steps: Schema.Array(Schema.Struct({
    segmentIndex: Schema.Int,
    path: Schema.String,
    fault: VerifyFault,
    kept: Schema.Literals(["other form", "whole blocks", "nothing"]),
    eventCount: Schema.Int,
    firstEventId: Schema.Int,
    lastEventId: Schema.Int
  })),
  lastEventId: Schema.Int,
  lastGivenId: Schema.Int,
  left: Schema.Array(VerifyFault),
  ignoredHint: Schema.String
})

/** What was copied. */
export const Backup = Schema.Struct({
  directory: Schema.String,
  to: Schema.String,
  segmentCount: Schema.Int,
  bytes: Schema.Int,
  firstEventId: Schema.Int,
  lastEventId: Schema.Int,
  faults: Schema.Array(VerifyFault),
  holes
})
