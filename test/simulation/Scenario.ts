/**
 * What a seed stands for: how the recorder is set up, how the disk misbehaves, and how each life of the process ends.
 */
import * as Duration from "effect/Duration"
import type { ResolvedLimits } from "../../src/maintainer/retention/Retention.ts"
import type { WalOptions } from "../../src/recorder/Wal.ts"
import type { SeededRandom } from "../../src/testing/SeededRandom.ts"
import type { Faults } from "../../src/testing/SimulatedDisk.ts"

/** How the executors of the maintainer live: as fibers of the process, or as threads whose reports arrive later. */
export type Hosting = "fibers" | "threads"

/** Numbers here. */
type Size = "segmentBytesMax" | "blockBytesMax" | "eventSize"

export interface Scenario {
  readonly wal: Omit<WalOptions, Size> & { readonly limits: ResolvedLimits } & { readonly [K in Size]?: number }
  readonly executors: number
  readonly hosting: Hosting
  /** Tasks run in an order that is drawn, and fibers are preempted. */
  readonly isShuffled: boolean
  /** What the disk does wrong while it is not healed. */
  readonly faults: Faults
  readonly hasFaults: boolean
  readonly lives: number
  /** Steps of the workload in a life, on the average. */
  readonly steps: number
  readonly eventBytesMax: number
}

export const directory = "/wal"

/** A slot holds whole events only. */
export const slotBytesOf = ({ wal }: Pick<Scenario, "wal">): number => {
  const eventSize = wal.format === 1 ? 64 : wal.eventSize ?? 0
  const segmentBytes = wal.segmentBytesMax ?? 4096
  return eventSize === 0 ? segmentBytes : Math.floor(segmentBytes / eventSize) * eventSize
}

/** The length of a full segment. */
export const fullBytesOf = (scenario: Pick<Scenario, "wal">): number =>
  scenario.wal.format === 1
    ? 64 + 16_448 * Math.max(16, Math.ceil(slotBytesOf(scenario) / 16_384) + 2)
    : 128 + slotBytesOf(scenario)

/** As large as a disk that works. */
export const diskBytes = 2 ** 40

const pick = <A>(random: SeededRandom, choices: readonly [A, ...Array<A>]): A =>
  choices[random.below(choices.length)] ?? choices[0]

export const drawLimits = (random: SeededRandom): ResolvedLimits =>
  random.chance(0.1) ? drawAgeLimit(random) : ({
    maxSegments: 2 + random.below(5),
    maxCompressedSegments: random.chance(0.2) ? "unlimited" : 4 + random.below(4),
    ...(random.chance(0.15) ? { bytesMax: 300 + random.below(6000) } : {}),
    ...(random.chance(0.15) ? { ageMax: Duration.millis(pick(random, [50, 1000, 20_000])) } : {}),
    ...(random.chance(0.08) ? { freeBytesMin: diskBytes - random.below(8000) } : {})
  })

/** Nothing but age deletes, so whatever is deleted was as old as that. */
const drawAgeLimit = (random: SeededRandom): ResolvedLimits => ({
  maxSegments: 2 + random.below(5),
  maxCompressedSegments: "unlimited",
  ageMax: Duration.millis(pick(random, [50, 1000, 20_000]))
})

/** By how far the wall clock is set, forward or back, in milliseconds. */
export const drawClockJump = (random: SeededRandom): number =>
  (random.chance(0.5) ? 1 : -1) * random.below(pick(random, [100, 3_600_000, 30 * 86_400_000]))

const drawFaults = (random: SeededRandom): Faults => {
  const rate = () => random.chance(0.4) ? pick(random, [0.005, 0.02, 0.1]) : 0
  return {
    errorRates: {
      open: rate(),
      read: rate(),
      write: rate(),
      truncate: rate(),
      sync: rate(),
      stat: rate(),
      list: rate(),
      rename: rate(),
      unlink: rate(),
      syncDirectory: rate()
    },
    stuckSyncRate: random.chance(0.3) ? 0.3 : 0,
    shortReadRate: rate(),
    shortWriteRate: rate(),
    slowRate: rate(),
    slowMax: pick(random, [5, 200, 3000])
  }
}

/** How the process is set up, which may change from life to life; only the format stays. */
const drawSetup = (
  random: SeededRandom,
  isFormat1: boolean
): Pick<Scenario, "wal" | "executors" | "hosting" | "eventBytesMax"> => {
  const eventSize = isFormat1 ? 64 : random.chance(0.6) ? 0 : pick(random, [8, 24, 64])
  const segmentBytesMax = isFormat1 ? 64 * (1 + random.below(20)) : pick(random, [128, 300, 700, 2000, 20_000])
  const blockBytesMax = Math.max(eventSize, 64 + random.below(segmentBytesMax))
  return {
    wal: {
      directory,
      format: isFormat1 ? 1 : 2,
      segmentBytesMax,
      slots: 2 + random.below(3),
      eventSize,
      blockBytesMax,
      limits: drawLimits(random),
      compression: random.chance(0.75) ? "frame" : "block",
      commit: pick(random, ["onCommit", "onCommit", "onTimer", "onRotate"]),
      strategy: pick(random, ["suspend", "suspend", "dropping", "dropping"]),
      onHotLimit: random.chance(0.7) ? "wait" : "exceed",
      flushEvery: random.chance(0.3) ? 20 + random.below(200) : 0,
      restartsMax: random.chance(0.8) ? 1000 : random.below(3),
      reserveBytes: random.chance(0.2) ? 4096 : 0,
      onDiskFailure: random.chance(0.5) ? "wait" : "fail",
      ...(random.chance(0.25) ? { drainMax: pick(random, [0, 5, 100, 3000]) } : {})
    },
    executors: random.chance(0.7) ? 1 : 2 + random.below(2),
    hosting: random.chance(0.5) ? "fibers" : "threads",
    eventBytesMax: eventSize > 0 ? eventSize : Math.min(Math.min(blockBytesMax, segmentBytesMax) - 4, 200)
  }
}

export const drawScenario = (random: SeededRandom): Scenario => ({
  ...drawSetup(random, random.chance(0.1)),
  hasFaults: random.chance(0.5),
  isShuffled: random.chance(0.7),
  faults: drawFaults(random),
  ...(random.chance(0.15)
    ? { lives: 4 + random.below(12), steps: pick(random, [1, 3]) }
    : { lives: 1 + random.below(2), steps: pick(random, [2, 5, 12]) })
})

/** The next life of the process, which may be set up anew. */
export const drawNextScenario = (random: SeededRandom, before: Scenario): Scenario =>
  random.chance(0.6) ? before : { ...before, ...drawSetup(random, before.wal.format === 1) }
