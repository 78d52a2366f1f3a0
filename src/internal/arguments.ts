/**
 * Refuses arguments of public functions that they do not understand. JavaScript checks no types: a string has a
 * `length`, an ArrayBuffer has none, and `NaN` is neither above nor below a limit. So a public function asks here
 * before it changes anything.
 *
 * A wrong argument is a mistake of the program, so it is a defect. Its message names the argument and the expected
 * values. It shows numbers, but never the content of an event.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { inspect, types } from "node:util"
import { bytesOf, millisOf } from "./notations.ts"
import type { SizeInput } from "./notations.ts"

/** The defect of a wrong argument. */
class WrongArgument extends Error {
  override readonly name = "WrongArgument"
}

/** Throws `WrongArgument`: `name` is the argument, `expected` a phrase. */
export const refuseArgument = (name: string, value: unknown, expected: string): never => {
  throw new WrongArgument(`${name} is ${describe(value)}, expected ${expected}`)
}

const describe = (value: unknown): string => {
  if (typeof value === "string") return `a string of ${value.length} characters`
  if (typeof value === "function") return "a function"
  if (typeof value !== "object" || value === null) return inspect(value)
  const tag = Object.prototype.toString.call(value).slice("[object ".length, -1)
  return /^[AEIOU]/.test(tag) ? `an ${tag}` : `a ${tag}`
}

const { keys } = Uint8Array.prototype

/**
 * Throws unless `value` is a Uint8Array or another view on single bytes, of whatever realm, over plain or shared
 * memory. A view whose buffer was transferred away, or shrank below it, has a length of 0 and no bytes: it is refused
 * too.
 */
export const requireBytes = (name: string, value: Uint8Array): void => {
  if (!types.isTypedArray(value) || value.BYTES_PER_ELEMENT !== 1) refuseArgument(name, value, "a Uint8Array")
  if (value.length > 0) return
  try {
    // There is no function that only asks, but every method of a typed array begins with this check.
    keys.call(value)
  } catch {
    refuseArgument(name, value, "one whose buffer is still there (it was transferred or resized)")
  }
}

/**
 * Throws unless `values` can be a list of events or values: text and bytes are iterable too, but not what they consist
 * of.
 */
export const requireList = (name: string, values: Iterable<unknown>): void => {
  const isList = typeof values === "object" && values !== null && !ArrayBuffer.isView(values) &&
    typeof values[Symbol.iterator] === "function"
  if (!isList) refuseArgument(name, values, "an array or another iterable")
}

/** Throws unless `value` is a whole number from `minimum` to `maximum`. */
export const requireWhole = (
  name: string,
  value: number,
  minimum = 0,
  maximum: number = Number.MAX_SAFE_INTEGER
): void => {
  if (Number.isSafeInteger(value) && value >= minimum && value <= maximum) return
  refuseArgument(
    name,
    value,
    maximum === Number.MAX_SAFE_INTEGER
      ? `a whole number of ${minimum} or more`
      : `a whole number from ${minimum} to ${maximum}`
  )
}

/** The duration that is given. Throws unless it is one of `minimum` milliseconds or more. */
export const requireDuration = (name: string, value: Duration.Input, minimum: number): Duration.Duration => {
  const millis = Option.filter(millisOf(value), (millis) => millis >= minimum)
  if (Option.isSome(millis)) return Duration.millis(millis.value)
  return refuseArgument(name, value, `a duration of ${minimum} milliseconds or more, as in '50 millis'`)
}

/** The bytes of a size. Throws unless it is one of `minimum` bytes or more. */
export const requireSize = (name: string, value: SizeInput, minimum: number): number => {
  const bytes = Option.filter(bytesOf(value), (bytes) => bytes >= minimum)
  return Option.isSome(bytes) ? bytes.value : refuseArgument(name, value, `${minimum} bytes or more, as in 16MiB`)
}
