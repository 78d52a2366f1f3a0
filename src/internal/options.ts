/**
 * Describes options by a schema. Each field has its unit, its range and its default. So the check of a value, its
 * reading from a configuration and its documentation come from one place.
 *
 * A duration is given as Effect's `Duration.Input` and becomes a `Duration` of whole milliseconds. A size is given as
 * a `SizeInput` and becomes a number of bytes.
 *
 * The message for a wrong value names the field, the value and the expected values.
 */
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaIssue from "effect/SchemaIssue"
import { inspect } from "node:util"
import { epochMillisOf } from "./instant.ts"
import { bytesOf, millisOf } from "./notations.ts"
import type { SizeInput } from "./notations.ts"

/** The kind of a value: an amount in a unit, a number without a unit, text, or code. */
type Unit = "bytes" | "duration" | "count" | "number" | "text" | "code"

/** The unit of a field and its expected values. */
interface FieldNotes {
  readonly unit: Unit
  /** The expected values, as a phrase: `2 to 128`. */
  readonly expected: string
}

const notesKey = "effect-wal/field"

/** The longest timer that Node has, in milliseconds: 24.8 days. */
export const millisLimit = 2 ** 31 - 1

const notes = (unit: Unit, expected: string): { readonly [notesKey]: FieldNotes } => ({
  [notesKey]: { unit, expected }
})

/** Makes a field for a whole number in a range, both ends included. */
export const whole = (unit: "count" | "number", minimum: number, maximum: number): Schema.Int =>
  Schema.Int.check(Schema.isBetween({ minimum, maximum })).annotate(notes(unit, rangeOf(minimum, maximum)))

const rangeOf = (minimum: number, maximum: number): string =>
  maximum >= Number.MAX_SAFE_INTEGER ? `${minimum} or more` : `${minimum} to ${maximum}`

/** Makes a field for a size in a range, both ends in bytes and included. */
export const size = (minimum: number, maximum: number): Schema.Codec<number, SizeInput> =>
  Schema.declare((value): value is SizeInput =>
    Option.exists(bytesOf(value), (bytes) => bytes >= minimum && bytes <= maximum)
  ).pipe(
    Schema.decodeTo(Schema.Int.check(Schema.isBetween({ minimum, maximum })), {
      decode: SchemaGetter.transform((value) => Option.getOrThrow(bytesOf(value))),
      encode: SchemaGetter.transform((bytes) => bytes)
    })
  ).annotate(notes("bytes", rangeOf(minimum, maximum)))

/** Makes a field for a duration in a range, both ends in milliseconds and included. */
export const duration = (minimum: number, maximum: number): Schema.Codec<Duration.Duration, Duration.Input> =>
  Schema.declare((value): value is Duration.Input =>
    Option.exists(
      millisOf(value),
      (millis) => millis >= minimum && millis <= maximum && (Number.isInteger(millis) || millis === maximum)
    )
  ).pipe(
    Schema.decodeTo(Schema.Duration, {
      decode: SchemaGetter.transform((value) => Duration.millis(Option.getOrThrow(millisOf(value)))),
      encode: SchemaGetter.transform((value): Duration.Input => value)
    })
  ).annotate(notes("duration", rangeOf(minimum, maximum)))

/** Makes a field for a whole number that its user clamps to the range, with a warning. */
export const clampedWhole = (minimum: number, maximum: number): Schema.Int =>
  Schema.Int.annotate(notes("count", `${minimum} to ${maximum}, clamped`))

/** Makes a field as `clampedWhole` does, which also accepts one word instead of a number. */
export const clampedWholeOr = <const Word extends string>(minimum: number, maximum: number, word: Word) =>
  Schema.Union([Schema.Int, Schema.Literal(word)]).annotate(
    notes("count", `${minimum} to ${maximum}, clamped, or ${word}`)
  )

/** Makes a field for one of some words, or for one of some numbers. */
export const oneOf = <const Choices extends ReadonlyArray<string> | ReadonlyArray<number>>(
  choices: Choices
): Schema.Literals<Choices> =>
  Schema.Literals(choices).annotate(notes(typeof choices[0] === "number" ? "number" : "text", choices.join(", ")))

/** Makes a field for text that is not empty. */
export const text = (expected: string): Schema.NonEmptyString => Schema.NonEmptyString.annotate(notes("text", expected))

/** Makes a field for text of a form. */
export const matching = (pattern: RegExp, expected: string): Schema.String =>
  Schema.String.check(Schema.isPattern(pattern)).annotate(notes("text", expected))

/** Makes a field for a path. */
export const path: Schema.String = matching(/^[^\0]+$/, "a path")

/** Makes a field for a point in time. */
export const instant = Schema.declare((value): value is DateTime.DateTime.Input => Option.isSome(epochMillisOf(value)))
  .annotate(notes("code", "a point in time: a DateTime, a Date, Unix milliseconds, or text in ISO 8601"))

/** Makes a field for a function. */
export const callback = <F extends (...args: never) => unknown>(): Schema.declare<F> =>
  Schema.declare((value): value is F => typeof value === "function").annotate(notes("code", "a function"))

/** Makes a field for the schedule of the maintainer's loop. What it takes and needs only the types know. */
export const schedule = Schema.declare((value): value is Schedule.Schedule<unknown, boolean> =>
  Schedule.isSchedule(value)
).annotate(notes("code", "a Schedule"))

/** Makes a field for what this variant of a layer cannot take. */
export const absent = (expected: string): Schema.declare<undefined> =>
  Schema.declare((value) => value === undefined).annotate(notes("code", expected))

/** Makes a field for the address of a module. */
export const moduleUrl = Schema.declare((value): value is URL =>
  typeof value === "object" && value !== null && "href" in value && typeof value.href === "string"
).annotate(notes("code", "a URL"))

/** Gives a field a default, for options in which it is missing. */
export const withDefault = <S extends Schema.Top>(schema: S, value: S["Type"]) =>
  Schema.withDecodingDefaultType<S>(Effect.succeed(value))(schema)

/** A field with its path in the options. */
export interface Field extends FieldNotes {
  readonly path: ReadonlyArray<string>
}

/** Lists the fields of a schema that have a single value, in order, including those of nested structs. */
export const fieldsOf = (schema: Schema.Top): ReadonlyArray<Field> => collect(schema.ast, [])

const collect = (ast: SchemaAST.AST, path: ReadonlyArray<string>): ReadonlyArray<Field> => {
  if (SchemaAST.isObjects(ast)) {
    return ast.propertySignatures.flatMap(({ name, type }) => collect(type, [...path, String(name)]))
  }
  const found = notesOf(ast)
  return found === undefined ? [] : [{ path, ...found }]
}

/** Finds the notes of a field. An optional field is a union with `undefined`. */
const notesOf = (ast: SchemaAST.AST): FieldNotes | undefined => {
  const own = SchemaAST.resolveAt<FieldNotes>(notesKey)(ast)
  if (own !== undefined || !SchemaAST.isUnion(ast)) return own
  return ast.types.map(notesOf).find((found) => found !== undefined)
}

/**
 * Reads the text of a configuration as an option: digits are a number, where the field is not for text. Everything else
 * stays text, which the check takes (`16MiB`, `50 millis`) or refuses.
 */
export const fromText = (unit: Unit, text: string): unknown =>
  unit !== "text" && unit !== "code" && /^-?\d+$/.test(text) ? Number(text) : text

/**
 * The defect of wrong options. They are written in the program itself, so they are a mistake of the program, as in
 * Effect's own modules.
 */
class WrongOptions extends Error {
  override readonly name = "WrongOptions"
}

/** Gives the options with all defaults filled in, or one line that lists everything that is wrong with them. */
export const check = <A, I>(
  schema: Schema.Codec<A, I>,
  given: unknown,
  nameOf: (path: ReadonlyArray<string>) => string = (path) => path.join("."),
  onExcessProperty: "ignore" | "error" = "ignore"
): Result.Result<A, string> =>
  Result.mapError(Schema.decodeUnknownResult(schema)(given, { errors: "all", onExcessProperty }), (error) => {
    const fields = fieldsOf(schema)
    const lines = SchemaIssue.makeFormatterStandardSchemaV1()(error.issue).issues.map(({ message, path = [] }) => {
      const names = path.map(String)
      const field = fields.find((field) => field.path.join() === names.join())
      const value = names.reduce<unknown>(valueAt, given)
      if (value === undefined && message === "Missing key") return `${nameOf(names)} is missing`
      const expected = field === undefined || isRight(schema, names, value) ? message : `expected ${phrase(field)}`
      return `${nameOf(names)} is ${inspect(value, { depth: 1 })}, ${expected}`
    })
    // A value may violate two rules of its field; both have the same phrase.
    return [...new Set(lines)].join("; ")
  })

const valueAt = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined

/** Tells whether the value alone is valid: then it is wrong only in combination with another field. */
const isRight = (schema: Schema.Top, path: ReadonlyArray<string>, value: unknown): boolean => {
  let ast = schema.ast
  for (const name of path) {
    if (!SchemaAST.isObjects(ast)) return false
    const property = ast.propertySignatures.find((property) => property.name === name)
    if (property === undefined) return false
    ast = property.type
  }
  return Result.isSuccess(Schema.decodeUnknownResult(Schema.make<Schema.Decoder<unknown>>(ast))(value))
}

const phrase = ({ expected, unit }: FieldNotes): string => {
  switch (unit) {
    case "bytes":
      return `${expected} bytes, as in 16MiB`
    case "duration":
      return `${expected} whole milliseconds, as in '50 millis'`
    default:
      return expected
  }
}

/** Gives the options with all defaults filled in. Throws `WrongOptions`. */
export const resolveUnsafe = <A, I>(schema: Schema.Codec<A, I>, given: I): A => {
  const checked = check(schema, given)
  if (Result.isFailure(checked)) throw new WrongOptions(checked.failure)
  return checked.success
}

/**
 * As `resolveUnsafe`, for options that are read in one place only: a field that the schema does not have is refused
 * too. `name` is that of the argument.
 */
export const requireOptions = <A, I>(name: string, schema: Schema.Codec<A, I>, given: I): A => {
  const checked = check(schema, given, (path) => [name, ...path].join("."), "error")
  if (Result.isFailure(checked)) throw new WrongOptions(checked.failure)
  return checked.success
}
