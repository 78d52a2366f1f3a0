/**
 * Makes one system call of a recording program fail, the first, the second, and so on up to the last one of a whole run,
 * and holds what is left to what the program had called durable. `strace` does the failing; only calls on our directory
 * and the files in it are counted and failed.
 *
 * ```text
 * node test/faults/inject.ts [--layer fiber|worker] [--call pwrite64] [--fault EIO] [--step 1] [--jobs 2]
 * ```
 *
 * With `once` the n-th call fails and the later ones work again: the program must open and then record everything, or
 * refuse to open with an error of ours. With `SIGKILL` the process dies at the n-th call, so there is a crash before
 * every single effect on the disk. With `on` the n-th and all later calls fail: then it may also give up. It must
 * never hang, never fail with anything but an error of ours, and the directory must open again without the fault.
 *
 * Calls are counted for each thread by itself, since `strace` does. The thread pool has one thread here, so the runs are
 * repeatable; in the worker layer the n-th call of the maintainer's thread and the n-th of the pool's both fail.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { coldName, defaultNaming, freezingName, hotName, preparingName } from "../../src/format/SegmentName.ts"
import { inspect, layers, leftovers, reopen, startVictim } from "./harness.ts"
import type { Testimony } from "./harness.ts"
import type { VictimOptions } from "./victim.ts"

/** An error that a call returns, or the death of the whole process at that call. */
export type Fault = "EIO" | "ENOSPC" | "SIGKILL"

/** A system call under the names that C libraries and kernels know it by, and the errors that it is made to fail with. */
interface Target {
  readonly call: string
  readonly calls: string
  readonly errors: ReadonlyArray<Fault>
}

export const targets: ReadonlyArray<Target> = [
  { call: "write", calls: "write,writev", errors: ["EIO", "ENOSPC", "SIGKILL"] },
  { call: "pwrite64", calls: "pwrite64", errors: ["EIO", "ENOSPC", "SIGKILL"] },
  { call: "pwritev", calls: "pwritev,pwritev2", errors: ["EIO", "ENOSPC", "SIGKILL"] },
  { call: "fdatasync", calls: "fdatasync", errors: ["EIO", "ENOSPC", "SIGKILL"] },
  { call: "fsync", calls: "fsync", errors: ["EIO", "ENOSPC", "SIGKILL"] },
  { call: "rename", calls: "rename,renameat,renameat2", errors: ["EIO", "ENOSPC", "SIGKILL"] },
  { call: "unlink", calls: "unlink,unlinkat", errors: ["EIO", "SIGKILL"] },
  { call: "openat", calls: "openat", errors: ["EIO", "ENOSPC", "SIGKILL"] },
  { call: "ftruncate", calls: "ftruncate", errors: ["EIO", "ENOSPC", "SIGKILL"] },
  { call: "pread64", calls: "pread64", errors: ["EIO", "SIGKILL"] },
  { call: "link", calls: "link,linkat", errors: ["EIO", "ENOSPC", "SIGKILL"] },
  { call: "mkdir", calls: "mkdir,mkdirat", errors: ["EIO", "ENOSPC", "SIGKILL"] },
  { call: "getdents64", calls: "getdents64", errors: ["EIO", "SIGKILL"] }
]

/** One line of the matrix. */
export interface MatrixRow {
  readonly layer: "fiber" | "worker"
  readonly call: string
  readonly error: string
  readonly mode: "once" | "on"
  /** The largest n at which there was a call to fail. */
  readonly calls: number
  readonly runs: number
  /** Calls that failed in all of the runs together. */
  readonly faults: number
  /** Runs that recorded everything. */
  readonly recovered: number
  /** Runs that ended with an error of ours before the directory was open. */
  readonly refused: number
  /** Runs that ended because commits kept failing with an error of ours. */
  readonly gaveUp: number
  /** Runs that were killed. */
  readonly killed: number
}

const workload = {
  seed: 7,
  behaviourSeed: 7,
  eventsMax: 110,
  eventsPerCommit: 11,
  segmentBytesMax: 8192,
  maxSegments: 2,
  maxCompressedSegments: 4
} as const
const segmentIndexMax = 24

/** Why nothing can be injected here; empty when it can. */
export const injectionMissing = (): string => {
  const probe = spawnSync("strace", [
    "-f",
    "--seccomp-bpf",
    "-o",
    "/dev/null",
    "-e",
    "inject=fsync:error=EIO:when=1",
    "true"
  ])
  if (probe.error !== undefined) return "strace is not installed"
  return probe.status === 0 ? "" : `strace does not work here: ${String(probe.stderr).trim()}`
}

const pathsOf = (directory: string): ReadonlyArray<string> => {
  const names = ["wal_meta.dat", "wal_meta.dat.tmp"]
  for (let index = 0; index <= segmentIndexMax; index++) {
    names.push(hotName(defaultNaming, index), preparingName(defaultNaming, index))
    names.push(coldName(defaultNaming, index, "frame"), freezingName(defaultNaming, index, "frame"))
  }
  return [directory, ...names.map((name) => join(directory, name))]
}

/** Runs the victim under strace in a directory of its own; `judge` sees what is left before it is removed. */
const underStrace = async <A>(
  layer: "fiber" | "worker",
  calls: string,
  injection: { readonly fault: Fault; readonly when: string } | undefined,
  judge: (testimony: Testimony, trace: string, options: VictimOptions) => Promise<A>
): Promise<A> => {
  const root = mkdtempSync(join(tmpdir(), "effect-wal-inject-"))
  const directory = join(root, "wal")
  mkdirSync(directory)
  const tracePath = join(root, "trace")
  // Where the fault passes nothing is given up, however slow the machine is.
  const giveUp = injection?.when.endsWith("+") === true ? { giveUpMillis: 1500 } : {}
  const options: VictimOptions = { directory, layer, ...workload, ...giveUp }
  const kind = injection?.fault === "SIGKILL" ? "signal" : "error"
  const victim = startVictim(options, {
    command: [
      "strace",
      "-f",
      "-qq",
      // Much faster, but with it no signal is delivered at a later call than the first.
      ...kind === "signal" ? [] : ["--seccomp-bpf"],
      `--output=${tracePath}`,
      `--trace=${calls}`,
      "--signal=none",
      ...injection === undefined
        ? []
        : ["-e", `inject=${calls}:${kind}=${injection.fault}:when=${injection.when}`],
      ...pathsOf(directory).flatMap((path) => ["-P", path])
    ],
    environment: { UV_THREADPOOL_SIZE: "1" }
  })
  const testimony = await victim.ended
  const result = await judge(testimony, readFileSync(tracePath, "utf8"), options)
  rmSync(root, { recursive: true })
  return result
}

/** How many calls of each target a run without a fault makes, in the thread that makes the most of them. */
export const countCalls = (layer: "fiber" | "worker"): Promise<ReadonlyMap<Target, number>> =>
  underStrace(layer, targets.map(({ calls }) => calls).join(","), undefined, (testimony, trace) => {
    if (testimony.lines.at(-1) !== `end ${workload.eventsMax}`) {
      throw new Error(`without a fault it ended with ${testimony.lines.at(-1)}\n${testimony.stderr}`)
    }
    const byCall = new Map<string, number>()
    for (const [, thread, call] of trace.matchAll(/^(\d+) +(\w+)\(/gm)) {
      byCall.set(`${thread} ${call}`, (byCall.get(`${thread} ${call}`) ?? 0) + 1)
    }
    const most = (calls: string): number =>
      Math.max(0, ...[...byCall].filter(([key]) => calls.split(",").includes(key.split(" ")[1]!)).map(([, n]) => n))
    return Promise.resolve(new Map(targets.map((target) => [target, most(target.calls)])))
  })

type Outcome = "recovered" | "refused" | "gaveUp" | "killed"

/** After a fault that has passed no more commits may fail than this, however fast or slow the machine is. */
const failedCommitsMax = 20

const outcomeOf = (testimony: Testimony, fault: Fault, mode: "once" | "on"): Outcome => {
  const last = testimony.lines.at(-1) ?? ""
  if (testimony.hung) throw new Error("it hung")
  const failed = testimony.lines.filter((line) => line.startsWith("failed ")).length
  if (mode === "once" && failed > failedCommitsMax) {
    throw new Error(`${failed} commits failed by a fault that had passed`)
  }
  // strace ends as its child has ended.
  if (fault === "SIGKILL" && testimony.exitCode === null) return "killed"
  if (testimony.exitCode === 0 && last === `end ${workload.eventsMax}`) return "recovered"
  if (testimony.exitCode === 3 && testimony.opened === undefined && last.startsWith("error ")) return "refused"
  if (testimony.exitCode === 5 && mode === "on" && last === "gave up") return "gaveUp"
  throw new Error(`it ended with code ${testimony.exitCode} and ${last}`)
}

/** Lets calls fail at one place, the n-th one or from it on; throws when a promise is broken. */
export const injectOnce = async (
  layer: "fiber" | "worker",
  target: Target,
  fault: Fault,
  n: number,
  mode: "once" | "on"
): Promise<{ readonly outcome: Outcome; readonly faults: number }> => {
  const when = `${n}${mode === "on" ? "+" : ""}`
  return underStrace(layer, target.calls, { fault, when }, async (testimony, trace, options) => {
    try {
      const outcome = outcomeOf(testimony, fault, mode)
      const expected = {
        seed: options.seed,
        durable: testimony.durable,
        maxSegments: options.maxSegments,
        maxCompressedSegments: options.maxCompressedSegments
      }
      const { lastId } = await inspect(options.directory, expected)
      const reopened = await reopen(options)
      if (reopened !== lastId) throw new Error(`it reopened at ${reopened}, but the log ended at ${lastId}`)
      await inspect(options.directory, expected)
      const left = leftovers(options.directory)
      if (left.length > 0) throw new Error(`nobody owns ${left.join(", ")}`)
      return { outcome, faults: trace.match(/\(INJECTED\)/g)?.length ?? 0 }
    } catch (cause) {
      const story = `${layer}: ${target.call} ${fault} at ${when}: ${
        cause instanceof Error ? cause.message : String(cause)
      }`
      throw new Error(`${story}\n${testimony.lines.join("\n")}\n${testimony.stderr}\n${options.directory}`, { cause })
    }
  })
}

/** The matrix of one layer: every target, every error, both modes, at each n in steps. */
const inject = async (options: {
  readonly layer: "fiber" | "worker"
  readonly targets: ReadonlyArray<Target>
  readonly step: number
  readonly modes: ReadonlyArray<"once" | "on">
  readonly jobs: number
  readonly onRow: (row: MatrixRow) => void
  /** Told of each broken promise. */
  readonly onBroken: (error: unknown) => void
}): Promise<void> => {
  const counted = await countCalls(options.layer)
  for (const target of options.targets) {
    const calls = [...counted].find(([{ call }]) => call === target.call)?.[1] ?? 0
    for (const error of target.errors) {
      // Who is dead stays dead.
      for (const mode of error === "SIGKILL" ? ["once" as const] : options.modes) {
        const counts = { runs: 0, faults: 0, recovered: 0, refused: 0, gaveUp: 0, killed: 0 }
        const places: Array<number> = []
        // Faults for ever differ less from one n to the next, and each takes its time to give up.
        const step = mode === "on" ? options.step * 5 : options.step
        for (let n = 1; n <= calls; n += step) places.push(n)
        const work = async () => {
          for (let n = places.shift(); n !== undefined; n = places.shift()) {
            try {
              counts.runs += 1
              const { faults, outcome } = await injectOnce(options.layer, target, error, n, mode)
              counts.faults += faults
              counts[outcome] += 1
            } catch (cause) {
              options.onBroken(cause)
            }
          }
        }
        await Promise.all(Array.from({ length: options.jobs }, work))
        options.onRow({ layer: options.layer, call: target.call, error, mode, calls, ...counts })
      }
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      layer: { type: "string" },
      call: { type: "string" },
      fault: { type: "string" },
      step: { type: "string", default: "1" },
      jobs: { type: "string", default: "2" }
    }
  })
  const missing = injectionMissing()
  if (missing !== "") {
    process.stdout.write(`skipped: ${missing}\n`)
    process.exit(0)
  }
  process.stdout.write(
    "| layer | call | error | fails | calls | runs | faults | recovered | refused | gave up | killed |\n"
  )
  process.stdout.write("| --- | --- | --- | --- | --: | --: | --: | --: | --: | --: | --: |\n")
  for (const layer of layers.filter((name) => values.layer === undefined || values.layer === name)) {
    await inject({
      layer,
      targets: targets
        .filter(({ call }) => values.call === undefined || values.call === call)
        .map((target) => ({
          ...target,
          errors: target.errors.filter((error) => values.fault === undefined || values.fault === error)
        })),
      step: Number(values.step),
      modes: ["once", "on"],
      jobs: Number(values.jobs),
      onRow: ({ call, calls, error, faults, gaveUp, killed, mode, recovered, refused, runs }) => {
        const cells = [layer, call, error, mode, calls, runs, faults, recovered, refused, gaveUp, killed]
        process.stdout.write(`| ${cells.join(" | ")} |\n`)
      },
      onBroken: (error) => {
        process.exitCode = 1
        process.stdout.write(`BROKEN ${error instanceof Error ? error.message : String(error)}\n`)
      }
    })
  }
}
