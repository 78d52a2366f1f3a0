/**
 * Kills a program that offers to a queue and takes from it, again and again in the same directory, and holds what it does
 * to what it was answered before.
 *
 * ```text
 * node test/faults/killQueue.ts --kills 200 --layer fiber|worker [--seed S]
 * ```
 *
 * No element is handed out after it was acknowledged, none twice in one attempt, none that was not offered. In the end
 * everything is taken: then each element that was accepted is acknowledged. Those whose handler had succeeded when the
 * program was killed may be missing, because that was recorded before anybody was told.
 */
import { fileURLToPath } from "node:url"
import { killStore, runKills } from "./storeKills.ts"
import type { StoreKillOptions } from "./storeKills.ts"
import type { QueueLine } from "./storeVictim.ts"

/** What many kills came to. */
export interface QueueKillReport {
  readonly kills: number
  readonly accepted: number
  readonly acknowledged: number
  /** Handed out to more than one life. */
  readonly redelivered: number
  readonly millis: number
}

/** Kills so often; throws with the first promise that is broken. */
export const killQueue = async (options: StoreKillOptions): Promise<QueueKillReport> => {
  const begun = Date.now()
  const offered = new Set<number>()
  const accepted = new Set<number>()
  const acknowledged = new Set<number>()
  /** The last attempt of each. */
  const begins = new Map<number, number>()
  const succeeded = new Set<number>()
  const redelivered = new Set<number>()
  let earlier = new Set<number>()
  let next = 0
  const broken = (what: string): never => {
    throw new Error(what)
  }
  const onLine = (line: QueueLine): void => {
    switch (line.type) {
      case "open":
        return
      case "offers":
        offered.add(line.element)
        next = Math.max(next, line.element + 1)
        return
      case "accepted":
        accepted.add(line.element)
        return
      case "succeeds":
        succeeded.add(line.element)
        return
      case "acknowledged":
        acknowledged.add(line.element)
        return
      case "begins": {
        const { attempts, element } = line
        if (!offered.has(element)) broken(`element ${element} was never offered`)
        if (acknowledged.has(element)) broken(`element ${element} is handed out after it was acknowledged`)
        const before = begins.get(element) ?? 0
        if (attempts <= before) broken(`element ${element} is in attempt ${attempts} after attempt ${before}`)
        if (earlier.has(element)) redelivered.add(element)
        begins.set(element, attempts)
        succeeded.delete(element)
      }
    }
  }
  await killStore<QueueLine>("queue", options, {
    onLine,
    next: () => next,
    onEnd: () => {
      earlier = new Set(begins.keys())
    }
  })
  for (const element of accepted) {
    if (!acknowledged.has(element) && !succeeded.has(element)) broken(`element ${element} was accepted, and is lost`)
  }
  return {
    kills: options.kills,
    accepted: accepted.size,
    acknowledged: acknowledged.size,
    redelivered: redelivered.size,
    millis: Date.now() - begun
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await runKills(killQueue)
