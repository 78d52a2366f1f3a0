/**
 * Compares our reader with the independent one over what many seeds of the simulation leave:
 *
 *     node test/judges/compare.ts --seeds 600 --from 5000
 */
import { parseArgs } from "node:util"
import { judgeSeed, startIndependentReader } from "./judging.ts"
import type { Verdict } from "./judging.ts"

const { values } = parseArgs({ options: { seeds: { type: "string" }, from: { type: "string" } } })
const from = Number(values.from ?? 1)
const seeds = Number(values.seeds ?? 100)
const counts: Record<Verdict, number> = { "accepted": 0, "refused": 0, "of another format": 0 }
const differing: Array<string> = []
const reader = startIndependentReader()
for (let seed = from; seed < from + seeds; seed++) {
  try {
    counts[await judgeSeed(reader, seed)] += 1
  } catch (error) {
    differing.push(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`)
  }
}
reader.close()
for (const line of differing) process.stderr.write(`${line}\n`)
process.stdout.write(
  `seeds ${from} to ${from + seeds - 1}: ${counts.accepted} logs accepted by both readers with the same events, ` +
    `${counts.refused} refused by both, ${counts["of another format"]} of another format, ${differing.length} differ\n`
)
process.exitCode = differing.length === 0 ? 0 : 1
