/**
 * The flags that several commands have, and the notations of sizes and durations as people write them.
 *
 * @since 0.1.0
 */
import * as ByteSize from "effect/ByteSize"
import * as Flag from "effect/cli/Flag"
import { framings } from "./EventFraming.ts"

export { parseBytes, parseDuration } from "../internal/notations.ts"

/**
 * `--dir D`.
 *
 * @since 0.1.0
 * @category flags
 */
export const directoryFlag = Flag.String("dir").pipe(
  Flag.withMetavar("D"),
  Flag.withDescription("The directory of the segments"),
  Flag.filter((path) => path !== "", () => "the path of a directory")
)

/**
 * The flags of all commands whose value is the path of a directory, for shells to complete.
 *
 * @since 0.1.0
 * @category flags
 */
export const directoryFlagNames: ReadonlyArray<string> = ["dir", "to"]

/**
 * `--json`.
 *
 * @since 0.1.0
 * @category flags
 */
export const jsonFlag = Flag.Boolean("json").pipe(
  Flag.withDescription("Print one JSON object on standard output"),
  Flag.withDefault(false)
)

/**
 * `--framing lines|length-prefixed`.
 *
 * @since 0.1.0
 * @category flags
 */
export const framingFlag = Flag.Literals("framing", framings).pipe(
  Flag.withDescription("An event is a line with its line feed, or a message of u32 little-endian length + bytes"),
  Flag.withDefault("lines")
)

/**
 * An amount of bytes as people write it, and as `parseBytes` reads it: `16 MiB`.
 *
 * @since 0.1.0
 * @category notations
 */
export const formatSize = (bytes: number): string => ByteSize.format(ByteSize.bytes(bytes))
