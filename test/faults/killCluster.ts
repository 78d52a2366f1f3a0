/**
 * Kills a cluster under load, again and again, and holds its log to what its callers were told: no message that was
 * accepted is lost, and none is processed again after its answer, or the result of its activity, was acknowledged.
 *
 * ```text
 * node test/faults/killCluster.ts --kills 50 --seed 1 --layer fiber|worker
 * ```
 *
 * Every life sends some of the messages and workflows of earlier lives again. They get the answer that they had. The last
 * life is not killed: it sends all of them again, and every one gets an answer.
 */
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { setTimeout as delay } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import { program } from "../programs.ts"
import type { ClusterVictimOptions } from "./clusterVictim.ts"
import { hangMillis, withDirectory } from "./harness.ts"

/** What many kills came to. */
export interface ClusterKillReport {
  readonly kills: number
  readonly accepted: number
  readonly answered: number
  readonly workflows: number
  readonly activities: number
  /** Messages that were processed in more than one life: each was killed before its answer was acknowledged. */
  readonly repeated: number
  readonly millis: number
}

/** What callers and entities have told in all lives so far. */
class Witness {
  readonly accepted = new Set<number>()
  readonly processed = new Map<number, number>()
  /** With the life in which it was processed. */
  readonly answered = new Map<number, string>()
  readonly completed = new Map<number, string>()
  readonly begun = new Set<number>()
  readonly done = new Set<string>()
  /** Of lives before the present one. */
  #answeredBefore = new Set<number>()
  #doneBefore = new Set<string>()
  #completedBefore = new Set<number>()
  highest = 0
  repeated = 0

  nextLife(): void {
    this.#answeredBefore = new Set(this.answered.keys())
    this.#doneBefore = new Set(this.done)
    this.#completedBefore = new Set(this.completed.keys())
  }

  /** Throws when a line breaks a promise. */
  hear(line: string, life: number): void {
    const [word = "", first = "", second = ""] = line.split(" ")
    const number = Number(first)
    if (Number.isInteger(number)) this.highest = Math.max(this.highest, number)
    switch (word) {
      case "accepted":
        this.accepted.add(number)
        return
      case "processing": {
        if (this.#answeredBefore.has(number)) throw new Error(`message ${number} is processed again after its answer`)
        const before = this.processed.get(number)
        if (before === life) throw new Error(`message ${number} is processed twice in one life`)
        if (before !== undefined) this.repeated += 1
        this.processed.set(number, life)
        return
      }
      case "answered": {
        const before = this.answered.get(number)
        if (before !== undefined && before !== second) {
          throw new Error(`message ${number} was answered by life ${before}, and now by ${second}`)
        }
        if (!this.processed.has(number)) throw new Error(`message ${number} was answered, and nobody processed it`)
        this.answered.set(number, second)
        return
      }
      case "step": {
        const key = `${first} ${second}`
        if (this.#doneBefore.has(key) || this.#completedBefore.has(number)) {
          throw new Error(`step ${second} of workflow ${first} is executed again after its result`)
        }
        this.begun.add(number)
        return
      }
      case "did":
        this.done.add(`${first} ${second}`)
        return
      case "completed":
        if (second !== "10") throw new Error(`workflow ${first} came to ${second}`)
        this.completed.set(number, second)
        return
    }
  }
}

/** Kills so often; throws with the first promise that is broken. */
export const killCluster = (options: {
  readonly kills: number
  readonly layer: "fiber" | "worker"
  readonly seed: number
  readonly onKill?: (done: number) => void
}): Promise<ClusterKillReport> => {
  const random = new SeededRandom(options.seed)
  const begun = Date.now()
  return withDirectory(`kill-cluster-${options.layer}-${options.seed}`, async (directory) => {
    const witness = new Witness()
    const life = async (number: number, isLast: boolean): Promise<void> => {
      witness.nextLife()
      const some = <A>(values: Iterable<A>) => [...values].filter(() => isLast || random.chance(0.05))
      const given: ClusterVictimOptions = {
        directory,
        layer: options.layer,
        seed: random.uint32(),
        life: number,
        firstNumber: witness.highest + 1,
        again: some(new Set([...witness.accepted, ...witness.answered.keys()])),
        workflowsAgain: some(witness.begun),
        isLast
      }
      const child = spawn(process.execPath, [program("clusterVictim"), JSON.stringify(given)], {
        stdio: ["ignore", "pipe", "pipe"]
      })
      const kill = () => child.kill("SIGKILL")
      let stderr = ""
      let broken: unknown
      const heard = { lines: 0 }
      child.stderr.on("data", (data) => {
        stderr = (stderr + String(data)).slice(-20_000)
      })
      createInterface({ input: child.stdout }).on("line", (line) => {
        heard.lines += 1
        try {
          witness.hear(line, number)
        } catch (cause) {
          broken ??= cause
        }
      })
      const hang = setTimeout(kill, hangMillis)
      const ended = new Promise<number | null>((resolve, reject) => {
        child.once("error", reject)
        child.once("close", resolve)
      })
      if (!isLast) {
        // Some are killed while they open, the others when they have told so much.
        const linesMax = random.below(400)
        if (random.chance(0.15)) await delay(random.below(1500))
        else while (heard.lines < linesMax && child.exitCode === null) await delay(2)
        kill()
      }
      const exitCode = await ended
      clearTimeout(hang)
      if (broken !== undefined) throw broken
      if (exitCode !== (isLast ? 0 : null)) throw new Error(`life ${number} ended with ${exitCode}\n${stderr}`)
    }
    for (let done = 1; done <= options.kills; done++) {
      await life(done, false).catch((cause: unknown) => {
        throw new Error(`kill ${done}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
      })
      options.onKill?.(done)
    }
    // Of others, that were saved and had not begun, the last life is not told.
    const begunWorkflows = [...witness.begun]
    await life(options.kills + 1, true)
    for (const number of witness.accepted) {
      if (!witness.processed.has(number)) throw new Error(`message ${number} was accepted, and nobody processed it`)
      if (!witness.answered.has(number)) throw new Error(`message ${number} was accepted, and has no answer`)
    }
    for (const number of begunWorkflows) {
      if (!witness.completed.has(number)) throw new Error(`workflow ${number} was begun, and did not end`)
    }
    return {
      kills: options.kills,
      accepted: witness.accepted.size,
      answered: witness.answered.size,
      workflows: witness.completed.size,
      activities: witness.done.size,
      repeated: witness.repeated,
      millis: Date.now() - begun
    }
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "50" },
      layer: { type: "string", default: "worker" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) }
    }
  })
  const layer = values.layer === "fiber" ? "fiber" : "worker"
  process.stdout.write(`seed ${values.seed}, ${layer} layer\n`)
  const report = await killCluster({
    kills: Number(values.kills),
    layer,
    seed: Number(values.seed),
    onKill: (done) => {
      if (done % 10 === 0) process.stdout.write(`${done} kills\n`)
    }
  })
  process.stdout.write(`${JSON.stringify(report)}\n`)
}
