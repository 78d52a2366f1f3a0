/**
 * Turns the results of a run into pictures: one self-contained HTML page, and the same plots as SVG files.
 *
 *     node bench/report.ts results.json [docs/bench]
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { formatMachine } from "./harness/Machine.ts"
import { barsPlot, escape, linesPlot } from "./harness/Plots.ts"
import { formatNumber } from "./harness/Print.ts"
import type { Results, TableResult } from "./harness/Results.ts"
import { valuesOf } from "./harness/Results.ts"
import { median } from "./harness/Statistics.ts"

interface Plot {
  readonly file: string
  readonly svg: string
}

const nameOf = (table: TableResult): string => table.name.replaceAll(/[^a-zA-Z0-9]+/g, "-").toLowerCase()

/** Medians of the first metric, on a linear axis; where the best is over 30 times the worst, on a log axis. */
const barsOf = (table: TableResult): Plot | undefined => {
  const [metric] = table.metrics
  if (metric === undefined) return undefined
  const bars = table.rows
    .map((row) => ({ name: row.name, value: median(valuesOf(row, metric.name)), failed: row.failed !== undefined }))
    .filter(({ failed, value }) => failed || value > 0)
  if (bars.every(({ failed }) => failed)) return undefined
  const title = `${table.title}, ${metric.name} in ${metric.unit}, ${metric.better} is better`
  return { file: `${nameOf(table)}.svg`, svg: barsPlot(title, bars) }
}

/** Latency percentiles, where a table has them: one line a contestant, on a log axis. */
const percentilesOf = (table: TableResult): Plot | undefined => {
  const percentiles = table.metrics.filter(({ name }) => /^p\d/.test(name)).toSorted((a, b) =>
    rank(a.name) - rank(b.name)
  )
  if (percentiles.length < 3) return undefined
  const lines = table.rows.filter(({ rounds }) => rounds.length > 0).map((row) => ({
    name: row.name,
    points: percentiles.map(({ name }, x) => ({ x, y: median(valuesOf(row, name)) }))
  }))
  const ticks = percentiles.map(({ name }, x) => ({ x, label: name }))
  const title = `${table.title}, latency percentiles in ${percentiles[0]!.unit}`
  return { file: `${nameOf(table)}-percentiles.svg`, svg: linesPlot(title, lines, ticks, "log") }
}

const rank = (percentile: string): number => Number(percentile.slice(1))

/** Resident memory over time, from the last round of each contestant that recorded it. */
const memoryOf = (table: TableResult): Plot | undefined => {
  const lines = table.rows.flatMap((row) => {
    const series = row.rounds.at(-1)?.series
    return series === undefined
      ? []
      : [{ name: row.name, points: series.map(({ mebibytes, seconds }) => ({ x: seconds, y: mebibytes })) }]
  })
  if (lines.length === 0) return undefined
  const end = Math.max(...lines.flatMap(({ points }) => points.map(({ x }) => x)))
  const ticks = Array.from({ length: Math.floor(end) + 1 }, (_, x) => ({ x, label: `${x} s` }))
  return {
    file: `${nameOf(table)}-over-time.svg`,
    svg: linesPlot(`${table.title}, MiB over time`, lines, ticks, "linear")
  }
}

const cells = (tag: string, values: ReadonlyArray<string>): string =>
  `<tr>${values.map((value) => `<${tag}>${escape(value)}</${tag}>`).join("")}</tr>`

const htmlTable = (table: TableResult): string => {
  const header = cells("th", ["", ...table.metrics.map(({ name, unit }) => `${name} [${unit}]`)])
  const rows = table.rows.map((row) =>
    row.failed === undefined
      ? cells("td", [
        row.name,
        ...table.metrics.map(({ name }) => {
          const values = valuesOf(row, name)
          if (values.length === 0) return "-"
          return `${formatNumber(median(values))} (${formatNumber(Math.min(...values))} - ${
            formatNumber(Math.max(...values))
          })`
        })
      ])
      : cells("td", [row.name, `did not run: ${row.failed}`])
  )
  const notes = table.rows.flatMap(({ name, note }) =>
    note === undefined ? [] : [`<li>${escape(name)}: ${escape(note)}</li>`]
  )
  return `<table>${header}${rows.join("")}</table><details><summary>how</summary><ul>${notes.join("")}</ul></details>`
}

const page = (
  results: Results,
  sections: ReadonlyArray<{ readonly table: TableResult; readonly plots: ReadonlyArray<Plot> }>
): string => {
  const bar = results.bar.filter(({ verdict }) => verdict !== "not measured").map((row) =>
    `<tr class="${row.verdict === "pass" ? "pass" : "short"}">${
      [row.what, row.bar, row.measured, row.verdict, row.reason].map((value) => `<td>${escape(value)}</td>`).join("")
    }</tr>`
  )
  const body = sections.map(({ plots, table }) =>
    `<section><h2>${escape(table.title)}</h2>${plots.map(({ svg }) => svg).join("")}${htmlTable(table)}</section>`
  )
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>effect-wal benchmarks</title><style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430; background: #fff }
table { border-collapse: collapse; font-size: 13px } td, th { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #e3e7ee }
td:first-child, th:first-child { text-align: left } .pass td:nth-child(4) { color: #117a3d } .short td:nth-child(4) { color: #b3261e }
section { margin: 3rem 0 } svg { max-width: 100%; height: auto }
</style></head><body>
<h1>effect-wal benchmarks</h1>
<p>${escape(formatMachine(results.machine))}.<br>${escape(results.startedAt)}${
    results.quick ? ", a quick run: the figures mean nothing" : ""
  }. Medians over rounds in turn (least - most).</p>
<h2>The bar</h2><table><tr><th>what</th><th>bar</th><th>measured</th><th>verdict</th><th>because</th></tr>${
    bar.join("")
  }</table>
${body.join("\n")}
</body></html>
`
}

const [input, output = join(import.meta.dirname, "../docs/bench")] = process.argv.slice(2)
if (input === undefined) {
  console.error("usage: node bench/report.ts RESULTS.json [DIRECTORY]")
  process.exit(2)
}
const results: Results = JSON.parse(readFileSync(input, "utf8"))
const sections = results.tables.map((table) => ({
  table,
  plots: [percentilesOf(table), memoryOf(table), barsOf(table)].filter((plot) => plot !== undefined)
}))
mkdirSync(output, { recursive: true })
for (const { plots } of sections) for (const { file, svg } of plots) writeFileSync(join(output, file), svg)
writeFileSync(join(output, "index.html"), page(results, sections))
console.log(`${join(output, "index.html")} and ${sections.flatMap(({ plots }) => plots).length} plots`)
