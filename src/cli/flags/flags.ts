/** The flags that several commands have, and the notations in which people write sizes and durations. */
import * as ByteSize from "effect/ByteSize"
import * as Flag from "effect/cli/Flag"

export { parseBytes, parseDuration } from "../../internal/notations.ts"

const pathFlag = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(description),
    Flag.filter((path) => path !== "", () => "the path of a directory")
  )

/** `--dir D`. */
export const directoryFlag = pathFlag("dir", "D", "The directory of the segments")

/** `--to E`, for a command that creates a directory. */
export const newDirectoryFlag = pathFlag("to", "E", "The directory to create; it must not exist")

/** Lists the flags whose value is the path of a directory, in all commands, so that shells can complete them. */
export const directoryFlagNames: ReadonlyArray<string> = ["dir", "to"]

/** Makes a flag without a value: it is given or not. */
export const switchFlag = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.withDefault(false))

/** Makes a flag for a whole number that is at least `least`. */
export const numberFlag = (name: string, metavar: string, least: number, description: string) =>
  Flag.Int(name).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(description),
    Flag.filter((value) => value >= least, () => `a number from ${least}`)
  )

/** `--json`. */
export const jsonFlag = switchFlag("json", "Print one JSON object on standard output")

/** Formats an amount of bytes as people write it, and as `parseBytes` reads it: `16 MiB`. */
export const formatSize = (bytes: number): string => ByteSize.format(ByteSize.bytes(bytes))
