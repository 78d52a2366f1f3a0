/**
 * Reads sizes and durations: those that a program gives in options (Effect's `Duration.Input`, and `SizeInput`),
 * and those that people write on the command line. JavaScript checks no types, and Effect takes `NaN`, `{}` and a
 * `Date` for a duration of 0; here they are none.
 */
import * as ByteSize from "effect/ByteSize"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

/**
 * A size: a number of bytes, or text with a unit, as `16MiB`. It stands for Effect's `ByteSize.Input`, whose type is so
 * large a union that TypeScript refuses `size ?? 4096` and `{ size: 4096, ...options }` (TS2590). Every text of that
 * type is understood.
 *
 * @since 0.1.0
 * @category models
 */
export type SizeInput = ByteSize.ByteSize | bigint | number | `${number}${"" | " "}${ByteSize.Unit}`

/** The bytes of a size; nothing when it is none, or more than a number can count. */
export const bytesOf = (input: unknown): Option.Option<number> =>
  Option.filter(Option.map(ByteSize.fromInput(input as ByteSize.Input), Number), Number.isSafeInteger)

/** The milliseconds of a duration; `Infinity` for one without an end, and nothing when it is none. */
export const millisOf: (input: unknown) => Option.Option<number> = Option.liftThrowable((input) =>
  // Adding 0 makes 0 of -0.
  Duration.toMillis(Duration.fromInputUnsafe(requireDurationInput(input))) + 0
)

const requireDurationInput = (input: unknown): Duration.Input => {
  if (!isDurationInput(input)) throw new Error("no duration")
  return input
}

const isDurationInput = (input: unknown): input is Duration.Input => {
  if (typeof input === "number") return !Number.isNaN(input)
  if (Array.isArray(input)) return input.length === 2 && input.every((part) => Number.isFinite(part))
  if (typeof input !== "object" || input === null) return typeof input === "string" || typeof input === "bigint"
  return Duration.isDuration(input) || isDurationObject(input)
}

const isDurationObject = (input: object): boolean => {
  const amounts = durationParts.map((part): unknown => Reflect.get(input, part)).filter((amount) =>
    amount !== undefined
  )
  return amounts.length > 0 && amounts.every((amount) => Number.isFinite(amount)) &&
    Object.keys(input).every((key) => durationParts.includes(key))
}

const durationParts: ReadonlyArray<string> = [
  "weeks",
  "days",
  "hours",
  "minutes",
  "seconds",
  "milliseconds",
  "microseconds",
  "nanoseconds"
]

/** Parses an amount of bytes: `262144`, `256KiB`, `16MiB`, `1.5MB`. */
export const parseBytes = (text: string): Option.Option<number> => bytesOf(/^\d+$/.test(text) ? Number(text) : text)

const millisPerUnit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Parses a duration as the command line has it: `250ms`, `2s`, `1.5s`, `10m`, `1h`, `7d`. */
export const parseDuration = (text: string): Option.Option<Duration.Duration> => {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text)
  return match === null
    ? Option.none()
    : Option.some(Duration.millis(Number(match[1]) * millisPerUnit[match[2] as keyof typeof millisPerUnit]))
}
