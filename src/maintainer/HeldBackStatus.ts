/** What keeps appended events from becoming durable, since when, and when it is tried again. */
import * as Arena from "../shared/Arena.ts"
import { formatNanos } from "../telemetry/TelemetryDump.ts"
import type { PerQueue } from "./retention/MaintainerState.ts"

/**
 * Why appended events cannot be made durable now; with `StoreAway`, why durable ones cannot be replicated.
 *
 * @since 0.1.0
 * @category models
 */
export interface HeldBackStatus {
  readonly reason: Exclude<keyof typeof Arena.HeldBack, "None"> | "StoreAway"
  /** How long it has lasted, in milliseconds of elapsed time. */
  readonly forMillis: number
  /** In how many milliseconds it is tried again; `undefined` when that waits for something else than time. */
  readonly nextTryInMillis: number | undefined
}

const reasons = ["DiskFull", "DiskFailing", "HotLimit", "MaintainerDown"] as const

/** What holds events back at this elapsed time; `undefined` when nothing does. */
export const heldBackStatus = (arena: Arena.Arena | undefined, nowElapsed: number): HeldBackStatus | undefined => {
  if (arena === undefined) return undefined
  const { code, nextElapsed, sinceElapsed } = Arena.holdUp(arena)
  const reason = reasons.find((name) => Arena.HeldBack[name] === code)
  if (reason === undefined) return undefined
  return {
    reason,
    forMillis: Math.max(0, nowElapsed - sinceElapsed),
    nextTryInMillis: nextElapsed === 0 ? undefined : Math.max(0, nextElapsed - nowElapsed)
  }
}

const words: Record<HeldBackStatus["reason"], { readonly why: string; readonly end: string }> = {
  DiskFull: { why: "the disk is full", end: "free some space, and it continues by itself" },
  DiskFailing: { why: "the device fails to write or sync", end: "when the device works again, it continues by itself" },
  HotLimit: { why: "compression is behind", end: "it continues when a hot segment is compressed" },
  MaintainerDown: { why: "the maintainer is down", end: "start the recorder again" },
  StoreAway: { why: "the object store does not answer", end: "when it does, it continues by itself" }
}

const count = (segments: number, what: string): ReadonlyArray<string> =>
  segments === 0 ? [] : [`${segments} ${segments === 1 ? "segment" : "segments"} to ${what}`]

const duration = (millis: number): string => formatNanos(Math.round(millis) * 1e6)

/**
 * One line for people: what a shutdown waits for, what stands in its way, and how that ends; `undefined` when nothing
 * is left to wait for.
 */
export const formatWait = (
  { heldBack, pending }: { readonly heldBack: HeldBackStatus | undefined; readonly pending: PerQueue }
): string | undefined => {
  const work = [
    ...count(pending.persist, "make durable"),
    ...count(pending.freeze, "compress"),
    ...count(pending.free, "delete")
  ].join(", ")
  if (heldBack === undefined) return work === "" ? undefined : work
  const { end, why } = words[heldBack.reason]
  const next = heldBack.nextTryInMillis === undefined ? "" : `, next try in ${duration(heldBack.nextTryInMillis)}`
  return `${work === "" ? "no segment yet" : work}; ${why}, for ${duration(heldBack.forMillis)}${next}; ${end}`
}
