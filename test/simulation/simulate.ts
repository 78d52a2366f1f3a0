/**
 * `npm run simulate -- --seeds 100000` runs so many seeds on all cores, `--from` a given one (1 when not given), and ends
 * with exit code 1 at the first failures, whose seeds it prints. `--seed 123 --verbose` runs one and prints everything that
 * happened in it. `--planted` prints for each planted bug the first seed that finds it: after a change by which a seed
 * draws otherwise, some of them want another `seedFirst`. `--store` does each of this with an archive and its store,
 * `--consumers` with consumers, `--world` with several machines and one store.
 */
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import { runArchived } from "./archive/ArchivedSimulation.ts"
import { archivedOptionsOf, plantedStoreBugs } from "./archive/planted.ts"
import { runConsumed } from "./consumers/ConsumedSimulation.ts"
import { consumedOptionsOf, plantedConsumerBugs } from "./consumers/planted.ts"
import { optionsOf, plantedBugs } from "./planted.ts"
import { run } from "./Simulation.ts"
import { plantedWorldBugs, worldOptionsOf } from "./world/planted.ts"
import { runWorld } from "./world/WorldSimulation.ts"

/** What of the simulation is played, and the bugs that are planted in it. */
const kinds = {
  plain: {
    play: run,
    bugs: plantedBugs.map((bug) => ({ ...bug, finds: (seed: number) => run(optionsOf(bug, seed)) }))
  },
  store: {
    play: runArchived,
    bugs: plantedStoreBugs.map((bug) => ({
      ...bug,
      finds: (seed: number) => runArchived(archivedOptionsOf(bug, seed))
    }))
  },
  consumers: {
    play: runConsumed,
    bugs: plantedConsumerBugs.map((bug) => ({
      ...bug,
      finds: (seed: number) => runConsumed(consumedOptionsOf(bug, seed))
    }))
  },
  world: {
    play: runWorld,
    bugs: plantedWorldBugs.map((bug) => ({ ...bug, finds: (seed: number) => runWorld(worldOptionsOf(bug, seed)) }))
  }
}

type Kind = keyof typeof kinds

/** A worker reports after so many seeds. */
const batch = 16
/** Nobody reads more failures than this at once. */
const failuresMax = 5

interface Share {
  readonly kind: Kind
  readonly from: number
  readonly to: number
  readonly stride: number
}

interface Report {
  readonly seeds: number
  readonly operations: number
  readonly failures: ReadonlyArray<{ readonly seed: number; readonly message: string }>
}

const print = (text: string): void => void process.stdout.write(text)

/** What the runtime keeps for doorbells that were silenced is given back between two turns of the event loop. */
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const work = async ({ from, kind, stride, to }: Share): Promise<void> => {
  let report = { seeds: 0, operations: 0, failures: [] as Array<Report["failures"][number]> }
  const send = async () => {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a message port has no origin
    parentPort?.postMessage(report satisfies Report)
    report = { seeds: 0, operations: 0, failures: [] }
    await nextTurn()
  }
  for (let seed = from; seed < to; seed += stride) {
    const { operations, violation } = kinds[kind].play({ seed })
    report.seeds += 1
    report.operations += operations
    if (violation !== undefined) report.failures.push({ seed, message: violation.message })
    if (report.seeds === batch) await send()
  }
  await send()
}

const runAll = async (from: number, seeds: number, jobs: number, kind: Kind): Promise<number> => {
  const begun = performance.now()
  let done = 0
  let operations = 0
  const failures: Array<Report["failures"][number]> = []
  const workers = Array.from({ length: jobs }, (_, job) => {
    const share: Share = { kind, from: from + job, to: from + seeds, stride: jobs }
    return new Worker(new URL(import.meta.url), { workerData: share })
  })
  const progress = () => {
    const seconds = (performance.now() - begun) / 1000
    return `${done} of ${seeds} seeds from ${from}, ${operations} disk operations, ${failures.length} failures, ` +
      `${(done / seconds).toFixed(0)} seeds/s`
  }
  const ticking = setInterval(() => print(process.stdout.isTTY ? `\r${progress()}  ` : `${progress()}\n`), 5000)
  await Promise.all(workers.map((worker) =>
    new Promise<void>((resolve, reject) => {
      worker.on("message", (report: Report) => {
        done += report.seeds
        operations += report.operations
        failures.push(...report.failures)
        for (const { message, seed } of report.failures) print(`\nseed ${seed}: ${message}\n`)
        if (failures.length >= failuresMax) { for (const other of workers) void other.terminate() }
      })
      worker.once("error", reject)
      worker.once("exit", () => resolve())
    })
  ))
  clearInterval(ticking)
  print(`${progress()}\n`)
  return failures.length === 0 ? 0 : 1
}

const runOne = (seed: number, isVerbose: boolean, kind: Kind): number => {
  const played = kinds[kind].play({ seed, isVerbose })
  const { hash, lines, operations, violation } = played
  if (isVerbose && "scenario" in played) print(`${JSON.stringify(played.scenario, undefined, 2)}\n`)
  if (isVerbose) print(`${lines.join("\n")}\n`)
  print(`seed ${seed}: ${operations} disk operations, trace ${hash}\n`)
  print(`${violation === undefined ? "passed" : violation.stack}\n`)
  return violation === undefined ? 0 : 1
}

/** A bug that is not found by then needs a `focus`. */
const plantedSeedsMax = 20_000

const findPlanted = async (kind: Kind): Promise<number> => {
  let missed = 0
  const { bugs } = kinds[kind]
  for (const { finds, name, seedFirst = 1, seedsMax } of bugs) {
    const findsFrom = async (from: number): Promise<number | undefined> => {
      for (let seed = from; seed < from + plantedSeedsMax; seed++) {
        if (seed % batch === 0) await nextTurn()
        if (finds(seed).violation !== undefined) return seed
      }
    }
    const near = await findsFrom(seedFirst)
    const isNear = near !== undefined && near < seedFirst + seedsMax
    if (!isNear) missed += 1
    print(`${isNear ? "      " : "MISSED"} ${String(near).padStart(6)} from ${seedFirst}: ${name}\n`)
  }
  return missed === 0 ? 0 : 1
}

if (isMainThread) {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "1000" },
      from: { type: "string", default: "1" },
      jobs: { type: "string", default: String(availableParallelism()) },
      seed: { type: "string" },
      planted: { type: "boolean", default: false },
      store: { type: "boolean", default: false },
      consumers: { type: "boolean", default: false },
      world: { type: "boolean", default: false },
      verbose: { type: "boolean", default: false }
    }
  })
  const kind: Kind = values.store ? "store" : values.consumers ? "consumers" : values.world ? "world" : "plain"
  process.exitCode = values.planted
    ? await findPlanted(kind)
    : values.seed === undefined
    ? await runAll(Number(values.from), Number(values.seeds), Number(values.jobs), kind)
    : runOne(Number(values.seed), values.verbose, kind)
} else {
  await work(workerData)
}
