/**
 * Why a step of the maintainer failed: a class for each reason, in words that tell what to do about it.
 *
 * @since 0.1.0
 */
import { taggedReason } from "../../internal/taggedReason.ts"
import { failureReasons } from "../../telemetry/Counters.ts"
import type { FailureReason } from "../../telemetry/Counters.ts"

/**
 * The segment's file is not there.
 *
 * @since 0.1.0
 * @category reasons
 */
export class NotFound extends taggedReason("NotFound", "the file is not there", false) {}

/**
 * No space, or too many open files.
 *
 * @since 0.1.0
 * @category reasons
 */
export class DiskFull extends taggedReason(
  "DiskFull",
  "no disk space or file descriptors left; free some, or lower the retention limits",
  true
) {}

/**
 * Permissions, or a read-only file system.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Denied extends taggedReason("Denied", "permission denied, or the file system is read-only", true) {}

/**
 * fdatasync failed; the bytes go to a fresh file.
 *
 * @since 0.1.0
 * @category reasons
 */
export class SyncFailed extends taggedReason(
  "SyncFailed",
  "the device did not confirm the bytes; they are written to a fresh file",
  true
) {}

/**
 * The device did not take the bytes.
 *
 * @since 0.1.0
 * @category reasons
 */
export class WriteFailed extends taggedReason("WriteFailed", "the device did not take the bytes", true) {}

/**
 * The device did not give the bytes.
 *
 * @since 0.1.0
 * @category reasons
 */
export class ReadFailed extends taggedReason("ReadFailed", "the device did not give the bytes", true) {}

/**
 * The directory did not take a new name or a removal, or did not confirm it.
 *
 * @since 0.1.0
 * @category reasons
 */
export class NameFailed extends taggedReason(
  "NameFailed",
  "the directory did not take or confirm a rename or a removal; it is tried again",
  true
) {}

/**
 * The compressor failed.
 *
 * @since 0.1.0
 * @category reasons
 */
export class CompressFailed extends taggedReason(
  "CompressFailed",
  "the compressor failed; the original is kept",
  true
) {}

/**
 * What was read back differs from what was compressed.
 *
 * @since 0.1.0
 * @category reasons
 */
export class VerifyFailed extends taggedReason(
  "VerifyFailed",
  "what was read back differs from what was written; the original is kept",
  true
) {}

/**
 * The segment itself is damaged; it is left as it is, for `repair`.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Corrupt extends taggedReason(
  "Corrupt",
  "the segment does not verify; it is kept as it is, see `effect-wal repair`",
  false
) {}

/**
 * A link, a directory or something else stands where the file should be.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Unsafe extends taggedReason(
  "Unsafe",
  "something that is no regular file stands there; remove it",
  false
) {}

/**
 * Why a step failed: the reasons that telemetry counts, with `Unsafe` for what it counts as `Io`.
 *
 * @since 0.1.0
 * @category reasons
 */
export type StepReason =
  | NotFound
  | DiskFull
  | Denied
  | SyncFailed
  | WriteFailed
  | ReadFailed
  | NameFailed
  | CompressFailed
  | VerifyFailed
  | Corrupt
  | Unsafe

/**
 * The tags of the reasons.
 *
 * @since 0.1.0
 * @category reasons
 */
export const stepReasonTags: ReadonlyArray<StepReason["_tag"]> = failureReasons.map((reason) =>
  reason === "Io" ? "Unsafe" : reason
)

/**
 * The reason under which telemetry counts a failed step.
 *
 * @since 0.1.0
 * @category errors
 */
export const countedReason = (tag: StepReason["_tag"]): FailureReason => tag === "Unsafe" ? "Io" : tag
