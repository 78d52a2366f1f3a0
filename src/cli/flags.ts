/**
 * The flags that several commands have, and the notations of sizes and durations as people write them.
 *
 * @since 0.1.0
 */
import * as ByteSize from "effect/ByteSize"
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { framings } from "./EventFraming.ts"

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
 * An amount of bytes: `262144`, `256KiB`, `16MiB`, `1.5MB`.
 *
 * @since 0.1.0
 * @category notations
 */
export const parseBytes = (text: string): Option.Option<number> =>
  /^\d+$/.test(text)
    ? Option.filter(Option.some(Number(text)), Number.isSafeInteger)
    : Option.flatMap(ByteSize.fromString(text), ByteSize.toNumber)

const millisOf = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/**
 * A duration: `250ms`, `2s`, `1.5s`, `10m`, `1h`.
 *
 * @since 0.1.0
 * @category notations
 */
export const parseDuration = (text: string): Option.Option<Duration.Duration> => {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text)
  return match === null
    ? Option.none()
    : Option.some(Duration.millis(Number(match[1]) * millisOf[match[2] as keyof typeof millisOf]))
}

/**
 * An amount of bytes as people write it, and as `parseBytes` reads it: `16 MiB`.
 *
 * @since 0.1.0
 * @category notations
 */
export const formatSize = (bytes: number): string => ByteSize.format(ByteSize.bytes(bytes))
