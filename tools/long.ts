/**
 * The long run: every sweep of the tests as a whole, every sample (seeds, schedules, kills, failing calls, changed files,
 * …) for the time that is given, and one report at the end.
 *
 *     npm run test:long -- --minutes 60 [--report FILE] [--afresh]
 *
 * The samples share the time by their weights (`test/samples.ts`) and go on where the last long run ended; how far each is,
 * is kept in `node_modules/.cache/effect-wal-long`. `--afresh` forgets that.
 */
import { spawn } from "node:child_process"
import { globSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { longFolder, longVariable, readProgress, repetition, samples } from "../test/samples.ts"
import type { Sample, SampleName } from "../test/samples.ts"

const root = join(import.meta.dirname, "..")

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    report: { type: "string" },
    afresh: { type: "boolean", default: false }
  }
})
const minutes = Number(values.minutes)
if (!(minutes > 0)) {
  process.stdout.write("usage: npm run test:long -- --minutes N [--report FILE] [--afresh]\n")
  process.exit(2)
}
if (values.afresh) rmSync(longFolder, { recursive: true, force: true })

const all: ReadonlyArray<readonly [SampleName, Sample]> = Object.entries(samples) as never
const progress = () => new Map(all.map(([name]) => [name, readProgress(name)]))
const before = progress()

// As many files run side by side as there are cores.
const weights = all.reduce((sum, [, { weight = 1 }]) => sum + weight, 0)
const millis = minutes * 60_000 * availableParallelism() / weights
const begun = new Date()
const sampled = all.map(([, { file }]) => `test/${file}.test.ts`)
const sweeping = globSync("test/**/*.test.ts", { cwd: root })
  .filter((file) => readFileSync(join(root, file), "utf8").includes("/sweep.ts\""))
const files = [...new Set([...sweeping, ...sampled])]
const vitest = ["node_modules/vitest/vitest.mjs", "run", `--maxWorkers=${availableParallelism()}`, ...files]
const child = spawn(process.execPath, vitest, {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, [longVariable]: String(millis) }
})
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal))
const exitCode = await new Promise<number | null>((resolve) => child.once("close", resolve))

const after = progress()
const lines = [
  `# Long run of ${begun.toISOString()}, ${minutes} minutes, Node ${process.version}`,
  "",
  "| sample | played now | played in all | failures now | failures in all | next seed |",
  "| --- | --: | --: | --: | --: | --: |"
]
const failures: Array<string> = []
for (const [name, { cases }] of all) {
  const [was, is] = [before.get(name), after.get(name)]
  const known = was?.failures.length ?? 0
  const news = is?.failures.slice(known) ?? []
  const done = is?.done ?? 0
  lines.push(
    `| ${name}: ${cases} | ${done - (was?.done ?? 0)} | ${done} | ${news.length} | ${known + news.length} | ${
      is?.next ?? "-"
    } |`
  )
  for (const { message, seed } of news) {
    failures.push(
      `## ${name}, seed ${seed}`,
      "",
      repetition(name, seed, true),
      "",
      message,
      ""
    )
  }
}
lines.push("", exitCode === 0 ? "Everything held." : `It ended with exit code ${exitCode}.`, "", ...failures)
const report = `${lines.join("\n")}\n`
process.stdout.write(`\n${report}`)
if (values.report !== undefined) writeFileSync(values.report, report)
process.exitCode = exitCode ?? 1
