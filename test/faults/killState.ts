/**
 * Kills a program that updates a state machine over a log that is trimmed, again and again, and holds the machine that is
 * opened next to what the program had been answered: every event of it, in order, each batch whole.
 *
 * ```text
 * node test/faults/killState.ts --kills 100 [--layer fiber|worker] [--seed S]
 * ```
 *
 * The program is this file, with `--victim DIRECTORY`. It writes `open COUNT` and, for each answer, `answered COUNT`.
 */
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { setTimeout as delay } from "node:timers/promises"
import { parseArgs } from "node:util"
import { isOwnName } from "../../src/disk/FileNames.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import * as StateMachine from "../../src/state/StateMachine.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"

/** `left`: how many events of its batch come after it. */
const Step = Schema.Struct({ by: Schema.Int, left: Schema.Int })
class Steps extends Wal.Service<Steps>()("test/Steps", { event: Step }) {}

const State = Schema.Struct({ count: Schema.Int, digest: Schema.Int, left: Schema.Int })

const next = (digest: number, by: number): number => (Math.imul(digest, 31) + by) | 0

/** The event at a place follows from the place, so the state of so many events does, too. */
const stepAt = (place: number): number => Math.imul(place, 2_654_435_761) | 0

const machineIn = Effect.flatMap(Steps, (log) =>
  StateMachine.make({
    log,
    state: State,
    initial: { count: 0, digest: 0, left: 0 },
    apply: ({ count, digest }, { by, left }) => ({ count: count + 1, digest: next(digest, by), left }),
    snapshotEvery: { events: 500 }
  }))

const logIn = (directory: string, layer: string) => {
  const options = {
    directory,
    segmentBytesMax: "16KiB" as const,
    limits: { maxSegments: 2, maxCompressedSegments: 4 }
  }
  return layer === "worker" ? Steps.layerWorker(options) : Steps.layer(options)
}

const say = (line: string): void => {
  writeSync(1, `${line}\n`)
}

const victim = Effect.gen(function*() {
  const machine = yield* machineIn
  say(`open ${yield* machine.read(({ count }) => count)}`)
  const update = Effect.suspend(() => {
    const length = 1 + Math.floor(Math.random() * 5)
    return Effect.map(
      machine.update(({ count }) => [
        count + length,
        Array.from({ length }, (_, at) => ({ by: stepAt(count + 1 + at), left: length - 1 - at }))
      ]),
      (count) => say(`answered ${count}`)
    )
  })
  yield* Effect.forEach(Array.from({ length: 20 }), () => Effect.forever(update), { concurrency: "unbounded" })
})

const runIn = <A, E>(directory: string, layer: string, program: Effect.Effect<A, E, Steps | Scope.Scope>) =>
  Effect.runPromise(program.pipe(
    Effect.scoped,
    Effect.provide(logIn(directory, layer)),
    Effect.provide(NodeDisk.layer),
    Effect.provideService(References.MinimumLogLevel, "None")
  ))

/** Opens the machine that a killed program has left; gives how many events it has. Throws what is wrong. */
const look = async (directory: string, layer: string, answered: number): Promise<number> => {
  const { count, digest, left } = await runIn(directory, layer, Effect.flatMap(machineIn, ({ get }) => get))
  if (count < answered) throw new Error(`event ${answered} was answered, and the state has ${count}`)
  if (left > 0) throw new Error(`the state ends with event ${count}, and ${left} more are of its batch`)
  let expected = 0
  for (let place = 1; place <= count; place++) expected = next(expected, stepAt(place))
  if (digest !== expected) throw new Error(`the state of ${count} events is another`)
  return count
}

const kill = async (kills: number, layer: string, seed: number): Promise<void> => {
  const random = new SeededRandom(seed)
  const directory = mkdtempSync(join(tmpdir(), `kill-state-${layer}-${seed}-`))
  let count = 0
  for (let done = 1; done <= kills; done++) {
    const arguments_ = [import.meta.filename, "--victim", directory, "--layer", layer]
    const child = spawn(process.execPath, arguments_, { stdio: ["ignore", "pipe", "inherit"] })
    let answered = count
    let isOpen = false
    createInterface({ input: child.stdout }).on("line", (line) => {
      isOpen = true
      answered = Math.max(answered, Number(line.split(" ")[1]))
    })
    const ended = new Promise((resolve) => child.once("close", resolve))
    if (random.chance(0.8)) { while (!isOpen && child.exitCode === null) await delay(2) }
    await delay(random.below(300))
    if (child.exitCode !== null) throw new Error(`kill ${done}: it ended by itself with ${child.exitCode}`)
    child.kill("SIGKILL")
    await ended
    count = await look(directory, layer, answered).catch((cause: unknown) => {
      throw new Error(`kill ${done}, in ${directory}: ${String(cause)}`, { cause })
    })
  }
  const strangers = readdirSync(directory).filter((name) => !name.includes(".wal") && !isOwnName(name))
  if (strangers.length > 0) throw new Error(`nobody owns ${strangers.join()}`)
  rmSync(directory, { recursive: true })
  say(`${kills} kills (${layer}): ${count} events, each answer kept, each batch whole`)
}

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "20" },
    layer: { type: "string", default: "fiber" },
    seed: { type: "string", default: "1" },
    victim: { type: "string" }
  }
})
if (values.victim !== undefined) await runIn(values.victim, values.layer, victim)
else await kill(Number(values.kills), values.layer, Number(values.seed))
