/**
 * Why an archive cannot continue: a class for each reason, in words that tell what to do about it.
 *
 * @since 0.1.0
 */
import { taggedReason } from "../internal/taggedReason.ts"

/**
 * Something else stands where the manifest of a log should be.
 *
 * @since 0.1.0
 * @category reasons
 */
export class NotManifest extends taggedReason(
  "NotManifest",
  "something else stands where the manifest should be; use another name for the log, or another prefix",
  false
) {}

/**
 * The archive is that of another log.
 *
 * @since 0.1.0
 * @category reasons
 */
export class OtherLog extends taggedReason(
  "OtherLog",
  "another log is archived under this name; use another name for this log",
  false
) {}

/**
 * A newer version of this package has written it.
 *
 * @since 0.1.0
 * @category reasons
 */
export class NewerFormat extends taggedReason(
  "NewerFormat",
  "a newer version of effect-wal has written this; use that version",
  false
) {}

/**
 * A manifest or a page of it is cut off, or does not match its checksum.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Damaged extends taggedReason(
  "Damaged",
  "the object is cut off or damaged; restore an earlier version of it from the store",
  false
) {}

/**
 * An object that never changes has other bytes than it should.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Different extends taggedReason(
  "Different",
  "an object of this name has other content; nothing is replaced, look who else writes here",
  false
) {}

/**
 * A later recorder has claimed the archive of this log.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Fenced extends taggedReason(
  "Fenced",
  "another recorder has claimed this archive; only one may write, end the other one and restart this one",
  false
) {}

/**
 * The manifest is not the version that was to be replaced.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Outdated extends taggedReason("Outdated", "the manifest has changed; it is read again", true) {}

/**
 * A segment of the log is damaged, missing, or does not continue what is archived.
 *
 * @since 0.1.0
 * @category reasons
 */
export class BadSegment extends taggedReason(
  "BadSegment",
  "a segment of the log cannot be archived; it is kept, see `effect-wal verify` and `effect-wal repair`",
  false
) {}

/**
 * What was read back from the store is not the segment.
 *
 * @since 0.1.0
 * @category reasons
 */
export class NotProved extends taggedReason(
  "NotProved",
  "what was read back from the store is not the segment; the local file is kept",
  true
) {}

/**
 * Why an archive cannot continue, in words that tell what to do about it.
 *
 * @since 0.1.0
 * @category reasons
 */
export type ArchiveReason =
  | NotManifest
  | OtherLog
  | NewerFormat
  | Damaged
  | Different
  | Fenced
  | Outdated
  | BadSegment
  | NotProved
