/** What keeps appended events from becoming durable, since when, and when it is tried again. */
import * as Arena from "../shared/Arena.ts"
import { formatNanos } from "../telemetry/TelemetryDump.ts"
import type { PerQueue } from "./Drain.ts"

/**
 * Why appended events cannot be made durable now.
 *
 * @since 0.1.0
 * @category models
 */
export interface HeldBackStatus {
  readonly reason: Exclude<keyof typeof Arena.HeldBack, "None">
  /** How long it has lasted, in milliseconds of elapsed time. */
  readonly forMillis: number
  /** In how many milliseconds it is tried again; `undefined` when that waits for something else than time. */
  readonly nextTryInMillis: number | undefined
}

const reasons = ["DiskFull", "DiskFailing", "HotLimit", "MaintainerDown"] as const

/** What holds events back at this elapsed time; `undefined` when nothing does. */
export const heldBackStatus = (arena: Arena.Arena, nowElapsed: number): HeldBackStatus | undefined => {
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
  MaintainerDown: { why: "the maintainer is down", end: "start the recorder again" }
}

/**
 * One line for people: what a shutdown waits for, and how to end it; `undefined` when nothing is left to wait for.
 *
 * @since 0.1.0
 * @category formatting
 */
export const formatWait = (
  { heldBack, pending }: { readonly heldBack: HeldBackStatus | undefined; readonly pending: PerQueue }
): string | undefined => {
  const tasks = [
    [pending.persist, "to be written"],
    [pending.freeze, "to be compressed"],
    [pending.free, "to be deleted"]
  ].filter(([count]) => count !== 0).map(([count, what]) => `${count} ${what}`)
  if (heldBack === undefined) return tasks.length === 0 ? undefined : `segments: ${tasks.join(", ")}`
  const { end, why } = words[heldBack.reason]
  const next = heldBack.nextTryInMillis === undefined
    ? ""
    : `, next try in ${formatNanos(Math.round(heldBack.nextTryInMillis) * 1e6)}`
  return `segments: ${tasks.length === 0 ? "none waits" : tasks.join(", ")}; held back for ` +
    `${formatNanos(Math.round(heldBack.forMillis) * 1e6)} because ${why}${next}; ${end}`
}
