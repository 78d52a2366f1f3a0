/**
 * Repeats the suite, and prints what failed how often.
 *
 *     npm run test:repeat -- 10 [--busy 4] [--cores 0]
 *
 * `--busy` keeps so many processes computing beside it, `--cores` is the list of processors that it may use, as `taskset`
 * takes it. The output of each run is kept in a temporary directory.
 */
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { existsSync, mkdtempSync, openSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { reportVariable } from "../test/closingWords.ts"
import type { RunReport } from "../test/closingWords.ts"

/** Tests that take longer are listed. */
const slowMillis = 10_000

const root = join(import.meta.dirname, "..")
const print = (text: string): void => void process.stdout.write(`${text}\n`)

interface Run {
  readonly millis: number
  readonly exitCode: number | null
  /** `undefined` when the run ended before it could report. */
  readonly report: RunReport | undefined
}

/** What runs beside this process, and ends with it. */
const children = new Set<ChildProcess>()

const runOnce = async (log: string, cores: string | undefined): Promise<Run> => {
  const reportPath = `${log}.json`
  const vitest = [process.execPath, join(root, "node_modules/vitest/vitest.mjs"), "run"]
  const [file = "", ...args] = cores === undefined ? vitest : ["taskset", "-c", cores, ...vitest]
  const output = openSync(log, "w")
  const begun = performance.now()
  const child = spawn(file, args, {
    cwd: root,
    stdio: ["ignore", output, output],
    env: { ...process.env, NO_COLOR: "1", [reportVariable]: reportPath }
  })
  children.add(child)
  const exitCode = await new Promise<number | null>((resolve, reject) =>
    child.once("error", reject).once("close", resolve)
  )
  children.delete(child)
  const report = existsSync(reportPath) ? JSON.parse(readFileSync(reportPath, "utf8")) : undefined
  return { millis: performance.now() - begun, exitCode, report }
}

const isGreen = ({ exitCode, report }: Run): boolean => exitCode === 0 && report !== undefined

const seconds = (millis: number): string => (millis / 1000).toFixed(1)

const lineOf = (run: Run, index: number): string => {
  const { exitCode, millis, report } = run
  const words = isGreen(run) ? "green" : report === undefined ? `no report, exit code ${exitCode}` : "RED"
  const counts = [report?.passed, report?.failed.length, report?.unhandled.length].map((count) => count ?? "-")
  return `| ${[index + 1, seconds(millis), ...counts, words].join(" | ")} |`
}

/** How often each of them stands in the lists, the most frequent first. */
const printCounts = (title: string, lists: ReadonlyArray<ReadonlyArray<string>>): void => {
  const counts = new Map<string, number>()
  for (const item of lists.flat()) counts.set(item, (counts.get(item) ?? 0) + 1)
  if (counts.size === 0) return print(`${title}: none`)
  print(`${title}:`)
  for (const [item, count] of [...counts].toSorted(([, a], [, b]) => b - a)) print(`  ${count} times  ${item}`)
}

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { busy: { type: "string", default: "0" }, cores: { type: "string" } }
})
const times = Number(positionals[0] ?? "")
if (!Number.isInteger(times) || times < 1) {
  print("usage: npm run test:repeat -- N [--busy K] [--cores LIST]")
  process.exit(2)
}

for (let count = 0; count < Number(values.busy); count++) {
  const busy = spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" })
  // Nothing waits for it: it is killed when this process ends.
  busy.unref()
  children.add(busy)
}
process.once("exit", () => children.forEach((child) => child.kill("SIGKILL")))
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1))

const folder = mkdtempSync(join(tmpdir(), "effect-wal-repeat-"))
print(`logs: ${folder}\n`)
print("| run | seconds | passed | failed | unhandled errors | |")
print("| --: | --: | --: | --: | --: | --- |")
const runs: Array<Run> = []
for (let index = 0; index < times; index++) {
  const run = await runOnce(join(folder, `run-${index + 1}.log`), values.cores)
  runs.push(run)
  print(lineOf(run, index))
}

const reports = runs.flatMap(({ report }) => report === undefined ? [] : [report])
const walls = runs.map(({ millis }) => millis)
print("")
print(
  `${runs.filter(isGreen).length} of ${times} runs are green; ${seconds(Math.min(...walls))} to ` +
    `${seconds(Math.max(...walls))} s, median ${seconds(median(walls))} s`
)
printCounts("failed", reports.map(({ failed }) => failed))
printCounts("errors that no test has caught", reports.map(({ unhandled }) => unhandled))
printCounts(
  `tests over ${slowMillis / 1000} s`,
  reports.map(({ tests }) => tests.filter(({ millis }) => millis > slowMillis).map(({ name }) => name))
)
process.exitCode = runs.every(isGreen) ? 0 : 1
