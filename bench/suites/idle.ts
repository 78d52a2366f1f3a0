/** What a recorder costs that nobody uses: wake-ups of its loop and of the process, and processor time. */
import { readdirSync, readFileSync } from "node:fs"
import type { Contestant, Metric, Scale, Suite } from "../harness/Suite.ts"
import type { Host } from "../harness/Wal.ts"

const metrics: ReadonlyArray<Metric> = [
  { name: "core", unit: "% of a core", better: "less" },
  { name: "loop", unit: "cycles/s", better: "less" },
  { name: "switches", unit: "context switches/s", better: "less" }
]

/** How often any thread of this process gave up or lost a core. */
const contextSwitches = (): number => {
  let count = 0
  for (const thread of readdirSync("/proc/self/task")) {
    const status = readFileSync(`/proc/self/task/${thread}/status`, "utf8")
    for (const [, switches] of status.matchAll(/ctxt_switches:\s+(\d+)/g)) count += Number(switches)
  }
  return count
}

const watch = async ({ quick }: Scale, cycles: () => number) => {
  const seconds = quick ? 1 : 5
  const cyclesBefore = cycles()
  const switchesBefore = contextSwitches()
  const before = process.cpuUsage()
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  const { system, user } = process.cpuUsage(before)
  return {
    measures: {
      core: (system + user) / 1e6 / seconds * 100,
      loop: (cycles() - cyclesBefore) / seconds,
      switches: (contextSwitches() - switchesBefore) / seconds
    }
  }
}

const wal = (host: Host): Contestant => ({
  name: `effect-wal, ${host}`,
  note: "after 100 events and a rotation, then nothing",
  open: async (scale) => {
    const { keepHot, openWal } = await import("../harness/Wal.ts")
    const opened = await openWal(host, { directory: scale.directory, limits: keepHot })
    for (let i = 0; i < 100; i++) opened.recorder.writer.appendUnsafe(new Uint8Array(64))
    await opened.rest()
    const cycles = (): number => Number(opened.telemetry.snapshotUnsafe().lifecycle.cycles)
    // Until the loop has found its longest sleep: 10 ms, doubled seven times.
    await new Promise((resolve) => setTimeout(resolve, scale.quick ? 200 : 3000))
    return { round: () => watch(scale, cycles), close: opened.close }
  }
})

const bareNode: Contestant = {
  name: "Node alone",
  note: "a process that only waits",
  open: async (scale) => ({ round: () => watch(scale, () => 0), close: async () => {} })
}

export const suite: Suite = {
  name: "idle",
  tables: [{
    name: "idle",
    title: "a recorder with nothing to do",
    metrics,
    reference: "Node alone",
    contestants: [wal("thread"), wal("fiber"), bareNode]
  }]
}
