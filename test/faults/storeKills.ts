/** Runs lives of `storeVictim.ts`, one after the other in one directory, each killed at a random moment but the last. */
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { parseArgs } from "node:util"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import { program } from "../programs.ts"
import { hangMillis, withDirectory } from "./harness.ts"
import type { StoreVictimOptions } from "./storeVictim.ts"

export interface StoreKillOptions {
  readonly kills: number
  readonly layer: "fiber" | "worker"
  readonly seed: number
  readonly onKill?: (done: number) => void
}

/** From its first answer on, a victim lives at most so long. */
const lifeMillisMax = 500
/** Every fifth is killed before, at most so long after its start. */
const openingMillisMax = 1000
/** The lines that tell of an answer. */
const answers = ["accepted", "acknowledged", "changed"]

/** Runs one life, and hands each of its lines to `onLine`. Without `dies` it must end by itself. */
const live = <Line extends { readonly type: string }>(
  options: StoreVictimOptions,
  dies: { readonly isOpening: boolean; readonly afterMillis: number } | undefined,
  onLine: (line: Line) => void
): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program("storeVictim"), JSON.stringify(options)], {
      detached: true,
      stdio: ["ignore", "pipe", "pipe"]
    })
    const kill = () => {
      try {
        process.kill(-child.pid!, "SIGKILL")
      } catch {
        // It has ended by itself.
      }
    }
    let stderr = ""
    child.stderr.on("data", (data: Buffer) => {
      stderr = (stderr + data.toString()).slice(-20_000)
    })
    const hang = setTimeout(kill, hangMillis)
    if (dies?.isOpening === true) setTimeout(kill, dies.afterMillis)
    let hasAnswer = false
    let broken: unknown
    createInterface({ input: child.stdout }).on("line", (text) => {
      let line: Line
      try {
        line = JSON.parse(text)
      } catch {
        // Cut off by the kill.
        return
      }
      if (dies?.isOpening === false && !hasAnswer && answers.includes(line.type)) {
        hasAnswer = true
        setTimeout(kill, dies.afterMillis)
      }
      try {
        onLine(line)
      } catch (error) {
        broken ??= error
        kill()
      }
    })
    child.once("error", reject)
    child.once("close", (code, signal) => {
      clearTimeout(hang)
      if (broken !== undefined) reject(broken)
      else if (dies === undefined ? code !== 0 : signal !== "SIGKILL") {
        reject(new Error(`it ended by itself with ${code ?? signal}\n${stderr}`))
      } else resolve()
    })
  })

/** Kills so often, and then lets one life end. `onLine` throws when a promise is broken. */
export const killStore = <Line extends { readonly type: string }>(
  store: StoreVictimOptions["store"],
  { kills, layer, onKill, seed }: StoreKillOptions,
  watch: {
    readonly onLine: (line: Line) => void
    /** The first number that no life has used. */
    readonly next: () => number
    /** After a life. */
    readonly onEnd: () => void
    /** Where a buffer sends to. */
    readonly origin?: string
  }
): Promise<void> => {
  const random = new SeededRandom(seed)
  return withDirectory(`kill-${store}-${layer}-${seed}`, async (directory) => {
    for (let done = 1; done <= kills + 1; done++) {
      const isOpening = done % 5 === 0
      const afterMillis = random.below(isOpening ? openingMillisMax : lifeMillisMax)
      const options = {
        store,
        layer,
        directory,
        seed: random.uint32(),
        first: watch.next(),
        drains: done > kills,
        origin: watch.origin ?? ""
      }
      try {
        await live(options, done > kills ? undefined : { isOpening, afterMillis }, watch.onLine)
        watch.onEnd()
      } catch (cause) {
        throw new Error(`life ${done}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
      }
      onKill?.(done)
    }
  })
}

/** The command line of a program that kills. */
export const runKills = async (run: (options: StoreKillOptions) => Promise<unknown>): Promise<void> => {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "200" },
      layer: { type: "string", default: "worker" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) }
    }
  })
  const layer = values.layer === "fiber" ? "fiber" : "worker"
  process.stdout.write(`seed ${values.seed}, ${layer} layer\n`)
  const report = await run({
    kills: Number(values.kills),
    layer,
    seed: Number(values.seed),
    onKill: (done) => {
      if (done % 20 === 0) process.stdout.write(`${done} kills\n`)
    }
  })
  process.stdout.write(`${JSON.stringify(report)}\n`)
}
