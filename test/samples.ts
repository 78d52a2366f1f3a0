/**
 * Samples: what is drawn at random, and could be drawn without end. `npm test` plays each for a few seconds, but never
 * fewer cases than show something: every other one from seed 1 on, the others from a seed that nobody has seen. `npm
 * run test:long` plays each for minutes or hours, and goes on where the last long run ended.
 *
 * A case that fails ends the test with its seed, and `EFFECT_WAL_SEED` plays that one alone.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setImmediate as nextTurn } from "node:timers/promises"
import type { TestContext } from "vitest"

export interface Sample {
  readonly file: string
  /** What is counted. */
  readonly cases: string
  /** `npm test` plays for so long, and at least so many; 0: only the long run plays it. */
  readonly seconds: number
  readonly atLeast: number
  /** Its share of a long run's time is this many times that of another. */
  readonly weight?: number
}

export const samples = {
  simulation: { file: "simulation/simulation", cases: "simulated runs", seconds: 1, atLeast: 20, weight: 6 },
  archivedSimulation: {
    file: "simulation/archive/archivedSimulation",
    cases: "simulated runs with a store",
    seconds: 0.5,
    atLeast: 6,
    weight: 4
  },
  consumedSimulation: {
    file: "simulation/consumers/consumedSimulation",
    cases: "simulated runs with consumers",
    seconds: 0.5,
    atLeast: 6,
    weight: 4
  },
  worldSimulation: {
    file: "simulation/world/worldSimulation",
    cases: "worlds of machines with one store",
    seconds: 1,
    atLeast: 2,
    weight: 6
  },
  schedules: { file: "maintainer/random-schedules", cases: "schedules", seconds: 1, atLeast: 200, weight: 3 },
  simulatedCrashes: { file: "testing/SimulatedCrash", cases: "lives of a disk", seconds: 0.5, atLeast: 40 },
  judged: { file: "judges/independent", cases: "logs read by two readers", seconds: 0.5, atLeast: 10, weight: 2 },
  stateCrashes: { file: "state/crashes", cases: "lives of state machines", seconds: 1, atLeast: 4, weight: 2 },
  segmentFuzz: { file: "reading/segment/SegmentFuzz", cases: "changed files", seconds: 0.3, atLeast: 500 },
  frameFuzz: { file: "format/lz4/Lz4FrameDecoder", cases: "damaged frames", seconds: 0.5, atLeast: 1000 },
  locks: { file: "disk/LockSocket", cases: "contests for a lock", seconds: 0.5, atLeast: 60 },
  room: { file: "maintainer/persist/Format1Room", cases: "races", seconds: 0.5, atLeast: 300 },
  rings: { file: "shared/rings-under-fire", cases: "rings with killed consumers", seconds: 0.5, atLeast: 1 },
  interleavings: { file: "shared/interleavings", cases: "larger explorations", seconds: 0, atLeast: 0 },
  telemetry: { file: "telemetry/TelemetryThreads", cases: "bursts", seconds: 0.5, atLeast: 1 },
  follow: { file: "recorder/Follow", cases: "followed logs", seconds: 0, atLeast: 0 },
  killsFiber: { file: "faults/kill", cases: "logs under kill -9 (fiber)", seconds: 0, atLeast: 1, weight: 2 },
  killsWorker: { file: "faults/kill", cases: "logs under kill -9 (worker)", seconds: 0, atLeast: 1, weight: 2 },
  injectionsFiber: { file: "faults/inject", cases: "failing calls (fiber)", seconds: 0.5, atLeast: 4, weight: 2 },
  injectionsWorker: { file: "faults/inject", cases: "failing calls (worker)", seconds: 0.5, atLeast: 4, weight: 2 },
  openings: { file: "recorder/openings", cases: "processes that open and close", seconds: 0, atLeast: 1 },
  filesystems: { file: "faults/filesystems", cases: "broken file systems", seconds: 0, atLeast: 0, weight: 2 }
} as const satisfies Record<string, Sample>

export type SampleName = keyof typeof samples

/** In a long run, for how many milliseconds a sample of weight 1 plays. */
export const longVariable = "EFFECT_WAL_LONG_MILLIS"

const longMillis = process.env[longVariable]

export const isLong = longMillis !== undefined

/** Where it is kept how far each sample is. */
export const longFolder = join(import.meta.dirname, "../node_modules/.cache/effect-wal-long")

/** How far a sample is in the long run. */
export interface Progress {
  readonly next: number
  readonly done: number
  readonly failures: ReadonlyArray<{ readonly seed: number; readonly message: string }>
}

/** More failures than this are not looked for. */
const failuresMax = 10
/** How far a long run is, is kept this often. */
const keepMillis = 2000
/** The event loop turns at least this often, so that the runner hears of the test. */
const turnMillis = 50

const messageOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

const unseen = (): number => 1_000_000 + Math.floor(Math.random() * 2 ** 31)

export const readProgress = (name: SampleName): Progress | undefined => {
  try {
    return JSON.parse(readFileSync(join(longFolder, `${name}.json`), "utf8"))
  } catch {
    return undefined
  }
}

const keepProgress = (name: SampleName, progress: Progress): void => {
  mkdirSync(longFolder, { recursive: true })
  const path = join(longFolder, `${name}.json`)
  writeFileSync(`${path}.tmp`, JSON.stringify(progress))
  renameSync(`${path}.tmp`, path)
}

/** The command that plays one case again. */
export const repetition = (name: SampleName, seed: number, inLongRun = isLong): string =>
  `${inLongRun ? `${longVariable}=0 ` : ""}EFFECT_WAL_SEED=${seed} npx vitest run test/${samples[name].file}`

type Play = (seed: number) => unknown

const playLong = async (name: SampleName, play: Play): Promise<number> => {
  const { weight = 1 }: Sample = samples[name]
  const until = performance.now() + Number(longMillis) * weight
  const before = readProgress(name)
  let { done, failures, next } = before ?? { next: unseen(), done: 0, failures: [] }
  const failed = failures.length
  let keptAt = 0
  do {
    try {
      await play(next)
    } catch (cause) {
      failures = [...failures, { seed: next, message: messageOf(cause) }]
    }
    next += 1
    done += 1
    if (performance.now() - keptAt > keepMillis) {
      keepProgress(name, { next, done, failures })
      keptAt = performance.now()
      await nextTurn()
    }
  } while (performance.now() < until && failures.length - failed < failuresMax)
  keepProgress(name, { next, done, failures })
  const news = failures.slice(failed)
  if (news.length > 0) {
    throw new Error(
      news.map(({ message, seed }) => `seed ${seed}: ${message}\n${repetition(name, seed)}`).join("\n\n")
    )
  }
  return done - (before?.done ?? 0)
}

const playShort = async (name: SampleName, play: Play): Promise<number> => {
  const { atLeast, seconds }: Sample = samples[name]
  const begun = performance.now()
  const spent = () => performance.now() - begun
  let turnedAt = 0
  let known = 1
  let fresh = unseen()
  let done = 0
  while (done < atLeast || spent() < seconds * 1000) {
    const seed = done % 2 === 0 ? known++ : fresh++
    try {
      await play(seed)
    } catch (cause) {
      throw new Error(`seed ${seed}: ${messageOf(cause)}\n${repetition(name, seed)}`, { cause })
    }
    done += 1
    if (spent() - turnedAt > turnMillis) {
      await nextTurn()
      turnedAt = spent()
    }
  }
  return done
}

/** Plays a sample, and says how many cases it has played; returns that. */
export const playSample = async (name: SampleName, annotate: TestContext["annotate"], play: Play): Promise<number> => {
  const only = process.env["EFFECT_WAL_SEED"]
  if (only !== undefined) {
    await play(Number(only))
    return 1
  }
  const done = isLong ? await playLong(name, play) : await playShort(name, play)
  await annotate(`${done} ${samples[name].cases}`, "sample")
  return done
}
