/**
 * All options of a recorder as one schema. Their names, units, ranges and defaults are here and in the schemas that
 * this one is made of, and nowhere else. A test compares `docs/CONFIGURATION.md` with it.
 *
 * A wrong option in a program is a defect, `WrongOptions`. A wrong value in a configuration is not: `config` fails with
 * a `ConfigError`. Both name the field, its value and the right values.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as Str from "effect/String"
import * as Struct from "effect/Struct"
import {
  blockPayloadBytesMax,
  fixedEventBytesMax,
  format1EventBytes,
  segmentPayloadBytesMax
} from "../format/Limits.ts"
import * as Options from "../internal/options.ts"
import { check, fieldsOf, fromText, oneOf, size, whole, withDefault } from "../internal/options.ts"
import type { Field } from "../internal/options.ts"
import { MaintainerOptions, sleepsInOrder, workersMax } from "../maintainer/MaintainerOptions.ts"
import { capacities } from "../shared/SegmentQueues.ts"
import { RecorderOptions } from "./Recorder.ts"
import { segmentBytesDefault } from "./SegmentBytes.ts"

const unchecked = Schema.Struct({
  ...MaintainerOptions.fields,
  ...RecorderOptions.fields,
  /** The on-disk format. 2: events of any bytes. 1: events of 64 bytes that begin with their id. Default: 2. */
  format: withDefault(oneOf([1, 2]), 2),
  /** The payload of a segment, and of each slot of the arena. Default: 16 MiB. */
  segmentBytesMax: withDefault(size(format1EventBytes, segmentPayloadBytesMax), segmentBytesDefault),
  /** Slots of the arena: one is filled while the others wait for the disk. Default: 4. */
  slots: withDefault(whole("count", 2, capacities.persist), 4),
  /** The size of every event; 0 = any length. Default: 0. */
  eventSize: withDefault(size(0, fixedEventBytesMax), 0),
  /**
   * The largest payload of a block; it limits the size of an event. Default: 1 MiB, or a whole segment if that is less.
   */
  blockBytesMax: withDefault(size(format1EventBytes, blockPayloadBytesMax), 1024 * 1024)
})

const eventFits = Schema.makeFilter(({ blockBytesMax, eventSize, segmentBytesMax }: typeof unchecked.Type) => {
  const bytesMax = Math.min(blockBytesMax, segmentBytesMax)
  return eventSize <= bytesMax ||
    { path: ["eventSize"], issue: `expected at most blockBytesMax and segmentBytesMax, which leave ${bytesMax} bytes` }
})

/**
 * The options of a recorder; only `directory` is required.
 *
 * @since 0.1.0
 * @category models
 */
export const WalOptions = unchecked.check(sleepsInOrder, eventFits)

/**
 * The options of a recorder: the type of {@link WalOptions} before the defaults are in place.
 *
 * @since 0.1.0
 * @category models
 */
export interface WalOptions extends Schema.Codec.Encoded<typeof WalOptions> {}

/** The options with every default in place: durations are a `Duration`, sizes a number of bytes. */
export interface ResolvedWalOptions extends Schema.Schema.Type<typeof WalOptions> {}

/** The options of a recorder, and how its maintainer runs. */
export const WalConfig = Schema.Struct({
  ...WalOptions.fields,
  /** Threads of the maintainer; 0 = none, it is a fiber. Default: 1. */
  workers: withDefault(whole("count", 0, workersMax), 1)
}).check(sleepsInOrder, eventFits)

/**
 * The options of a recorder, and how its maintainer runs: the type of {@link WalConfig} before the defaults are in
 * place.
 */
export interface WalConfig extends Schema.Codec.Encoded<typeof WalConfig> {}

/**
 * Checks the options and fills in the defaults. Throws `WrongOptions`, which names the field, the value and the range.
 */
export const resolveUnsafe = (options: WalOptions): ResolvedWalOptions => Options.resolveUnsafe(WalOptions, options)

/**
 * The defaults.
 *
 * @since 0.1.0
 * @category limits
 */
export const defaults: Omit<typeof WalConfig.Type, "directory"> = Struct.omit(
  Options.resolveUnsafe(WalConfig, { directory: "." }),
  ["directory"]
)

/**
 * A field of {@link WalConfig}: the name under which `config` reads it, and the environment variable that has it for a
 * `config` nested in `effectWal`.
 */
export interface ConfigField extends Field {
  readonly name: string
  readonly variable: string
}

const variableOf = (path: ReadonlyArray<string>): string => path.map(Str.configCase).join("_")

/**
 * Every field that holds one value, in order, but for those of `naming`, which belong into code.
 */
export const fields: ReadonlyArray<ConfigField> = fieldsOf(WalConfig).filter(({ path }) => path[0] !== "naming").map((
  field
) => {
  const name = field.path.at(-1) ?? ""
  return { ...field, name, variable: variableOf(["effectWal", name]) }
})

const texts = Config.all(
  Object.fromEntries(fields.map(({ name }) => [
    name,
    name === "directory" ? Config.map(Config.String(name), Option.some) : Config.option(Config.String(name))
  ]))
)

/** The names in which the config is nested. Only an error tells them. */
const prefix: Config.Config<ReadonlyArray<string>> = Config.map(
  Config.orElse(
    Config.schema(Schema.String.check(Schema.makeFilter(() => false)), "directory"),
    ({ cause }) =>
      Schema.isSchemaError(cause) && cause.issue._tag === "Pointer"
        ? Config.succeed(cause.issue.path.slice(0, -1).map(String))
        : Config.fail(cause)
  ),
  (names) => typeof names === "string" ? [] : names
)

/**
 * The options from a `ConfigProvider`, under their own names: `directory`, `segmentBytesMax`, `ageMax`. Sizes and
 * durations are written as in a program (`16MiB`, `50 millis`). Without a directory the config is absent.
 *
 * **Details**
 *
 * `Config.nested` tells several logs apart. `ConfigProvider.constantCase` makes environment variables of the names:
 * those of `docs/CONFIGURATION.md` are of a config nested in `effectWal`.
 *
 * **Example** (Reading options from environment variables)
 *
 * ```ts
 * import { Config, ConfigProvider, Console, Effect } from "effect"
 * import { WalConfig } from "effect-wal"
 *
 * const env = {
 *   EFFECT_WAL_DIRECTORY: "./log",
 *   EFFECT_WAL_SEGMENT_BYTES_MAX: "64MiB",
 *   EFFECT_WAL_AGE_MAX: "12 hours"
 * }
 * const variables = ConfigProvider.fromEnv({ env }).pipe(ConfigProvider.constantCase)
 *
 * const program = Effect.gen(function*() {
 *   const { segmentBytesMax, slots } = yield* WalConfig.config.pipe(Config.nested("effectWal"))
 *   yield* Console.log(segmentBytesMax, slots) // => 67108864 4
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(ConfigProvider.layer(variables))))
 * ```
 *
 * @since 0.1.0
 * @category configuration
 */
export const config: Config.Config<typeof WalConfig.Type> = Config.all({ prefix, texts }).pipe(
  Config.mapEffect(({ prefix, texts }) => {
    const given: { [name: string]: unknown } = { limits: { ...defaults.limits } }
    for (const { name, path, unit } of fields) {
      const text = texts[name]
      if (text === undefined || Option.isNone(text)) continue
      const holder = path.slice(0, -1).reduce<object>((value, name) => Reflect.get(value, name), given)
      Reflect.set(holder, name, fromText(unit, text.value))
    }
    const nameOf = (path: ReadonlyArray<string>): string => {
      const names = [...prefix, path.at(-1) ?? ""]
      return `${names.join(".")} (${variableOf(names)})`
    }
    return Effect.fromResult(check(WalConfig, given, nameOf).pipe(Result.mapError(configError)))
  })
)

const configError = (message: string): Config.ConfigError =>
  new Config.ConfigError(new Schema.SchemaError(new SchemaIssue.InvalidValue({ message })))
