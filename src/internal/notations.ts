/** Parses sizes and durations as people write them, on the command line and in the environment. */
import * as ByteSize from "effect/ByteSize"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

/** Parses an amount of bytes: `262144`, `256KiB`, `16MiB`, `1.5MB`. */
export const parseBytes = (text: string): Option.Option<number> =>
  /^\d+$/.test(text)
    ? Option.filter(Option.some(Number(text)), Number.isSafeInteger)
    : Option.flatMap(ByteSize.fromString(text), ByteSize.toNumber)

const millisOf = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** Parses a duration: `250ms`, `2s`, `1.5s`, `10m`, `1h`. */
export const parseDuration = (text: string): Option.Option<Duration.Duration> => {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text)
  return match === null
    ? Option.none()
    : Option.some(Duration.millis(Number(match[1]) * millisOf[match[2] as keyof typeof millisOf]))
}
