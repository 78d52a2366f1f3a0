/**
 * How the files of a segment are named. A name carries the segment's index and its form, nothing else; order is always
 * the order of the indices, never of names or file times.
 *
 * ```text
 * FS.00000012.wal            hot: active, or closed and durable
 * FS.00000012.wal.tmp        hot, being prepared: never held an event that was promised
 * FS.00000012.wal.lz4        cold: one standard LZ4 frame of exactly the bytes of the .wal
 * FS.00000012.wal.lz4.tmp    a freeze in progress
 * FS.00000012.wal.lz4b       cold, block compression: u32 size + one LZ4 block
 * FS.00000012.wal.lz4b.tmp   a freeze in progress
 * ```
 *
 * A `.tmp` found when nothing writes to the directory is garbage. A naming is plain data, so it can be handed to
 * another thread.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { matching, whole } from "../internal/options.ts"
import { segmentIndexMax } from "./Limits.ts"

export { segmentIndexMax } from "./Limits.ts"

/**
 * The form of a segment, as a file name tells it.
 *
 * @since 0.1.0
 * @category models
 */
export type SegmentForm = "hot" | "preparing" | "cold" | "freezing"

/**
 * How cold segments are compressed: one LZ4 frame (readable by every LZ4 tool), or one bare LZ4 block with its size.
 *
 * @since 0.1.0
 * @category models
 */
export type Compression = "frame" | "block"

/**
 * A naming scheme: `prefix` + `.` + the index in at least `digits` digits + `suffix`.
 *
 * @since 0.1.0
 * @category models
 */
export const SegmentNaming = Schema.Struct({
  prefix: matching(/^[^/\0]+$/, "a name without a slash"),
  /** It begins with no digit: the digits before it are those of the index. */
  suffix: matching(/^[^/\0\d][^/\0]*$/, "a name without a slash that begins with no digit"),
  digits: whole("count", 1, 100)
})

/**
 * A naming scheme: the type of {@link SegmentNaming}.
 *
 * @since 0.1.0
 * @category models
 */
export interface SegmentNaming extends Schema.Schema.Type<typeof SegmentNaming> {}

/**
 * The default names: `FS.00000012.wal`.
 *
 * @since 0.1.0
 * @category models
 */
export const defaultNaming: SegmentNaming = { prefix: "FS", suffix: ".wal", digits: 8 }

const coldEnding: Record<Compression, string> = { frame: ".lz4", block: ".lz4b" }

/**
 * The name of a hot segment.
 *
 * @since 0.1.0
 * @category names
 */
export const hotName = (naming: SegmentNaming, index: number): string =>
  `${naming.prefix}.${String(index).padStart(naming.digits, "0")}${naming.suffix}`

/** The name of a hot segment while it is being prepared. */
export const preparingName = (naming: SegmentNaming, index: number): string => `${hotName(naming, index)}.tmp`

/**
 * The name of a cold segment.
 *
 * **Example** (Naming a compressed segment)
 *
 * ```ts
 * import { SegmentName } from "effect-wal"
 *
 * const name = SegmentName.coldName(SegmentName.defaultNaming, 12, "frame")
 * console.log(name) // => FS.00000012.wal.lz4
 * ```
 *
 * @since 0.1.0
 * @category names
 */
export const coldName = (naming: SegmentNaming, index: number, compression: Compression): string =>
  hotName(naming, index) + coldEnding[compression]

/** The name of a cold segment while it is being written. */
export const freezingName = (naming: SegmentNaming, index: number, compression: Compression): string =>
  `${coldName(naming, index, compression)}.tmp`

/** What a name stands for. */
export interface ParsedName {
  readonly index: number
  readonly form: SegmentForm
  /** Of a cold or freezing name; `frame` otherwise. */
  readonly compression: Compression
}

/** Reads a file name; `undefined` for anything that this naming would not have written. */
export const parseName = (naming: SegmentNaming, name: string): ParsedName | undefined => {
  const head = `${naming.prefix}.`
  if (!name.startsWith(head)) return undefined
  let digitsEnd = head.length
  while (digitsEnd < name.length && name.charCodeAt(digitsEnd) >= 48 && name.charCodeAt(digitsEnd) <= 57) digitsEnd++
  const digits = name.slice(head.length, digitsEnd)
  const index = Number(digits)
  if (digits.length < naming.digits || index > segmentIndexMax) return undefined
  if (digits !== String(index).padStart(naming.digits, "0")) return undefined
  if (!name.startsWith(naming.suffix, digitsEnd)) return undefined
  switch (name.slice(digitsEnd + naming.suffix.length)) {
    case "":
      return { index, form: "hot", compression: "frame" }
    case ".tmp":
      return { index, form: "preparing", compression: "frame" }
    case ".lz4":
      return { index, form: "cold", compression: "frame" }
    case ".lz4.tmp":
      return { index, form: "freezing", compression: "frame" }
    case ".lz4b":
      return { index, form: "cold", compression: "block" }
    case ".lz4b.tmp":
      return { index, form: "freezing", compression: "block" }
    default:
      return undefined
  }
}
