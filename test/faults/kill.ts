/**
 * Kills a recording program at random moments, again and again in the same directory, and holds what is left to what the
 * program had called durable. Of ten kills three come at any time, three in a freeze (when one of its names
 * comes or goes, or up to some milliseconds later), and four in the opening (when it first shows in the directory, or up
 * to some milliseconds later), three of them in a row.
 *
 * ```text
 * node test/faults/kill.ts --kills 200 --layer fiber|worker [--seed S]
 * ```
 *
 * After every kill the directory is verified and replayed as it was left, and has no more segments than the limits allow;
 * after four of ten it is also opened for recording, closed in order, and verified and replayed again. A seed repeats what
 * is recorded and what is planned; the moments themselves are the machine's.
 */
import { watch } from "node:fs"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import { coldWorth, inspect, leftovers, reopen, startVictim, withDirectory } from "./harness.ts"
import type { Testimony } from "./harness.ts"
import type { VictimOptions } from "./victim.ts"
import { endsInsideBatch } from "./workload.ts"

/** What many kills came to. */
export interface KillReport {
  readonly kills: number
  /** Kills before the victim had opened the directory. */
  readonly duringOpening: number
  /** Kills while a `.lz4.tmp` was there. */
  readonly duringFreeze: number
  /** Victims that had something to promise. */
  readonly withPromises: number
  readonly lastId: number
  readonly millis: number
}

const segmentBytes = [64 * 1024, 256 * 1024, 4 * 1024 * 1024]
const limits = { maxSegments: 3, maxCompressedSegments: 4 }

type Moment = "opening" | "any" | "freezing"

/** When each of ten kills comes; `reopens` says after which the directory is opened in between. */
const plan: ReadonlyArray<{ readonly moment: Moment; readonly reopens: boolean }> = [
  { moment: "any", reopens: false },
  { moment: "freezing", reopens: true },
  { moment: "any", reopens: false },
  { moment: "freezing", reopens: false },
  { moment: "opening", reopens: true },
  { moment: "any", reopens: false },
  { moment: "freezing", reopens: true },
  { moment: "opening", reopens: false },
  { moment: "opening", reopens: false },
  { moment: "opening", reopens: true }
]

/** The names that come and go in a freeze, each the sign of another place in its order of effects. */
const freezeEndings = [".wal.lz4.tmp", ".wal.lz4", ".wal"]

/** Opening a directory takes about so long, 400 ms of recording are enough, and a freeze and its deletions fit in 25 ms. */
const delayMillisMax: Record<Moment, number> = { opening: 40, any: 400, freezing: 25 }

/** Runs the victim until it is killed at such a moment; the whole process group dies at once. */
const killOnce = async (options: VictimOptions, moment: Moment, random: SeededRandom): Promise<Testimony> => {
  // Every other one of those that wait for a sign comes at once.
  const delayMillis = moment !== "any" && random.chance(0.5) ? -1 : random.below(delayMillisMax[moment])
  const victim = startVictim(options, {
    // The shell makes it a tree of processes; the group is killed, so nobody is left to tidy up.
    command: ["/bin/sh", "-c", "\"$@\"; exit $?", "sh"],
    onLine: (line, victim) => {
      if (moment === "any" && line.startsWith("open ")) setTimeout(victim.kill, delayMillis)
    }
  })
  const ending = freezeEndings[random.below(freezeEndings.length)]!
  const watcher = moment === "any" ? undefined : watch(options.directory, (event, name) => {
    if (moment === "freezing" && (event !== "rename" || name?.endsWith(ending) !== true)) return
    watcher?.close()
    if (delayMillis < 0) victim.kill()
    else setTimeout(victim.kill, delayMillis)
  })
  try {
    return await victim.ended
  } finally {
    watcher?.close()
  }
}

/** Kills so often; throws with the first promise that is broken. */
export const kill = async (options: {
  readonly kills: number
  readonly layer: "fiber" | "worker"
  readonly seed: number
  readonly onKill?: (done: number, lastId: number) => void
}): Promise<KillReport> => {
  const random = new SeededRandom(options.seed)
  const begun = Date.now()
  const counts = { duringOpening: 0, duringFreeze: 0, withPromises: 0 }
  let promised = 0
  let lastId = 0
  await withDirectory(`kill-${options.layer}-${options.seed}`, async (directory) => {
    for (let done = 1; done <= options.kills; done++) {
      const { moment, reopens } = plan[(done - 1) % plan.length]!
      const victimOptions: VictimOptions = {
        directory,
        layer: options.layer,
        seed: options.seed,
        behaviourSeed: random.uint32(),
        segmentBytesMax: segmentBytes[random.below(segmentBytes.length)]!,
        ...limits
      }
      const testimony = await killOnce(victimOptions, moment, random)
      const story = `kill ${done} (${moment}, ${victimOptions.segmentBytesMax} bytes a segment)`
      if (testimony.exitCode !== null && testimony.exitCode !== 137) {
        throw new Error(
          `${story}: it ended by itself with ${testimony.exitCode}: ${testimony.lines.at(-1)}\n${testimony.stderr}`
        )
      }
      if (testimony.hung) throw new Error(`${story}: it hung\n${testimony.stderr}`)
      if (testimony.opened === undefined) counts.duringOpening += 1
      else if (testimony.opened < lastId) {
        throw new Error(`${story}: it opened at ${testimony.opened}, but the log ended at ${lastId}`)
      }
      if (leftovers(directory).some((name) => name.endsWith(".lz4.tmp"))) counts.duringFreeze += 1
      if (testimony.durable > 0) counts.withPromises += 1
      promised = Math.max(promised, testimony.durable)
      const expected = { seed: options.seed, durable: promised, ...limits }
      const inspectLimits = async (): Promise<number> => {
        const remains = await inspect(directory, expected)
        const { coldSegments, hotSegments, lastId } = remains
        // The limits of this start, or of the one before, whose segments were larger or smaller.
        const worth = Math.min(...segmentBytes.map((bytes) => coldWorth(remains, bytes)))
        if (hotSegments > limits.maxSegments || worth > limits.maxCompressedSegments) {
          throw new Error(`there are ${hotSegments} hot and ${coldSegments} cold segments, ${worth} full ones' worth`)
        }
        if (endsInsideBatch(options.seed, lastId)) throw new Error(`the log ends at ${lastId}, inside a batch`)
        return lastId
      }
      try {
        lastId = await inspectLimits()
        if (reopens) {
          const opened = await reopen(victimOptions)
          if (opened !== lastId) throw new Error(`it reopened at ${opened}, but the log ended at ${lastId}`)
          const remains = await inspectLimits()
          if (remains !== lastId) throw new Error(`${lastId} events before the reopening, ${remains} after`)
          const left = leftovers(directory)
          if (left.length > 0) throw new Error(`nobody owns ${left.join(", ")}`)
        }
      } catch (error) {
        throw new Error(`${story}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
      }
      options.onKill?.(done, lastId)
    }
  })
  return { kills: options.kills, ...counts, lastId, millis: Date.now() - begun }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "200" },
      layer: { type: "string", default: "fiber" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) }
    }
  })
  const layer = values.layer === "worker" ? "worker" : "fiber"
  process.stdout.write(`seed ${values.seed}, ${layer} layer\n`)
  const report = await kill({
    kills: Number(values.kills),
    layer,
    seed: Number(values.seed),
    onKill: (done, lastId) => {
      if (done % 20 === 0) process.stdout.write(`${done} kills, ${lastId} events\n`)
    }
  })
  process.stdout.write(`${JSON.stringify(report)}\n`)
}
