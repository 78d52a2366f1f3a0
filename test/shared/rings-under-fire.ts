/**
 * Rings under fire: one producer and several consumers in worker threads. Consumers are killed at random moments and
 * started again. Every task is accounted for.
 *
 *     node test/shared/rings-under-fire.ts --items 50000000 --consumers 4 --kills 20
 */
import { pathToFileURL } from "node:url"
import { parseArgs } from "node:util"
import { Worker } from "node:worker_threads"
import * as TaskRing from "../../src/shared/TaskRing.ts"
import { bytesOf, type ConsumerData, millisOf, slotOf } from "./ringAccounts.ts"

export interface FireReport {
  readonly lost: number
  readonly torn: number
  /** Tasks worked on more than once: at most one for each kill. */
  readonly repeated: number
  readonly kills: number
  readonly itemsPerSecond: number
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

export const fire = async (options: {
  readonly items: number
  readonly consumers: number
  readonly kills: number
}): Promise<FireReport> => {
  const { consumers, items } = options
  const buffer = new SharedArrayBuffer(TaskRing.bytesNeeded(1024, consumers))
  const ring = TaskRing.makeUnsafe(buffer, 0, { capacity: 1024, consumersMax: consumers })
  const counts = new Uint8Array(new SharedArrayBuffer(items))
  const torn = new Int32Array(new SharedArrayBuffer(4))
  const failures: Array<unknown> = []

  const start = (consumer: number) => {
    const workerData: ConsumerData = { buffer, consumer, counts, torn }
    const worker = new Worker(new URL("./ringConsumer.ts", import.meta.url), { workerData })
    worker.on("error", (error) => failures.push(error))
    const online = new Promise<void>((resolve) => worker.once("online", resolve))
    const exited = new Promise<void>((resolve) => worker.once("exit", () => resolve()))
    return { worker, online, exited }
  }
  const workers = Array.from({ length: consumers }, (_, consumer) => start(consumer))
  await Promise.all(workers.map((worker) => worker.online))

  let kills = 0
  const producing = new AbortController()
  const killing = (async () => {
    while (!producing.signal.aborted && kills < options.kills) {
      const consumer = Math.floor(Math.random() * consumers)
      await workers[consumer]!.worker.terminate()
      kills++
      workers[consumer] = start(consumer)
      await workers[consumer].online
      const until = performance.now() + Math.random() * 20
      while (!producing.signal.aborted && performance.now() < until) await turn()
    }
  })()

  const startedAt = performance.now()
  const pause = new Int32Array(new SharedArrayBuffer(4))
  let index = 0
  while (index < items) {
    const until = Math.min(index + 50_000, items)
    let refused = 0
    while (index < until && refused < 2000) {
      if (TaskRing.offerUnsafe(ring, index, slotOf(index), bytesOf(index), millisOf(index))) index++
      else if (++refused % 100 === 0) Atomics.wait(pause, 0, 0, 0.05)
    }
    if (failures.length > 0) throw failures[0]
    await turn()
  }
  producing.abort()
  await killing
  TaskRing.endUnsafe(ring)
  await Promise.all(workers.map((worker) => worker.exited))
  const seconds = (performance.now() - startedAt) / 1000
  if (failures.length > 0) throw failures[0]

  let lost = 0
  let repeated = 0
  for (const count of counts) {
    if (count === 0) lost++
    if (count > 1) repeated += count - 1
  }
  return { lost, torn: torn[0]!, repeated, kills, itemsPerSecond: Math.round(items / seconds) }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({
    options: {
      items: { type: "string", default: "50000000" },
      consumers: { type: "string", default: "4" },
      kills: { type: "string", default: "20" }
    }
  })
  const kills = Number(values.kills)
  const report = await fire({ items: Number(values.items), consumers: Number(values.consumers), kills })
  process.stdout.write(`${JSON.stringify(report)}\n`)
  if (report.lost > 0 || report.torn > 0 || report.repeated > report.kills) process.exitCode = 1
}
