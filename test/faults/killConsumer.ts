/**
 * Kills a program whose log has consumers, at random moments under load, and holds what they had done, which stands in
 * files that survive the kill, to what is promised:
 *
 * 1. No event is lost to a consumer: in every life it continues at most right after what it has done, and in the end it has
 *    done every event.
 * 2. A position never names what is not done.
 * 3. What a durable position has passed is never handed out again: neither what the program was told, nor what the file said
 *    when a life began.
 *
 * ```text
 * node test/faults/killConsumer.ts --kills 200 --layer fiber|worker [--format 1|2] [--seed S]
 * ```
 *
 * Retention deletes beside the consumers, in some lives before they are back.
 */
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { setTimeout as delay } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as PositionStore from "../../src/disk/PositionStore.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import { program } from "../programs.ts"
import type { ConsumingOptions } from "./consuming.ts"
import { withDirectory } from "./harness.ts"
import { consumerNames } from "./workload.ts"

/** What many kills came to. */
export interface ConsumerKillReport {
  readonly kills: number
  readonly events: number
  /** Events that were done more than once, over all consumers. */
  readonly again: number
  /** The oldest segment that is left. */
  readonly oldestSegment: number
  readonly millis: number
}

/** What a consumer had done before a life, or in all of them. */
class Account {
  readonly name: string
  /** Every event up to this one is done. */
  through = 0
  /** Positions that were durable: the highest. */
  durable = 0
  again = 0
  readonly #done = new Set<number>()
  #lines = 0

  constructor(name: string) {
    this.name = name
  }

  #fail(words: string): never {
    throw new Error(`${this.name} ${words}`)
  }

  /** What the last life has done, by its file; `said` is what it was told of its position. */
  read(work: string, said: number): void {
    // A line may be cut off by the kill; what it stands for counts as not done.
    const lines = readFileSync(join(work, `${this.name}.done`), "latin1").split("\n").slice(0, -1)
    for (const line of lines.slice(this.#lines)) {
      if (line.startsWith("after ")) {
        const position = Number(line.slice("after ".length))
        if (position > this.through) this.#fail(`begins after ${position}, and only ${this.through} is done`)
        if (position < this.durable) this.#fail(`begins after ${position}, and ${this.durable} was durable`)
        this.durable = position
        continue
      }
      const id = Number(line)
      if (id <= this.durable) this.#fail(`was given ${id} again, and ${this.durable} was durable`)
      if (id <= this.through || this.#done.has(id)) this.again += 1
      else this.#done.add(id)
      while (this.#done.delete(this.through + 1)) this.through += 1
    }
    this.#lines = lines.length
    if (said > this.through) this.#fail(`was told that ${said} is done, and only ${this.through} is`)
    this.durable = Math.max(this.durable, said)
  }

  /** The position, as its file has it while nobody runs. */
  async look(directory: string): Promise<void> {
    const { fault, position } = await Effect.runPromise(
      Effect.provide(PositionStore.read(directory, this.name), NodeDisk.layer)
    )
    if (fault !== "") this.#fail(`has a position that is not intact: ${fault}`)
    if (position === undefined) return
    if (position.eventId > this.through) {
      this.#fail(`has the position ${position.eventId}, and only ${this.through} is done`)
    }
    if (position.eventId < this.durable) {
      this.#fail(`has the position ${position.eventId}, and ${this.durable} was durable`)
    }
    this.durable = position.eventId
  }
}

/** Runs the program until it ends or is killed after so many milliseconds from when it has opened its log, or has begun. */
const run = async (options: ConsumingOptions, kill?: { readonly isOpen: boolean; readonly millis: number }) => {
  const child = spawn(process.execPath, [program("consuming"), JSON.stringify(options)], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  const said = new Map<string, number>()
  const heard = { wrong: "", isOpen: false, hasEnded: false }
  createInterface({ input: child.stdout }).on("line", (line) => {
    const [word, name = "", id = ""] = line.split(" ")
    if (word === "open") heard.isOpen = true
    if (word === "end") heard.hasEnded = true
    if (word === "wrong") heard.wrong = line
    if (word === "acknowledged") said.set(name, Math.max(said.get(name) ?? 0, Number(id)))
  })
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()))
  if (kill !== undefined) {
    while (kill.isOpen && !heard.isOpen && child.exitCode === null) await delay(2)
    await delay(kill.millis)
    child.kill("SIGKILL")
  }
  await ended
  if (heard.wrong !== "") throw new Error(heard.wrong)
  if (kill === undefined && !heard.hasEnded) throw new Error(`it ended with ${child.exitCode}`)
  return said
}

/** Kills so often; throws with the first promise that is broken. */
export const killConsumer = (options: {
  readonly kills: number
  readonly layer: "fiber" | "worker"
  readonly format: 1 | 2
  readonly seed: number
  readonly onKill?: (done: number, through: number) => void
}): Promise<ConsumerKillReport> => {
  const { format, kills, layer, seed } = options
  const random = new SeededRandom(seed)
  const begun = performance.now()
  return withDirectory(`kill-consumer-${layer}-${seed}`, async (directory) => {
    const work = join(directory, "../work")
    mkdirSync(work)
    for (const name of consumerNames) writeFileSync(join(work, `${name}.done`), "")
    const accounts = consumerNames.map((name) => new Account(name))
    const life = (given: Partial<ConsumingOptions> = {}): ConsumingOptions => ({
      directory,
      work,
      layer,
      format,
      seed,
      behaviourSeed: random.uint32(),
      ...given
    })
    const settle = async (said: ReadonlyMap<string, number>): Promise<void> => {
      for (const account of accounts) {
        account.read(work, said.get(account.name) ?? 0)
        await account.look(directory)
      }
    }
    for (let done = 1; done <= kills; done++) {
      try {
        // Most lives are long enough for every consumer to do something.
        const millis = random.below(random.chance(0.3) ? 300 : 3000)
        await settle(await run(life(), { isOpen: random.chance(0.9), millis }))
      } catch (cause) {
        throw new Error(`kill ${done}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
      }
      options.onKill?.(done, Math.min(...accounts.map(({ through }) => through)))
    }
    const events = Math.max(...accounts.map(({ through }) => through)) + 500
    await settle(await run(life({ eventsMax: events })))
    for (const { name, through } of accounts) {
      if (through < events) throw new Error(`${name} has done ${through} of ${events} in the end`)
    }
    const segments = readdirSync(directory).flatMap((name) => /^FS\.(\d+)\.wal/.exec(name)?.[1] ?? []).map(Number)
    return {
      kills,
      events: Math.min(...accounts.map(({ through }) => through)),
      again: accounts.reduce((sum, { again }) => sum + again, 0),
      oldestSegment: Math.min(...segments),
      millis: Math.round(performance.now() - begun)
    }
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "200" },
      layer: { type: "string", default: "worker" },
      format: { type: "string", default: "2" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) }
    }
  })
  const layer = values.layer === "worker" ? "worker" : "fiber"
  const format = values.format === "1" ? 1 : 2
  process.stdout.write(`seed ${values.seed}, ${layer} layer, format ${format}\n`)
  const report = await killConsumer({
    kills: Number(values.kills),
    layer,
    format,
    seed: Number(values.seed),
    onKill: (done, through) => {
      if (done % 20 === 0) process.stdout.write(`${done} kills, ${through} events\n`)
    }
  })
  process.stdout.write(`${JSON.stringify(report)}\n`)
}
