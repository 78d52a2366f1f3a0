/** What the figures were measured on. */
import { execFileSync } from "node:child_process"
import { readFileSync, realpathSync } from "node:fs"
import { cpus, loadavg, release, totalmem, type as systemType } from "node:os"

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly kernel: string
  readonly fileSystem: string
  readonly node: string
  /** The load of the last minute when the run began: above a few tenths, other work disturbed the figures. */
  readonly loadAtStart: number
  readonly commit: string
}

const read = (run: () => string, otherwise: string): string => {
  try {
    return run().trim()
  } catch {
    return otherwise
  }
}

/** The file system that a directory lies on, and its device, as the kernel names them. */
const fileSystemOf = (directory: string): string => {
  const path = realpathSync(directory)
  let best = ["", "", "unknown"]
  for (const line of readFileSync("/proc/mounts", "utf8").split("\n")) {
    const [device = "", mount = "", kind = ""] = line.split(" ")
    const isAbove = mount === "/" || path === mount || path.startsWith(`${mount}/`)
    if (isAbove && mount.length >= best[1]!.length) best = [device, mount, kind]
  }
  return `${best[2]} (${best[0]})`
}

export const describeMachine = (directory: string): Machine => ({
  cpu: cpus()[0]?.model ?? "unknown",
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  kernel: `${systemType()} ${release()}`,
  fileSystem: read(() => fileSystemOf(directory), "unknown"),
  node: process.version,
  loadAtStart: Math.round((loadavg()[0] ?? 0) * 100) / 100,
  commit: read(
    () => execFileSync("git", ["-C", import.meta.dirname, "describe", "--always", "--dirty"], { encoding: "utf8" }),
    "unknown"
  )
})

export const formatMachine = (machine: Machine): string =>
  `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.kernel}, ${machine.fileSystem}, ` +
  `Node ${machine.node}, load at start ${machine.loadAtStart}, commit ${machine.commit}`
