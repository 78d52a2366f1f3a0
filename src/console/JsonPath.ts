/**
 * Questions to events that are JSON, in the notation of JSON paths: `$.customer.name`, `$.items[0].id`,
 * `$.items[*].sku`, `$["a key"]`. A comparison may follow, with a value in JSON: `$.cents >= 100`,
 * `$.customer == "ada"`. Without one, an event matches when it has something at that place.
 */
import * as Result from "effect/Result"

/** A step of a path: a key, a place in an array, or everything in an array or object. */
type Step = { readonly key: string } | { readonly index: number } | "all"

const operators = ["==", "!=", "<=", ">=", "<", ">"] as const

type Operator = typeof operators[number]

/** Tells whether a value matches. */
type Matcher = (value: unknown) => boolean

/** Reads a question; a message that tells what is wrong with it otherwise. */
export const parseQuestion = (text: string): Result.Result<Matcher, string> => {
  let rest = text.trim()
  if (!rest.startsWith("$")) return Result.fail("a JSON path begins with $, as in $.customer.name")
  rest = rest.slice(1)
  const steps: Array<Step> = []
  while (rest !== "" && /^[.[]/.test(rest)) {
    const found = stepOf(rest)
    if (found === undefined) return Result.fail(`a JSON path cannot continue with ${rest.slice(0, 20)}`)
    steps.push(found.step)
    rest = rest.slice(found.length)
  }
  rest = rest.trim()
  if (rest === "") return Result.succeed((value) => valuesAt(value, steps).length > 0)
  const operator = operators.find((one) => rest.startsWith(one))
  if (operator === undefined) {
    return Result.fail(`after a JSON path comes ==, !=, <, <=, > or >=, not ${rest.slice(0, 20)}`)
  }
  const written = rest.slice(operator.length).trim()
  const wanted = parsed(written)
  if (wanted === undefined || typeof wanted.value === "object" && wanted.value !== null) {
    return Result.fail("what is compared is a text in double quotes, a number, true, false or null")
  }
  return Result.succeed((value) => valuesAt(value, steps).some((found) => compare(found, operator, wanted.value)))
}

const stepOf = (rest: string): { readonly step: Step; readonly length: number } | undefined => {
  const key = /^\.([\p{L}_$][\p{L}\p{N}_$-]*)/u.exec(rest)
  if (key !== null) return { step: { key: key[1] ?? "" }, length: key[0].length }
  const all = /^(\.\*|\[\*\])/.exec(rest)
  if (all !== null) return { step: "all", length: all[0].length }
  const index = /^\[(\d+)\]/.exec(rest)
  if (index !== null) return { step: { index: Number(index[1]) }, length: index[0].length }
  const quoted = /^\[("(?:[^"\\]|\\.)*")\]/.exec(rest)
  const name = quoted === null ? undefined : parsed(quoted[1] ?? "")
  if (quoted === null || typeof name?.value !== "string") return undefined
  return { step: { key: name.value }, length: quoted[0].length }
}

/** Parses JSON; `undefined` for what is none. */
export const parsed = (text: string): { readonly value: unknown } | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return { value }
  } catch {
    return undefined
  }
}

const valuesAt = (value: unknown, steps: ReadonlyArray<Step>): ReadonlyArray<unknown> => {
  let values: ReadonlyArray<unknown> = [value]
  for (const step of steps) {
    values = values.flatMap((one): ReadonlyArray<unknown> => {
      if (typeof one !== "object" || one === null) return []
      if (step === "all") return Object.values(one)
      if ("index" in step) return Array.isArray(one) && step.index < one.length ? [one[step.index]] : []
      // Only own keys: what every object inherits was not recorded.
      return Object.hasOwn(one, step.key) && !Array.isArray(one) ? [Reflect.get(one, step.key)] : []
    })
  }
  return values
}

const compare = (found: unknown, operator: Operator, wanted: unknown): boolean => {
  if (operator === "==") return found === wanted
  if (operator === "!=") return found !== wanted
  if (typeof found === "number" && typeof wanted === "number") return isOrdered(found, operator, wanted)
  return typeof found === "string" && typeof wanted === "string" && isOrdered(found, operator, wanted)
}

const isOrdered = <A extends number | string>(a: A, operator: Operator, b: A): boolean =>
  operator === "<" ? a < b : operator === "<=" ? a <= b : operator === ">" ? a > b : a >= b
