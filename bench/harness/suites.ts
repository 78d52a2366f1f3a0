/** All suites, in the order in which they run. */
import type { Contestant, Suite, Table } from "./Suite.ts"

const modules = [
  "append",
  "durable",
  "commit",
  "queue",
  "fold",
  "tail",
  "rotation",
  "freeze",
  "besideFreeze",
  "sustained",
  "replay",
  "archive",
  "cluster",
  "ring",
  "telemetry",
  "memory",
  "soak",
  "start",
  "open",
  "idle",
  "record"
] as const

export const suiteNames: ReadonlyArray<string> = modules

/** Loads one suite; its peers are loaded only by the contestants that need them. */
export const loadSuite = async (name: string): Promise<Suite> => {
  const module: { readonly suite: Suite } = await import(`../suites/${name}.ts`)
  return module.suite
}

export const findContestant = async (suite: string, table: string, contestant: string): Promise<Contestant> => {
  const found: Table | undefined = (await loadSuite(suite)).tables.find((candidate) => candidate.name === table)
  const one = found?.contestants.find((candidate) => candidate.name === contestant)
  if (one === undefined) throw new Error(`no contestant ${suite} / ${table} / ${contestant}`)
  return one
}
