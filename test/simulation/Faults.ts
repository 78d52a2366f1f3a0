/**
 * What the disk does wrong in a life: it is spoiled, in one of several ways, and healed again.
 */
import * as Effect from "effect/Effect"
import type { Disk } from "../../src/disk/Disk.ts"
import type { SeededRandom } from "../../src/testing/SeededRandom.ts"
import type { SimulatedDisk } from "../../src/testing/SimulatedDisk.ts"
import { diskBytes } from "./Scenario.ts"
import type { Scenario } from "./Scenario.ts"
import type { Trace } from "./Trace.ts"

export class Faults {
  /** The disk does nothing wrong and nothing is left of what it did wrong before. */
  isHealthy: boolean
  /** It has done something wrong in this life: errors are expected. */
  hadSome: boolean
  readonly #scenario: Scenario
  readonly #simulated: SimulatedDisk["Service"]
  readonly #disk: Disk["Service"]
  readonly #random: SeededRandom
  readonly #trace: Trace

  constructor(options: {
    readonly scenario: Scenario
    readonly simulated: SimulatedDisk["Service"]
    readonly disk: Disk["Service"]
    readonly random: SeededRandom
    readonly trace: Trace
    /** The disk does what it should when this life begins. */
    readonly isHealthy: boolean
  }) {
    this.#scenario = options.scenario
    this.#simulated = options.simulated
    this.#disk = options.disk
    this.#random = options.random
    this.#trace = options.trace
    this.isHealthy = options.isHealthy
    this.hadSome = !options.isHealthy
  }

  readonly heal: Effect.Effect<void> = Effect.suspend(() => {
    this.#trace.add("the disk is healed")
    return this.#simulated.heal.pipe(
      Effect.andThen(this.#simulated.setCapacityBytes(diskBytes)),
      // Last: the power may fail before.
      Effect.andThen(Effect.sync(() => void (this.isHealthy = true)))
    )
  })

  readonly maybeHeal: Effect.Effect<void> = Effect.suspend(() => this.#random.chance(0.5) ? this.heal : Effect.void)

  /** The disk begins to do wrong, if this scenario's ever does. */
  readonly maybeSpoil: Effect.Effect<void> = Effect.suspend(() => {
    const random = this.#random
    const simulated = this.#simulated
    if (!this.#scenario.hasFaults || random.chance(0.5)) return Effect.void
    this.isHealthy = false
    this.hadSome = true
    this.#trace.add("the disk is spoiled")
    switch (random.below(5)) {
      case 0:
        return Effect.flatMap(this.#disk.freeBytes("/"), (freeBytes) => {
          // At any byte of what is written next, or far beyond.
          const roomBytes = random.chance(0.7) ? random.below(3000) : 0
          return simulated.setCapacityBytes(Math.max(0, diskBytes - freeBytes + roomBytes))
        }).pipe(Effect.ignore)
      case 1:
        return simulated.failAlways("sync", "Io", random.chance(0.5) ? /wal\.tmp$/ : undefined)
      case 2:
        return simulated.failNext("sync", "Io")
      case 3:
        return simulated.failNext(random.chance(0.5) ? "syncDirectory" : "rename", "Io")
      default:
        return simulated.setFaults(this.#scenario.faults)
    }
  })
}
