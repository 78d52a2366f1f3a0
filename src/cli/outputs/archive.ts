/** What the commands of archives print. */
import * as Schema from "effect/Schema"

/** What stands in an archive. */
export const ArchiveStatus = Schema.Struct({
  archive: Schema.String,
  /** How often the archive was opened for writing, and by whom last. */
  epoch: Schema.Int,
  owner: Schema.String,
  /** Segments that can be read, from the first on. */
  segments: Schema.Int,
  firstSegment: Schema.Int,
  /** 0 when there are none. */
  firstEventId: Schema.Int,
  lastEventId: Schema.Int,
  storedBytes: Schema.Int
})

/** How many segments were compared, how many of them were read, and what is wrong. */
export const ArchiveVerify = Schema.Struct({
  archive: Schema.String,
  segments: Schema.Int,
  read: Schema.Int,
  faults: Schema.Array(
    Schema.Struct({ segmentIndex: Schema.Int, key: Schema.String, message: Schema.String })
  )
})

/** Whose the log is now, and what was changed in the directory. */
export const TakeOver = Schema.Struct({
  archive: Schema.String,
  directory: Schema.String,
  epoch: Schema.Int,
  /** Events up to this one are in the store; 0 when there are none. */
  replicatedId: Schema.Int,
  /** Indices of segments. */
  removed: Schema.Array(Schema.Int),
  restored: Schema.Array(Schema.Int),
  /** Where that lies which only this machine had; null when it had nothing more. */
  quarantine: Schema.NullOr(Schema.String)
})
