/**
 * The flags of every command that runs a maintainer: how much is kept, and what becomes of damaged segments. A limit
 * outside its range is clamped, with a warning.
 */
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Retention from "../../maintainer/retention/Retention.ts"
import type { RetentionLimits } from "../../maintainer/retention/Retention.ts"
import { say } from "../terminal/StandardStreams.ts"

const parseCount = (text: string): Option.Option<number | "unlimited"> => {
  if (text === "unlimited") return Option.some(text)
  return /^-?\d+$/.test(text) ? Option.some(Number(text)) : Option.none()
}

/** `--max-segments N` and `--max-compressed-segments N`. */
export const retentionFlags = {
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
  )
}

/** `--on-damaged WHAT`, for the commands that run a maintainer. */
export const onDamagedFlag = Flag.Literals("on-damaged", ["keep", "quarantine"]).pipe(
  Flag.withDescription(
    "A segment found damaged stays, and then nothing newer is deleted, or is moved to quarantine and its loss acknowledged"
  ),
  Flag.withDefault("keep")
)

/** Clamps the limits that these flags give to their ranges, with a warning for each that is outside. */
export const clampLimits = Effect.fnUntraced(function*(given: RetentionLimits) {
  const { clamped, limits } = Retention.clampLimits({
    maxSegments: given.maxSegments,
    maxCompressedSegments: given.maxCompressedSegments
  })
  for (const { field, given, used } of clamped) {
    const flag = field === "maxSegments" ? "--max-segments" : "--max-compressed-segments"
    const { maximum, minimum } = Retention.limitRanges[field]
    yield* sayClamped(flag, given, used, minimum, maximum)
  }
  return limits
})

/** Clamps a number to its range, with a warning if it is outside. */
export const clamp = (flag: string, given: number, minimum: number, maximum: number): Effect.Effect<number> => {
  const used = Math.min(maximum, Math.max(minimum, given))
  return used === given ? Effect.succeed(used) : Effect.as(sayClamped(flag, given, used, minimum, maximum), used)
}

const sayClamped = (flag: string, given: number, used: number, minimum: number, maximum: number): Effect.Effect<void> =>
  say(`warning: ${flag} ${given} is outside ${minimum} to ${maximum}; using ${used}`)
