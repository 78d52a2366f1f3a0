/**
 * All options of a recorder as one schema. Their names, units, ranges and defaults are here and in the schemas that
 * this one is made of, and nowhere else. A test compares `docs/CONFIGURATION.md` with it.
 *
 * A wrong option in a program is a defect, `WrongOptions`. A wrong value in the environment is not: `config` fails with
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
import * as Struct from "effect/Struct"
import {
  blockPayloadBytesMax,
  fixedEventBytesMax,
  format1EventBytes,
  segmentPayloadBytesMax
} from "../format/Limits.ts"
import { check, fieldsOf, fromText, oneOf, resolveUnsafe, whole, withDefault } from "../internal/options.ts"
import type { Field } from "../internal/options.ts"
import { MaintainerOptions, sleepsInOrder } from "../maintainer/MaintainerOptions.ts"
import { workersMax } from "../maintainer/SegmentMaintainerWorker.ts"
import { capacities } from "../shared/SegmentQueues.ts"
import { RecorderOptions } from "./Recorder.ts"

const unchecked = Schema.Struct({
  ...MaintainerOptions.fields,
  ...RecorderOptions.fields,
  /** The on-disk format. 2: events of any bytes. 1: events of 64 bytes that begin with their id. Default: 2. */
  format: withDefault(oneOf([1, 2]), 2),
  /** Payload bytes of a segment, and of each slot of the arena. Default: 16 MiB. */
  segmentBytesMax: withDefault(whole("bytes", format1EventBytes, segmentPayloadBytesMax), 16 * 1024 * 1024),
  /** Slots of the arena: one is filled while the others wait for the disk. Default: 4. */
  slots: withDefault(whole("count", 2, capacities.persist), 4),
  /** Bytes of every event; 0 = any length. Default: 0. */
  eventSize: withDefault(whole("bytes", 0, fixedEventBytesMax), 0),
  /**
   * The largest payload of a block; it limits the size of an event. Default: 1 MiB, or a whole segment if that is less.
   */
  blockBytesMax: withDefault(whole("bytes", format1EventBytes, blockPayloadBytesMax), 1024 * 1024)
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

/** The options with every default in place. */
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
export const resolve = (options: WalOptions): ResolvedWalOptions => resolveUnsafe(WalOptions, options)

/**
 * The defaults.
 *
 * @since 0.1.0
 * @category limits
 */
export const defaults: Omit<typeof WalConfig.Type, "directory"> = Struct.omit(
  resolveUnsafe(WalConfig, { directory: "." }),
  ["directory"]
)

/** A field of {@link WalConfig}, and the environment variable that holds it. */
export interface ConfigField extends Field {
  readonly variable: string
}

/**
 * Every field that holds one value, in order, but for those of `naming`, which belong into code. The name of a variable
 * is `EFFECT_WAL_` and the field's own name.
 */
export const fields: ReadonlyArray<ConfigField> = fieldsOf(WalConfig).filter(({ path }) => path[0] !== "naming").map((
  field
) => ({
  ...field,
  variable: `EFFECT_WAL_${(field.path.at(-1) ?? "").replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
}))

/**
 * The options from the environment: `EFFECT_WAL_DIRECTORY` and the other variables of `docs/CONFIGURATION.md`. Sizes
 * and durations are written as people write them (`16MiB`, `250ms`). Without a directory the config is absent.
 * `Config.nested` gives a second recorder variables of its own.
 *
 * @since 0.1.0
 * @category configuration
 * @example
 * ```ts
 * import * as ConfigProvider from "effect/ConfigProvider"
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import { WalConfig } from "effect-wal"
 *
 * const env = {
 *   EFFECT_WAL_DIRECTORY: "./log",
 *   EFFECT_WAL_SEGMENT_BYTES_MAX: "64MiB",
 *   EFFECT_WAL_AGE_MILLIS_MAX: "12h"
 * }
 *
 * const program = Effect.gen(function*() {
 *   const { limits, segmentBytesMax } = yield* WalConfig.config
 *   yield* Console.log(segmentBytesMax, limits) // 67108864 { maxSegments: 8, … ageMillisMax: 43200000 }
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env })))))
 * ```
 */
export const config: Config.Config<typeof WalConfig.Type> = Config.all(
  Object.fromEntries(fields.map(({ path, variable }) => [
    variable,
    path.join() === "directory"
      ? Config.map(Config.String(variable), Option.some)
      : Config.option(Config.String(variable))
  ]))
).pipe(
  Config.mapEffect((texts) => {
    const given: { [name: string]: unknown } = { limits: { ...defaults.limits } }
    for (const { path, unit, variable } of fields) {
      const text = texts[variable]
      if (text === undefined || Option.isNone(text)) continue
      const holder = path.slice(0, -1).reduce<object>((value, name) => Reflect.get(value, name), given)
      Reflect.set(holder, path.at(-1) ?? "", fromText(unit, text.value))
    }
    const variableOf = (path: ReadonlyArray<string>) =>
      fields.find((field) => field.path.join() === path.join())?.variable ?? path.join(".")
    return Effect.fromResult(check(WalConfig, given, variableOf).pipe(Result.mapError(configError)))
  })
)

const configError = (message: string): Config.ConfigError =>
  new Config.ConfigError(new Schema.SchemaError(new SchemaIssue.InvalidValue({ message })))
