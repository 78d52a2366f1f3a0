/**
 * Measures effect-wal beside what one would pick instead.
 *
 *     npm run bench                          all suites, then the bar
 *     npm run bench -- append durable        some suites
 *     npm run bench -- --quick               everything in little, only to see that it runs
 *     npm run bench -- --json now.json       also writes the results
 *     npm run bench -- --against before.json also prints what changed
 *     npm run bench -- --rounds 9 --dir /mnt/disk
 */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { judge } from "./bar.ts"
import { describeMachine, formatMachine } from "./harness/Machine.ts"
import { play } from "./harness/play.ts"
import { formatAgainst, formatBar, formatTable } from "./harness/Print.ts"
import type { Results, TableResult } from "./harness/Results.ts"
import { loadSuite, suiteNames } from "./harness/suites.ts"

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    json: { type: "string" },
    against: { type: "string" },
    rounds: { type: "string" },
    dir: { type: "string", default: tmpdir() }
  }
})
const unknown = positionals.filter((name) => !suiteNames.includes(name))
const rounds = values.rounds === undefined ? (values.quick ? 1 : 5) : Number(values.rounds)
if (unknown.length > 0 || !Number.isInteger(rounds) || rounds < 1) {
  console.error(`usage: npm run bench -- [--quick] [--rounds N] [--dir DIR] [--json FILE] [--against FILE] [SUITE…]`)
  console.error(`suites: ${suiteNames.join(", ")}`)
  process.exit(2)
}

if (!existsSync(join(import.meta.dirname, "node_modules"))) {
  console.error("The peers are not installed yet: running npm ci --prefix bench (once).")
  execFileSync("npm", ["ci", "--prefix", import.meta.dirname, "--no-audit", "--no-fund"], { stdio: "inherit" })
}

mkdirSync(values.dir, { recursive: true })
const directory = mkdtempSync(join(values.dir, "effect-wal-bench-"))
process.on("exit", () => rmSync(directory, { recursive: true, force: true }))
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1))

const machine = describeMachine(directory)
const startedAt = new Date().toISOString()
console.log(formatMachine(machine))
console.log(`${rounds} rounds in turn, each contestant in its own process; medians\n`)

const tables: Array<TableResult> = []
for (const name of positionals.length > 0 ? positionals : suiteNames) {
  const suite = await loadSuite(name)
  for (const table of suite.tables) {
    if (values.quick && table.fullOnly === true) continue
    const begun = performance.now()
    const result = await play(name, table, {
      quick: values.quick,
      rounds: Math.min(rounds, table.roundsMax ?? rounds),
      directory
    })
    tables.push(result)
    console.log(`${formatTable(result)}\n  (${((performance.now() - begun) / 1000).toFixed(1)} s)\n`)
  }
}

const bar = judge(tables)
const results: Results = { machine, startedAt, quick: values.quick, tables, bar }
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, undefined, 1)}\n`)
if (values.against !== undefined) {
  const before: Results = JSON.parse(readFileSync(values.against, "utf8"))
  console.log(`against ${values.against}, of ${before.startedAt}\n${formatAgainst(results, before)}\n`)
}
console.log(`the bar${values.quick ? " (a quick run: the figures mean nothing)" : ""}\n${formatBar(bar)}`)
