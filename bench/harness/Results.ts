/** What a run writes with `--json`, and what reports and comparisons read. */
import type { Machine } from "./Machine.ts"
import type { Metric, Round } from "./Suite.ts"

export interface Row {
  readonly name: string
  readonly note?: string
  /** Why this contestant did not take part; then there are no rounds. */
  readonly failed?: string
  readonly rounds: ReadonlyArray<Round>
}

export interface TableResult {
  readonly suite: string
  readonly name: string
  readonly title: string
  readonly metrics: ReadonlyArray<Metric>
  readonly reference: string
  readonly rows: ReadonlyArray<Row>
}

export interface BarRow {
  readonly what: string
  readonly bar: string
  readonly measured: string
  readonly verdict: "pass" | "falls short" | "not measured"
  /** Why it falls short, where that is known; empty when it does not. */
  readonly reason: string
}

export interface Results {
  readonly machine: Machine
  readonly startedAt: string
  readonly quick: boolean
  readonly tables: ReadonlyArray<TableResult>
  readonly bar: ReadonlyArray<BarRow>
}

/** The values of one metric, round by round. */
export const valuesOf = (row: Row | undefined, metric: string): ReadonlyArray<number> =>
  (row?.rounds ?? []).map((round) => round.measures[metric] ?? Number.NaN).filter((value) => !Number.isNaN(value))

export const rowOf = (table: TableResult | undefined, name: string): Row | undefined =>
  table?.rows.find((row) => row.name === name)
