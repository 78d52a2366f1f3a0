/** Formats for people: whole numbers with separators, and tables whose columns are aligned. */

export { count } from "../../report/count.ts"

/** A column of a table: its name, and on which side its cells end. */
export interface Column {
  readonly name: string
  readonly align: "left" | "right"
}

/** Formats rows below the names of their columns, each column as wide as its widest cell. */
export const formatTable = (
  columns: ReadonlyArray<Column>,
  rows: ReadonlyArray<ReadonlyArray<string>>
): ReadonlyArray<string> => {
  const all = [columns.map(({ name }) => name), ...rows]
  const widths = columns.map((_, at) => Math.max(...all.map((row) => row[at]?.length ?? 0)))
  return all.map((row) =>
    row.map((cell, at) => {
      const width = widths[at] ?? 0
      return columns[at]?.align === "right" ? cell.padStart(width) : cell.padEnd(width)
    }).join("  ").trimEnd()
  )
}
