/** Tables for the terminal. */
import type { BarRow, Results, TableResult } from "./Results.ts"
import { rowOf, valuesOf } from "./Results.ts"
import { median, ratios } from "./Statistics.ts"

/** Three significant digits, never an exponent. */
export const formatNumber = (value: number): string => {
  if (Number.isNaN(value)) return "-"
  const size = Math.abs(value)
  if (size >= 100) return Math.round(value).toLocaleString("en-GB")
  if (size >= 10) return value.toFixed(1)
  if (size >= 1 || size === 0) return value.toFixed(2)
  return value.toPrecision(2)
}

const align = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)))
  return rows
    .map((row) =>
      row.map((cell, column) => column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)).join("  ")
    )
    .map((line) => `  ${line.trimEnd()}`)
    .join("\n")
}

/** One metric is shown with its range and ratios; of more, only the medians of the later ones. */
export const formatTable = (table: TableResult): string => {
  const [first, ...others] = table.metrics
  if (first === undefined) return table.title
  const reference = valuesOf(rowOf(table, table.reference), first.name)
  const header = ["", `${first.name} [${first.unit}]`, "min - max", `ratio to ${table.reference}`]
  const rows: Array<ReadonlyArray<string>> = [[...header, ...others.map((metric) => `${metric.name} [${metric.unit}]`)]]
  const notes: Array<string> = []
  for (const row of table.rows) {
    if (row.note !== undefined) notes.push(`  ${row.name}: ${row.note}`)
    if (row.failed !== undefined) {
      rows.push([row.name, "did not run", "", ""])
      notes.push(`  ${row.name} did not run: ${row.failed}`)
      continue
    }
    const values = valuesOf(row, first.name)
    const compared = ratios(values, reference)
    rows.push([
      row.name,
      formatNumber(median(values)),
      values.length === 0 ? "-" : `${formatNumber(Math.min(...values))} - ${formatNumber(Math.max(...values))}`,
      compared.length === 0
        ? "-"
        : `${formatNumber(median(compared))} (${formatNumber(Math.min(...compared))} - ${
          formatNumber(Math.max(...compared))
        })`,
      ...others.map((metric) => formatNumber(median(valuesOf(row, metric.name))))
    ])
  }
  return [`${table.suite} / ${table.title}`, align(rows), ...notes].join("\n")
}

export const formatBar = (bar: ReadonlyArray<BarRow>): string =>
  align([
    ["what", "bar", "measured", "verdict", "because"],
    ...bar.map(({ bar, measured, reason, verdict, what }) => [what, bar, measured, verdict, reason])
  ])

/** Now against before, for every metric that both runs have: above 1 there is more of it now. */
export const formatAgainst = (now: Results, before: Results): string => {
  const rows: Array<ReadonlyArray<string>> = [["", "before", "now", "now / before", ""]]
  for (const table of now.tables) {
    const old = before.tables.find((one) => one.suite === table.suite && one.name === table.name)
    for (const row of table.rows) {
      for (const metric of table.metrics) {
        const was = median(valuesOf(rowOf(old, row.name), metric.name))
        const is = median(valuesOf(row, metric.name))
        if (Number.isNaN(was) || Number.isNaN(is)) continue
        const ratio = is / was
        const better = metric.better === "more" ? ratio > 1.1 : ratio < 1 / 1.1
        const worse = metric.better === "more" ? ratio < 1 / 1.1 : ratio > 1.1
        rows.push([
          `${table.suite} / ${table.name} / ${row.name} / ${metric.name} [${metric.unit}]`,
          formatNumber(was),
          formatNumber(is),
          formatNumber(ratio),
          better ? "better" : worse ? "worse" : ""
        ])
      }
    }
  }
  return align(rows)
}
