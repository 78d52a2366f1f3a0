/**
 * Kills a program that changes keys and values, again and again in the same directory, and holds what the next life finds
 * to what the ones before were answered.
 *
 * ```text
 * node test/faults/killKvs.ts --kills 200 --layer fiber|worker [--seed S]
 * ```
 *
 * Each key has the value of the last change that was answered, or of the one that was under way. A clear is done for all
 * of its keys or for none.
 */
import { fileURLToPath } from "node:url"
import { killStore, runKills } from "./storeKills.ts"
import type { StoreKillOptions } from "./storeKills.ts"
import type { KvsLine } from "./storeVictim.ts"

/** What many kills came to. */
export interface KvsKillReport {
  readonly kills: number
  readonly changes: number
  /** Changes under way at a kill that are there. */
  readonly unanswered: number
  readonly keys: number
  readonly millis: number
}

type Change = Extract<KvsLine, { readonly keys: ReadonlyArray<string> }>

/** Kills so often; throws with the first promise that is broken. */
export const killKvs = async (options: StoreKillOptions): Promise<KvsKillReport> => {
  const begun = Date.now()
  const values = new Map<string, number>()
  /** By the callers, each of which has keys of its own: the change that it was not answered yet. */
  const underWay = new Map<string, Change>()
  const counts = { changes: 0, unanswered: 0 }
  let next = 0

  const change = ({ keys, value }: Change): void => {
    for (const key of keys) {
      if (value === null) values.delete(key)
      else values.set(key, value)
    }
  }
  const callerOf = ({ keys }: Change): string => keys[0]!.split("/")[0]!

  /** Holds what a life finds to what was answered before. */
  const find = (found: ReadonlyMap<string, number>): void => {
    for (const one of underWay.values()) {
      const isDone = one.keys.every((key) => (found.get(key) ?? null) === one.value)
      const wasDone = one.keys.every((key) => (values.get(key) ?? null) === one.value)
      if (!isDone || wasDone) continue
      change(one)
      counts.unanswered += 1
    }
    underWay.clear()
    for (const key of new Set([...values.keys(), ...found.keys()])) {
      if (values.get(key) !== found.get(key)) {
        throw new Error(`key ${key} has ${found.get(key)}, and should have ${values.get(key)}`)
      }
    }
  }

  const onLine = (line: KvsLine): void => {
    if (line.type === "open") {
      find(new Map(Object.entries(line.has)))
    } else if (line.type === "changes") {
      underWay.set(callerOf(line), line)
      next = Math.max(next, (line.value ?? 0) + 1)
    } else if (line.type === "changed") {
      underWay.delete(callerOf(line))
      change(line)
      counts.changes += 1
    }
  }
  await killStore<KvsLine>("kvs", options, { onLine, next: () => next, onEnd: () => {} })
  return { kills: options.kills, ...counts, keys: values.size, millis: Date.now() - begun }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await runKills(killKvs)
