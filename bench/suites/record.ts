/** The command line: lines of 100 bytes from a file into a directory, from the start of the process to its exit. */
import { spawnSync } from "node:child_process"
import { closeSync, openSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Contestant, Metric, Suite } from "../harness/Suite.ts"

const metrics: ReadonlyArray<Metric> = [
  { name: "lines", unit: "M lines/s", better: "more" },
  { name: "seconds", unit: "s", better: "less" }
]
const linesOf = (quick: boolean): number => quick ? 50_000 : 3_000_000

const prepare = async (directory: string, lines: number): Promise<string> => {
  const { realBytes } = await import("../harness/RealBytes.ts")
  const bytes = realBytes(lines * 100)
  // Real text cut into lines of 100 bytes, each with its newline.
  for (let i = 0; i < bytes.length; i++) if (bytes[i] === 0x0a) bytes[i] = 0x20
  for (let i = 99; i < bytes.length; i += 100) bytes[i] = 0x0a
  const path = join(directory, "lines.txt")
  writeFileSync(path, bytes)
  return path
}

const command = (name: string, note: string, run: (output: string) => ReadonlyArray<string>): Contestant => ({
  name,
  note,
  open: async ({ directory, quick }) => {
    const lines = linesOf(quick)
    const input = await prepare(directory, lines)
    return {
      round: async () => {
        const output = join(directory, "output")
        rmSync(output, { recursive: true, force: true })
        const [program = "", ...args] = run(output)
        const stdin = openSync(input, "r")
        const started = performance.now()
        const { status, stderr } = spawnSync(program, args, { stdio: [stdin, "ignore", "pipe"], encoding: "utf8" })
        const seconds = (performance.now() - started) / 1000
        closeSync(stdin)
        if (status !== 0) throw new Error(`it ended with ${status}: ${stderr.trim().split("\n").slice(-2).join(" ")}`)
        return { measures: { lines: lines / 1e6 / seconds, seconds } }
      },
      close: async () => {}
    }
  }
})

const cli = join(import.meta.dirname, "../../src/cli/main.ts")
const recordWith = (output: string, ...more: ReadonlyArray<string>): ReadonlyArray<string> => [
  process.execPath,
  cli,
  "record",
  "--dir",
  output,
  ...more
]

export const suite: Suite = {
  name: "record",
  tables: [{
    name: "record",
    title: "3 million lines of 100 bytes on the command line",
    metrics,
    reference: "effect-wal record",
    contestants: [
      command(
        "effect-wal record",
        "as it comes: from the start of Node to the end of the drain, retention compressing meanwhile",
        (output) => recordWith(output)
      ),
      command(
        "effect-wal record, no freezing due",
        "--max-segments 128",
        (output) => recordWith(output, "--max-segments", "128")
      ),
      command("dd conv=fdatasync", "the same bytes into one file", (output) => [
        "dd",
        `of=${output}`,
        "bs=1M",
        "conv=fdatasync"
      ])
    ]
  }]
}
