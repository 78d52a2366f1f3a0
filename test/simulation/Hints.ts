/**
 * What becomes of the hints in a directory between two lives: their bits rot, they are lost, or an old one is back. The
 * directory decides, so the next life must be as if nothing had happened.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { openScoped, removeIfThere, writeFully } from "../../src/disk/Disk.ts"
import { Disk } from "../../src/disk/Disk.ts"
import type { SeededRandom } from "../../src/testing/SeededRandom.ts"
import type { SimulatedDisk } from "../../src/testing/SimulatedDisk.ts"
import { directory } from "./Scenario.ts"

const hints = [`${directory}/wal_meta.dat`, `${directory}/wal_verified.json`] as const

/** Spoils hints, and remembers what they were. */
export class HintSpoiler {
  readonly #simulated: SimulatedDisk["Service"]
  readonly #random: SeededRandom
  readonly #before = new Map<string, Uint8Array>()

  constructor(simulated: SimulatedDisk["Service"], random: SeededRandom) {
    this.#simulated = simulated
    this.#random = random
  }

  /** What was done, in words; empty when nothing was. */
  spoil(): string {
    const path = hints[this.#random.below(4) === 0 ? 1 : 0]
    const now = Effect.runSync(this.#simulated.files).get(path)
    const before = this.#before.get(path)
    if (now === undefined) return ""
    this.#before.set(path, Uint8Array.from(now))
    const draw = this.#random.below(10)
    if (draw < 7) {
      const isRotten = Exit.isSuccess(Effect.runSyncExit(this.#simulated.rotBits(path, 1 + this.#random.below(2))))
      return isRotten ? `bits of ${path} rot` : ""
    }
    if (draw === 7 || before === undefined) return this.#put(path, undefined) ? `${path} is lost` : ""
    return this.#put(path, before) ? `${path} is an old one` : ""
  }

  /** Whether the disk let it be done. */
  #put(path: string, bytes: Uint8Array | undefined): boolean {
    const put = Effect.gen(function*() {
      yield* removeIfThere(path)
      if (bytes === undefined) return
      const file = yield* openScoped(path, "create")
      yield* writeFully(file, [bytes], 0)
      yield* file.sync
    })
    const onDisk = Effect.provideService(Effect.scoped(put), Disk, this.#simulated.disk)
    return Exit.isSuccess(Effect.runSyncExit(onDisk))
  }
}
