/**
 * Why an operation on the disk failed: a class for each reason, in words that tell what to do about it.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Struct from "effect/Struct"
import { taggedReason, withDetail } from "../internal/taggedReason.ts"

/**
 * The name stands for nothing.
 *
 * @since 0.1.0
 * @category reasons
 */
export class NotFound extends taggedReason("NotFound", "it does not exist", false) {}

/**
 * The name is taken.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Exists extends taggedReason("Exists", "it already exists", false) {}

/**
 * A file has the name of a directory.
 *
 * @since 0.1.0
 * @category reasons
 */
export class NotDirectory extends taggedReason("NotDirectory", "it is not a directory", false) {}

/**
 * A directory has the name of a file.
 *
 * @since 0.1.0
 * @category reasons
 */
export class IsDirectory extends taggedReason("IsDirectory", "it is a directory; remove or rename it", false) {}

/**
 * Permissions, or a read-only file system.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Denied extends taggedReason("Denied", "permission denied, or the file system is read-only", false) {}

/**
 * No space, or a quota or file size limit is reached.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Full extends taggedReason("Full", "no disk space left; free some, or lower the retention limits", true) {}

/**
 * The process or the system is out of file descriptors.
 *
 * @since 0.1.0
 * @category reasons
 */
export class TooManyFiles extends taggedReason(
  "TooManyFiles",
  "too many open files; raise the limit (ulimit -n)",
  true
) {}

/**
 * A symbolic link, or something that is no regular file, stands where a file of ours should be.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Unsafe extends taggedReason(
  "Unsafe",
  "it is not a regular file (a link?); remove it or use another directory",
  false
) {}

/**
 * Another process holds the lock, or this process does.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Held extends Data.TaggedError("Held")<{
  /** Who holds it, for people: the process, its host, and since when. */
  readonly holder: string
}> {
  override get message(): string {
    return withDetail("another process holds it", this.holder)
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The file system or the system has no such thing; `detail` names it.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Unsupported extends taggedReason(
  "Unsupported",
  "not possible on this file system or system; use another",
  false
) {}

/**
 * The device failed, or anything else.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Io extends taggedReason("Io", "the device reported an error", true) {}

/**
 * The store that holds an archive is busy, or cannot be reached.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Away extends taggedReason("Away", "the archive's store does not answer; try again when it does", true) {}

/**
 * An archive does not have what it names: an object is missing, cut off or another one, or its manifest is damaged.
 *
 * @since 0.1.0
 * @category reasons
 */
export class BadArchive extends taggedReason(
  "BadArchive",
  "the archive does not have what it names; restore that object in the store, or read another copy of the log",
  false
) {}

const reasons = {
  NotFound,
  Exists,
  NotDirectory,
  IsDirectory,
  Denied,
  Full,
  TooManyFiles,
  Unsafe,
  Held,
  Unsupported,
  Away,
  BadArchive,
  Io
}

/**
 * Why an operation failed, in words that tell what to do about it.
 *
 * @since 0.1.0
 * @category reasons
 */
export type DiskReason = InstanceType<typeof reasons[keyof typeof reasons]>

/**
 * The tags of the reasons.
 *
 * @since 0.1.0
 * @category reasons
 */
export const diskReasonTags: ReadonlyArray<DiskReason["_tag"]> = Struct.keys(reasons)

/**
 * The reason with a tag. `detail` is what the system reported; for `Held`, who holds the lock.
 *
 * @since 0.1.0
 * @category constructors
 */
export const diskReason = (tag: DiskReason["_tag"], detail: string): DiskReason =>
  tag === "Held" ? new Held({ holder: detail }) : new reasons[tag]({ detail })
