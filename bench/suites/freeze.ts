/**
 * Freezing one hot segment: a standard LZ4 frame with content size and content checksum, synced, read back, decoded,
 * every checksum in it verified, renamed, the original unlinked. Beside it `lz4 -1`, which compresses and syncs only.
 */
import { execFileSync } from "node:child_process"
import { closeSync, fdatasyncSync, openSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { copyDurably } from "../harness/copyDurably.ts"
import { throughput } from "../harness/Suite.ts"
import type { Contestant, Metric, Scale, Suite, Table } from "../harness/Suite.ts"
import { warmPages } from "../harness/warmPages.ts"

const mebibyte = 2 ** 20
const metrics: ReadonlyArray<Metric> = [
  throughput,
  { name: "memory", unit: "MiB over idle", better: "less" },
  { name: "ratio", unit: "of the hot size", better: "less" }
]

/** A hot segment of real text, kept aside; each round gets a copy. */
const prepare = async (directory: string, mebibytes: number): Promise<string> => {
  const { prepareSegment } = await import("../harness/prepareSegment.ts")
  return prepareSegment(join(directory, "original"), mebibytes * mebibyte)
}

const step = (mebibytes: number): Contestant => ({
  name: "effect-wal, freeze step",
  note: "alone in its process; four freezes before the first that counts",
  open: async ({ directory, quick }: Scale) => {
    const { coldName, defaultNaming } = await import("../../src/format/SegmentName.ts")
    const { freezeStep } = await import("../harness/freezeStep.ts")
    const original = await prepare(directory, quick ? Math.min(4, mebibytes) : mebibytes)
    const freezeCopyOf = async (segment: string) => {
      copyDurably(segment, join(directory, "FS.00000000.wal"))
      // Without this the step would only prove the cold file that is there already.
      rmSync(join(directory, coldName(defaultNaming, 0, "frame")), { force: true })
      warmPages(directory, statSync(segment).size)
      const started = performance.now()
      const frozen = await freezeStep(directory, 0)
      return { ...frozen, seconds: (performance.now() - started) / 1000 }
    }
    // A recorder freezes for as long as it runs; its first freezes are slower by half, until the code is compiled.
    for (let count = 0; count < (quick ? 0 : 3); count++) await freezeCopyOf(original)
    return {
      round: async () => {
        const { coldBytes, hotBytes, seconds } = await freezeCopyOf(original)
        return { measures: { throughput: hotBytes / 1e6 / seconds, ratio: coldBytes / hotBytes } }
      },
      close: async () => {}
    }
  }
})

const repository = join(import.meta.dirname, "../..")

const memory = (mebibytes: number): Contestant => ({
  name: "effect-wal, memory",
  note:
    "the first freeze of a process that was idle with an open recorder: the kernel's peak; built JavaScript, one thread",
  open: async ({ quick }: Scale) => {
    execFileSync("npm", ["run", "-s", "build"], { cwd: repository })
    const script = join(repository, "bench/harness/freezeMemory.ts")
    return {
      round: async () => {
        const size = String(quick ? Math.min(4, mebibytes) : mebibytes)
        const said = execFileSync(process.execPath, [script, size, "thread"], { encoding: "utf8" })
        const { addedMebibytes }: { readonly addedMebibytes: number } = JSON.parse(said)
        return { measures: { memory: addedMebibytes } }
      },
      close: async () => {}
    }
  }
})

const lz4 = (mebibytes: number): Contestant => ({
  name: "lz4 -1 --content-size, then fdatasync",
  note: "the command, with its content checksum, no reading back; with the time it takes to start (about 2 ms)",
  open: async ({ directory, quick }: Scale) => {
    const original = await prepare(directory, quick ? Math.min(4, mebibytes) : mebibytes)
    const hot = join(directory, "segment.wal")
    const cold = join(directory, "segment.lz4")
    return {
      round: async () => {
        copyDurably(original, hot)
        rmSync(cold, { force: true })
        warmPages(directory, statSync(hot).size)
        const started = performance.now()
        execFileSync("lz4", ["-1", "-q", "-f", "--content-size", hot, cold])
        const fd = openSync(cold, "r+")
        fdatasyncSync(fd)
        closeSync(fd)
        const seconds = (performance.now() - started) / 1000
        const hotBytes = statSync(hot).size
        return { measures: { throughput: hotBytes / 1e6 / seconds, ratio: statSync(cold).size / hotBytes } }
      },
      close: async () => {}
    }
  }
})

const table = (mebibytes: number, fullOnly: boolean): Table => ({
  name: `freeze ${mebibytes} MiB`,
  title: `a segment of ${mebibytes} MiB of real text`,
  metrics,
  reference: "lz4 -1 --content-size, then fdatasync",
  fullOnly,
  contestants: [step(mebibytes), memory(mebibytes), lz4(mebibytes)]
})

export const suite: Suite = { name: "freeze", tables: [table(64, false), table(16, true), table(256, true)] }
