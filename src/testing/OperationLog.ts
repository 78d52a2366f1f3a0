/** Logs the operations on what is simulated: counts all of them, and keeps a line for each of the last ones. */

/** The second path of a rename, the mode in which a file was opened, or offset and bytes. */
export type OperationDetail = string | readonly [offset: number, bytes: number]

/** One operation. Its outcome is undefined until it is complete. */
export interface LogEntry {
  /** The first is number 1. */
  readonly number: number
  readonly operation: string
  readonly path: string
  readonly detail: OperationDetail | undefined
  outcome: string | number | undefined
}

/** Counts all operations and keeps the last `lengthMax`. */
export class OperationLog {
  /** The number of operations begun so far. */
  count = 0
  readonly #lengthMax: number
  readonly #entries: Array<LogEntry> = []

  constructor(lengthMax: number) {
    this.#lengthMax = lengthMax
  }

  begin(request: {
    readonly operation: string
    readonly path: string
    readonly detail?: OperationDetail
  }): LogEntry {
    const { detail, operation, path } = request
    const entry: LogEntry = { number: ++this.count, operation, path, detail, outcome: undefined }
    this.#entries[entry.number % this.#lengthMax] = entry
    return entry
  }

  /** Formats the operations that are kept, oldest first. */
  get lines(): ReadonlyArray<string> {
    return Object.values(this.#entries).sort((left, right) => left.number - right.number).map(lineOf)
  }
}

/** Formats the detail of an operation, to follow its path; empty if it has none. */
export const detailOf = ({ detail }: LogEntry): string =>
  detail === undefined ? "" : typeof detail === "string" ? ` ${detail}` : ` ${detail[0]}+${detail[1]}`

const lineOf = (entry: LogEntry): string => {
  const { number, operation, outcome, path } = entry
  return `#${number} ${operation} ${path}${detailOf(entry)}: ${outcome ?? "did not complete"}`
}
