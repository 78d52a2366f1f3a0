/**
 * When a state machine writes a snapshot, which of them it begins with, and which it keeps.
 *
 * The order of effects of a new snapshot: every event that is in it is durable; its file is durable, with its name;
 * only then may retention delete the events up to the snapshot before it; and last the older ones are removed. So at
 * every moment either of the two newest snapshots can be lost to damage, and the events after the other one are in the
 * log.
 */
import * as Effect from "effect/Effect"
import type { Disk, DiskError } from "../disk/Disk.ts"
import { snapshotName } from "../disk/FileNames.ts"
import type { DurableHold } from "../maintainer/DurableHolding.ts"
import * as SnapshotStore from "./SnapshotStore.ts"
import type { FoundSnapshot, SnapshotHead } from "./SnapshotStore.ts"

/** At which amounts of events since the last snapshot the next one is due. */
interface SnapshotEvery {
  readonly bytes: number
  readonly events: number
}

/** The least events, in bytes, after which a snapshot is written by default. */
const defaultBytesMin = 16 * 1024 * 1024

/** A snapshot that is kept. */
interface KeptSnapshot {
  readonly eventId: number
  readonly bytes: number
  /** Whether its name is known to be durable. */
  readonly isRenewed: boolean
}

/** The snapshots of one machine. */
export class Snapshots {
  readonly #directory: string
  readonly #of: Omit<SnapshotHead, "format" | "eventId">
  readonly #every: SnapshotEvery | undefined
  #newest: KeptSnapshot | undefined
  #bytes = 0
  #events = 0
  #bytesAtNewest = 0
  #eventsAtNewest = 0

  constructor(
    directory: string,
    of: Omit<SnapshotHead, "format" | "eventId">,
    every: SnapshotEvery | undefined
  ) {
    this.#directory = directory
    this.#of = of
    this.#every = every
  }

  /** The newest one; `undefined` when there is none. */
  get newest(): Pick<KeptSnapshot, "eventId" | "bytes"> | undefined {
    return this.#newest
  }

  /**
   * Gives the newest snapshot that `use` takes; `undefined` when there is none. `use` gives a text that tells why a
   * snapshot cannot be used. `notUsed` is called with each that is not. Those of events after the end of the log are
   * removed, because later events would make them look right.
   */
  load<A, E, R>(
    endId: number,
    use: (snapshot: FoundSnapshot) => Effect.Effect<{ readonly state: A } | string, E, R>,
    notUsed: (file: string, why: string) => Effect.Effect<void>
  ): Effect.Effect<{ readonly state: A; readonly eventId: number } | undefined, E | DiskError, R | Disk> {
    return Effect.gen({ self: this }, function*() {
      const { name, walId } = this.#of
      const eventIds = yield* SnapshotStore.list(this.#directory, name)
      const ahead = eventIds.filter((eventId) => eventId > endId)
      for (const eventId of eventIds) {
        const found = eventId > endId
          ? `the log ends with event ${endId}`
          : yield* SnapshotStore.read(this.#directory, name, eventId)
        const used = typeof found === "string"
          ? found
          : found.head.walId !== walId
          ? "it is of another log"
          : yield* use(found)
        if (typeof used !== "string" && typeof found !== "string") {
          this.#newest = { eventId, bytes: found.bytes, isRenewed: false }
          yield* SnapshotStore.remove(this.#directory, name, ahead)
          return { state: used.state, eventId }
        }
        yield* notUsed(snapshotName(name, eventId), String(used))
      }
      yield* SnapshotStore.remove(this.#directory, name, ahead)
      return undefined
    })
  }

  /** An event of so many bytes was applied. Returns whether a snapshot is due. */
  count(bytes: number): boolean {
    this.#bytes += bytes
    this.#events += 1
    return this.isDue
  }

  get isDue(): boolean {
    const bytes = this.#bytes - this.#bytesAtNewest
    const events = this.#events - this.#eventsAtNewest
    // So many bytes of events as the last snapshot has: what is written for snapshots is never more than the log.
    if (this.#every === undefined) return bytes >= Math.max(defaultBytesMin, this.#newest?.bytes ?? 0)
    return bytes >= this.#every.bytes || events >= this.#every.events
  }

  /**
   * Begins a snapshot of the state after this event, of which this is the JSON. What is returned writes it, and must
   * run only after that event is durable.
   */
  take(eventId: number, state: string): {
    readonly bytes: number
    readonly write: (hold: DurableHold) => Effect.Effect<void, DiskError, Disk>
  } {
    const { name } = this.#of
    const file = SnapshotStore.encode({ ...this.#of, eventId }, state)
    const [bytes, events] = [this.#bytes, this.#events]
    const write = Effect.fnUntraced({ self: this }, function*(hold: DurableHold) {
      yield* SnapshotStore.write(this.#directory, { name, eventId }, file)
      const older = this.#newest
      this.#newest = { eventId, bytes: file.length, isRenewed: true }
      this.#bytesAtNewest = bytes
      this.#eventsAtNewest = events
      if (older === undefined) return
      if (!older.isRenewed) yield* SnapshotStore.renew(this.#directory, name, older.eventId)
      yield* hold.moveTo(older.eventId)
      const found = yield* SnapshotStore.list(this.#directory, name)
      const kept = [eventId, older.eventId]
      yield* SnapshotStore.remove(this.#directory, name, found.filter((found) => !kept.includes(found)))
    })
    return { bytes: file.length, write }
  }
}
