/**
 * The flags of every command that runs a maintainer: how much is kept, in which form, and what becomes of damaged
 * segments. A limit outside its range is clamped, with a warning.
 */
import * as Flag from "effect/cli/Flag"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Retention from "../../maintainer/retention/Retention.ts"
import { say } from "../terminal/StandardStreams.ts"
import { parseBytes, parseDuration } from "./flags.ts"

const parseCount = (text: string): Option.Option<number | "unlimited"> => {
  if (text === "unlimited") return Option.some(text)
  return /^-?\d+$/.test(text) ? Option.some(Number(text)) : Option.none()
}

const sizeFlag = (name: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar("BYTES"),
    Flag.withDescription(description),
    Flag.filterMap(parseBytes, () => "a size as in 500MB or 20GiB"),
    Flag.optional
  )

const durationFlag = (name: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar("DURATION"),
    Flag.withDescription(description),
    Flag.filterMap(parseDuration, () => "a duration as in 30s, 12h or 7d"),
    Flag.optional
  )

/** The flags of a maintainer: its limits, and how it keeps them. */
export const maintainerFlags = {
  maxSegments: Flag.Int("max-segments").pipe(
    Flag.withMetavar("N"),
    Flag.withDescription(`Hot segments to keep at most, 2 to 128; default ${Retention.defaultLimits.maxSegments}`),
    Flag.withDefault(Retention.defaultLimits.maxSegments)
  ),
  maxCompressedSegments: Flag.String("max-compressed-segments").pipe(
    Flag.withMetavar("N"),
    Flag.withDescription(
      "Cold segments to keep at most, 4 to 512, or `unlimited`; " +
        `default ${Retention.defaultLimits.maxCompressedSegments}`
    ),
    Flag.filterMap(parseCount, () => "a whole number, or unlimited"),
    Flag.withDefault(Retention.defaultLimits.maxCompressedSegments)
  ),
  maxBytes: sizeFlag("max-bytes", "Hot and cold segments take at most so much on disk; default: no limit"),
  maxAge: durationFlag("max-age", "Events are kept so long, up to twice as long in a quiet log; default: no limit"),
  minFree: sizeFlag("min-free", "While the disk has less room than this, the oldest cold segments go; default: none"),
  maxHeld: sizeFlag("max-held", "While all segments take more than this, readers hold nothing back; default: no limit"),
  onHotLimit: Flag.Literals("on-hot-limit", ["wait", "exceed"]).pipe(
    Flag.withDescription("At the limit of hot segments, recording waits for compression, or exceeds it"),
    Flag.withDefault("wait")
  ),
  compression: Flag.Literals("compression", ["frame", "block"]).pipe(
    Flag.withDescription("Cold files are LZ4 frames, which every lz4 reads, or one LZ4 block each"),
    Flag.withDefault("frame")
  ),
  onDamaged: Flag.Literals("on-damaged", ["keep", "quarantine"]).pipe(
    Flag.withDescription(
      "A segment found damaged stays, and then nothing newer is deleted, or is moved to quarantine and its loss acknowledged"
    ),
    Flag.withDefault("keep")
  ),
  drainMax: durationFlag("drain-max", "At the end, abandon compression after this time; default: finish it")
}

/** What these flags give. */
export interface GivenMaintenance {
  readonly maxSegments: number
  readonly maxCompressedSegments: number | "unlimited"
  readonly maxBytes: Option.Option<number>
  readonly maxAge: Option.Option<Duration.Duration>
  readonly minFree: Option.Option<number>
  readonly maxHeld: Option.Option<number>
  readonly onHotLimit: "wait" | "exceed"
  readonly compression: "frame" | "block"
  readonly onDamaged: "keep" | "quarantine"
  readonly drainMax: Option.Option<Duration.Duration>
}

/** The options that the flags stand for. Clamps the limits that have a range, with a warning for each outside of it. */
export const maintainerOptions = Effect.fnUntraced(function*(given: GivenMaintenance) {
  const { clamped, limits } = Retention.clampLimits({
    maxSegments: given.maxSegments,
    maxCompressedSegments: given.maxCompressedSegments,
    ...givenAs("bytesMax", given.maxBytes),
    ...givenAs("ageMax", given.maxAge),
    ...givenAs("freeBytesMin", given.minFree),
    ...givenAs("heldBytesMax", given.maxHeld)
  })
  for (const { field, given, used } of clamped) {
    const flag = field === "maxSegments" ? "--max-segments" : "--max-compressed-segments"
    const { maximum, minimum } = Retention.limitRanges[field]
    yield* sayClamped(flag, given, used, minimum, maximum)
  }
  const { compression, onDamaged, onHotLimit } = given
  return { limits, compression, onDamaged, onHotLimit, ...givenAs("drainMax", given.drainMax) }
})

const givenAs = <Name extends string, A>(name: Name, given: Option.Option<A>): { readonly [_ in Name]?: A } =>
  Option.match(given, {
    onNone: () => ({}),
    onSome: (value): { readonly [_ in Name]?: A } => ({ [name]: value } as { readonly [_ in Name]: A })
  })

/** Clamps a number to its range, with a warning if it is outside. */
export const clamp = (flag: string, given: number, minimum: number, maximum: number): Effect.Effect<number> => {
  const used = Math.min(maximum, Math.max(minimum, given))
  return used === given ? Effect.succeed(used) : Effect.as(sayClamped(flag, given, used, minimum, maximum), used)
}

const sayClamped = (flag: string, given: number, used: number, minimum: number, maximum: number): Effect.Effect<void> =>
  say(`warning: ${flag} ${given} is outside ${minimum} to ${maximum}; using ${used}`)
