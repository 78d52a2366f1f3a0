/**
 * The words of a benchmark. A suite is some tables; a table compares contestants by the same metrics; a contestant is
 * opened once, in a process of its own, and then plays rounds when it is its turn: A B C A B C …
 */

/** How much work to do, and where. */
export interface Scale {
  /** Only to see that everything runs: little work, few rounds. */
  readonly quick: boolean
  /** An empty directory of this contestant's own. */
  readonly directory: string
}

export interface Metric {
  readonly name: string
  readonly unit: string
  readonly better: "more" | "less"
}

/** What a round found: a number for each metric, and, where memory over time is the question, MiB every so often. */
export interface Round {
  readonly measures: Readonly<Record<string, number>>
  readonly series?: ReadonlyArray<{ readonly seconds: number; readonly mebibytes: number }>
}

export interface Opened {
  readonly round: () => Promise<Round>
  readonly close: () => Promise<void>
}

export interface Contestant {
  readonly name: string
  /** What a reader must know to judge the comparison. */
  readonly note?: string
  readonly open: (scale: Scale) => Promise<Opened>
}

export interface Table {
  readonly name: string
  readonly title: string
  readonly metrics: ReadonlyArray<Metric>
  /** The name of the contestant that the others are compared with, round by round. */
  readonly reference: string
  readonly contestants: ReadonlyArray<Contestant>
  /** It plays no more rounds than this, however many are asked for: one that lasts for minutes. */
  readonly roundsMax?: number
  /** Left out of quick runs. */
  readonly fullOnly?: boolean
}

export interface Suite {
  readonly name: string
  readonly tables: ReadonlyArray<Table>
}

export const eventsPerSecond: Metric = { name: "events", unit: "M events/s", better: "more" }
export const throughput: Metric = { name: "throughput", unit: "MB/s", better: "more" }
