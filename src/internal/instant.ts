/** Reads points in time: whatever Effect's `DateTime` takes for one, and a `Date` of another realm. */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import { types } from "node:util"

/** The Unix time of a point in time, in milliseconds; nothing when it is none. */
export const epochMillisOf = (input: unknown): Option.Option<number> => {
  if (types.isDate(input)) return Option.filter(Option.some(input.getTime()), Number.isFinite)
  const isInput = typeof input === "object" || typeof input === "number" || typeof input === "string"
  if (!isInput || input === null) return Option.none()
  return Option.map(DateTime.make(input), DateTime.toEpochMillis)
}
