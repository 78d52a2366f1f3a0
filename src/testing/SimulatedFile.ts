/**
 * One file of the simulated disk: what readers see (`visible`), what the device certainly has (`stored`), and the
 * writes and truncations in between (`unsynced`), in the order in which they were made.
 *
 * What survives a crash is drawn sector by sector: each 512-byte sector takes the state that it had after some prefix
 * of the unsynced changes. So a write can be kept, lost or torn, and a later write can be kept while an earlier one is
 * lost. The length of the file is drawn in the same way, independently. A byte is always old, or newly written, or a
 * zero between written bytes; nothing else can appear.
 */
import { invariant } from "../internal/invariant.ts"
import type { SeededRandom } from "./SeededRandom.ts"

/** The unit that a device writes completely or not at all, in bytes. @since 0.1.0 @category constants */
export const sectorBytes = 512

type Change =
  | { readonly kind: "write"; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly length: number }

/** A file: what readers see, what is stored, and the changes in between. */
export class SimulatedFile {
  readonly kind = "file"
  /** Identifies the file, whatever its name. */
  readonly number: number
  readonly visible = new GrowingBytes()
  readonly stored = new GrowingBytes()
  modifiedMillis: number
  /** The space of the device that the file uses: up to the last byte that was written. */
  usedBytes = 0
  /** Whether a name refers to the file. */
  isNamed = true
  openHandles = 0
  /** Whether every sync fails from now on. */
  isStuck = false
  #unsynced: Array<Change> = []

  constructor(number: number, modifiedMillis: number) {
    this.number = number
    this.modifiedMillis = modifiedMillis
  }

  get isSynced(): boolean {
    return this.#unsynced.length === 0
  }

  /** Writes the first `bytesMax` bytes of the chunks. */
  write(chunks: ReadonlyArray<Uint8Array>, offset: number, bytesMax: number): void {
    const bytes = new Uint8Array(bytesMax)
    let done = 0
    for (const chunk of chunks) {
      if (done === bytesMax) break
      const part = chunk.length <= bytesMax - done ? chunk : chunk.subarray(0, bytesMax - done)
      bytes.set(part, done)
      done += part.length
    }
    this.visible.write(bytes, offset)
    this.usedBytes = Math.max(this.usedBytes, offset + bytesMax)
    this.#unsynced.push({ kind: "write", offset, bytes })
  }

  truncate(length: number): void {
    this.visible.truncate(length)
    this.usedBytes = Math.min(this.usedBytes, length)
    this.#unsynced.push({ kind: "truncate", length })
  }

  sync(): void {
    for (const change of this.#unsynced) apply(this.stored, change)
    this.#unsynced = []
  }

  /**
   * Applies a failed sync: some of the unsynced sectors may have reached the device, the others never will. All are
   * marked clean: readers still see them until the crash, and the next sync skips them.
   */
  loseUnsynced(random: SeededRandom): void {
    this.#settle(random, random.chance(0.5) ? "nothing" : "sectors")
  }

  /** Applies a power failure: afterwards readers see what the device has. */
  crash(random: SeededRandom): void {
    this.#settle(random, fates[random.below(fates.length)]!)
    this.visible.become(this.stored)
    this.usedBytes = Math.min(this.usedBytes, this.stored.length)
    this.openHandles = 0
    this.isStuck = false
    this.isNamed = true
  }

  /**
   * Flips `bits` different bits on the device, in the bytes from `from` to `to`; returns the offsets of their bytes.
   */
  rotBits(random: SeededRandom, bits: number, { from = 0, to = Infinity } = {}): ReadonlyArray<number> {
    const length = Math.min(this.stored.length, this.visible.length, to) - from
    invariant(this.isSynced && bits <= length * 8, "bits rot in a file that is synced and has that many")
    const hit = new Set<number>()
    while (hit.size < bits) hit.add((from + random.below(length)) * 8 + random.below(8))
    return Array.from(hit, (position) => {
      const offset = Math.floor(position / 8)
      this.stored.flipBit(offset, position % 8)
      this.visible.flipBit(offset, position % 8)
      return offset
    })
  }

  #settle(random: SeededRandom, fate: Fate): void {
    const changes = this.#unsynced
    this.#unsynced = []
    if (changes.length === 0) return
    // The first `reached` changes have reached the device, and perhaps part of the next one.
    const reached = fate === "everything" ? changes.length : fate === "nothing" ? 0 : random.below(changes.length + 1)
    const tornPart = fate === "prefix" ? random.below(3) / 2 : 0
    // Of one long write the device may also have its beginning, as far as it has come.
    const next = changes[reached]
    const front = fate === "prefix" && next?.kind === "write" && random.chance(0.5)
      ? next.offset + random.below(next.bytes.length + 1)
      : undefined
    const reachedBySector = new Map<number, number>()
    const reachedOf = (sector: number): number => {
      const drawn = reachedBySector.get(sector)
      if (drawn !== undefined) return drawn
      const fresh = fate === "sectors"
        ? random.below(changes.length + 1)
        : (front === undefined ? random.chance(tornPart) : (sector + 1) * sectorBytes <= front)
        ? reached + 1
        : reached
      reachedBySector.set(sector, fresh)
      return fresh
    }
    const lengthReached = fate === "prefix" && random.chance(0.5) ? reached + 1 : reached
    let length = this.stored.length
    changes.forEach((change, index) => {
      if (index < lengthReached) {
        length = change.kind === "write" ? Math.max(length, change.offset + change.bytes.length) : change.length
      }
      if (change.kind === "truncate") {
        if (index < lengthReached) this.stored.truncate(change.length)
        return
      }
      const end = change.offset + change.bytes.length
      for (let from = change.offset; from < end;) {
        const sector = Math.floor(from / sectorBytes)
        const to = Math.min(end, (sector + 1) * sectorBytes)
        if (index < reachedOf(sector)) {
          this.stored.write(change.bytes.subarray(from - change.offset, to - change.offset), from)
        }
        from = to
      }
    })
    this.stored.truncate(length)
  }
}

/** What a crash does to the unsynced changes of one file. */
type Fate = "everything" | "nothing" | "prefix" | "sectors"
const fates: ReadonlyArray<Fate> = ["everything", "nothing", "prefix", "sectors"]

const apply = (target: GrowingBytes, change: Change): void =>
  change.kind === "write" ? target.write(change.bytes, change.offset) : target.truncate(change.length)

/** Bytes that grow at the end. Every byte after `length` is zero. */
class GrowingBytes {
  length = 0
  #bytes = new Uint8Array(0)

  get view(): Uint8Array {
    return this.#bytes.subarray(0, this.length)
  }

  write(source: Uint8Array, offset: number): void {
    const end = offset + source.length
    this.#reserve(end)
    this.#bytes.set(source, offset)
    if (end > this.length) this.length = end
  }

  /** Shortens the bytes, or extends them with zeros. */
  truncate(length: number): void {
    if (length < this.length) this.#bytes.fill(0, length, this.length)
    else this.#reserve(length)
    this.length = length
  }

  become(other: GrowingBytes): void {
    this.#bytes = other.view.slice()
    this.length = other.length
  }

  flipBit(offset: number, bit: number): void {
    invariant(offset < this.length, `byte ${offset} lies within the file`)
    this.#bytes[offset]! ^= 1 << bit
  }

  #reserve(length: number): void {
    if (length <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(length, this.#bytes.length * 2, sectorBytes))
    larger.set(this.view)
    this.#bytes = larger
  }
}
