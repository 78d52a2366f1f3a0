/**
 * Measures what many logs of one process cost, and whether they disturb each other: threads, resident memory a log, and
 * the time of five rounds of a commit in each log, for 1, 8, 64 and 128 logs in fibers and in threads; and how long a
 * commit in a quiet log takes alone and while another log floods. Each row comes from a process of its own.
 *
 * It measures what is installed, so build first (from TypeScript sources every thread also loads Node's type stripping):
 *
 * ```sh
 * npm run build && node bench/harness/manyLogs.ts [rows of HOST:LOGS, such as fiber:8 thread:64]
 * ```
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as References from "effect/References"
import { execFileSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { stat } from "node:fs/promises"
import { loadavg, tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import type * as EffectWal from "../../src/index.ts"
import { percentiles } from "./Statistics.ts"

const root = join(import.meta.dirname, "../..")
const wal: typeof EffectWal = await import(join(root, "dist/index.js"))

class Events extends wal.Wal.Service<Events>()("bench/Events") {}

const mebibyte = 1024 * 1024
const rounds = 5
/** A small log: its arena is 1 MiB. */
const small = { segmentBytesMax: mebibyte / 4, slots: 4 }
/** In each of six rounds of each kind, in turn: a slow moment of the machine slows all. */
const quietCommits = 100
const quietRounds = 6
const quietPauseMillis = 3

interface Row {
  readonly host: string
  readonly logs: number
  readonly threads: number
  readonly mebibytesPerLog: number
  readonly openMillis: number
  readonly roundsMillis: number
  readonly closeMillis: number
  readonly p99MillisAlone: number
  readonly p99MillisBesideAppends: number
  readonly p99MillisBesideCommits: number
  readonly loadAverage: number | undefined
}

const threadsNow = (): number => readdirSync("/proc/self/task").length
const residentMebibytes = (): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024
const rounded = (value: number): number => Math.round(value * 100) / 100

const openLog = async (host: string, directory: string, options: object = small) => {
  const given = { directory, limits: { maxSegments: 8, maxCompressedSegments: 4 }, ...options }
  const runtime = ManagedRuntime.make(
    (host === "fiber" ? Events.layer(given) : Events.layerWorker(given)).pipe(
      Layer.provide(wal.NodeDisk.layer),
      Layer.provideMerge(Layer.succeed(References.MinimumLogLevel, "Error"))
    )
  )
  const log = await runtime.runPromise(Events)
  await runtime.runPromise(log.appendDurable(new Uint8Array(256)))
  return { log, run: runtime.runPromise.bind(runtime), close: () => runtime.dispose() }
}

type OpenLog = Awaited<ReturnType<typeof openLog>>

/** How long single commits take in a log that has nothing else to do. */
const commitMillis = async ({ log, run }: OpenLog): Promise<ReadonlyArray<number>> => {
  const millis: Array<number> = []
  for (let commit = 0; commit < quietCommits; commit++) {
    const begun = performance.now()
    await run(log.appendDurable(new Uint8Array(256)))
    millis.push(performance.now() - begun)
    await setTimeout(quietPauseMillis)
  }
  return millis
}

/** Runs `flood` in a log while `measure` runs. */
const beside = async <A>({ log, run }: OpenLog, flood: Effect.Effect<unknown, unknown>, measure: () => Promise<A>) => {
  const stop = new AbortController()
  const flooding = run(flood, { signal: stop.signal }).catch(() => {})
  await setTimeout(200)
  const result = await measure()
  stop.abort()
  await flooding
  await run(log.flush)
  return result
}

const measure = async (host: string, logs: number): Promise<Row> => {
  const directory = mkdtempSync(join(tmpdir(), "effect-wal-many-logs-"))
  const open: Array<OpenLog> = []
  try {
    // Node's own threads for files have started.
    await Promise.all(Array.from({ length: 64 }, () => stat(".")))
    const before = { threads: threadsNow(), resident: residentMebibytes() }
    let begun = performance.now()
    open.push(
      ...await Promise.all(Array.from({ length: logs }, (_, log) => openLog(host, join(directory, String(log)))))
    )
    const openMillis = performance.now() - begun
    begun = performance.now()
    for (let round = 0; round < rounds; round++) {
      await Promise.all(open.map(({ log, run }) => run(log.appendDurable(new Uint8Array(256)))))
    }
    const roundsMillis = performance.now() - begun
    await setTimeout(1000)
    const after = { threads: threadsNow(), resident: residentMebibytes() }
    const quiet = open[0]!
    const flooded = await openLog(host, join(directory, "flood"), { segmentBytesMax: 16 * mebibyte })
    open.push(flooded)
    const event = new Uint8Array(1024)
    const hundred = Array.from({ length: 100 }, () => event)
    const appends = Effect.forever(Effect.andThen(flooded.log.appendEach(hundred), Effect.yieldNow))
    const callers = Array.from({ length: 64 }, () => Effect.forever(flooded.log.appendDurable(event)))
    const commits = Effect.all(callers, { concurrency: "unbounded" })
    await commitMillis(quiet)
    const found: Record<"alone" | "appends" | "commits", Array<number>> = { alone: [], appends: [], commits: [] }
    for (let round = 0; round < quietRounds; round++) {
      found.alone.push(...await commitMillis(quiet))
      found.appends.push(...await beside(flooded, appends, () => commitMillis(quiet)))
      found.commits.push(...await beside(flooded, commits, () => commitMillis(quiet)))
    }
    const p99 = (millis: ReadonlyArray<number>): number => rounded(percentiles(Float64Array.from(millis))["p99"]!)
    begun = performance.now()
    await Promise.all(open.splice(0).map(({ close }) => close()))
    return {
      host,
      logs,
      threads: after.threads - before.threads,
      mebibytesPerLog: rounded((after.resident - before.resident) / logs),
      openMillis: Math.round(openMillis),
      roundsMillis: Math.round(roundsMillis),
      closeMillis: Math.round(performance.now() - begun),
      p99MillisAlone: p99(found.alone),
      p99MillisBesideAppends: p99(found.appends),
      p99MillisBesideCommits: p99(found.commits),
      loadAverage: loadavg()[0]
    }
  } finally {
    for (const { close } of open) await close()
    rmSync(directory, { recursive: true, force: true })
  }
}

const [host, logs] = process.env["EFFECT_WAL_MANY_LOGS"]?.split(":") ?? []
if (host !== undefined) process.stdout.write(`${JSON.stringify(await measure(host, Number(logs)))}\n`)
else {
  const all = ["fiber", "thread"].flatMap((host) => [1, 8, 64, 128].map((logs) => `${host}:${logs}`))
  const rows = process.argv.slice(2)
  for (const row of rows.length > 0 ? rows : all) {
    const env = { ...process.env, EFFECT_WAL_MANY_LOGS: row }
    execFileSync(process.execPath, [import.meta.filename], { stdio: "inherit", env })
  }
}
