/**
 * The durable holds of a maintainer: reads the positions in the directory when it starts, gives each to its owner, and
 * makes a move durable before retention may pass it.
 *
 * - A start holds everything for each position until the recorder has told where the log ends. Then each position holds
 *   from the event after it. One that is not intact, or ahead of the log, is reported; it is taken back to the oldest
 *   event that is left, durably and before anything is recorded, so that later events cannot make it look right.
 * - One owner at a time moves a position, in this process or in another: it has the lock of the name.
 * - Positions without an owner here are read again every few seconds, since the command line may change or remove them.
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { Disk } from "../disk/Disk.ts"
import type { DiskError } from "../disk/Disk.ts"
import { positionIn, positionLockName } from "../disk/FileNames.ts"
import * as PositionStore from "../disk/PositionStore.ts"
import type { StoredPosition } from "../disk/PositionStore.ts"
import { eventIdMax } from "../format/Limits.ts"
import { requireWhole } from "../internal/arguments.ts"
import { lastSegmentUpTo, makeDirectoryReader, startOf } from "../reading/DirectoryReader.ts"
import * as Arena from "../shared/Arena.ts"
import type { DurableHoldEntry } from "./retention/DurableHolds.ts"
import type { MaintainerState } from "./retention/MaintainerState.ts"

/**
 * A durable hold, for its owner. The owner's scope ends the ownership; the hold stays.
 *
 * @since 0.1.0
 * @category models
 */
export interface DurableHold {
  /** The last event that is no longer needed, as the directory has it. */
  readonly eventId: Effect.Effect<number>
  /**
   * Events up to this one are no longer needed. Durable when it succeeds, and not passed by retention before. Never
   * moves back. After the owner's scope has closed it is a defect.
   */
  readonly moveTo: (eventId: number) => Effect.Effect<void, DiskError>
}

/** Whose position it is, where it begins, and what it holds at most. */
interface NewDurableHold {
  readonly name: string
  /** The position of a name that has none. Default: before the oldest event that is left. */
  readonly initialEventId: number | undefined
  readonly maxLagBytes: number | undefined
  readonly maxLagMillis: number | undefined
}

/** The durable holds of the maintainer with this state. */
export const make = (state: MaintainerState, disk: Disk["Service"]) => {
  const { arena, catalog, directory, durableHolds } = state
  const onDisk = Effect.provideService(Disk, disk)
  /** The last event of the log at the start; `undefined` until it is known. */
  let endId: number | undefined
  /** Positions of which no segment could be found, because the disk has failed. */
  const unplaced = new Set<DurableHoldEntry>()
  /** Positions that were taken back, and for which a full disk had no room. */
  const unwritten = new Set<DurableHoldEntry>()
  /** Positions that could not be read at the start: until they can, what they say is from before it. */
  const unread = new Set<string>()
  const told = new Set<string>()

  const tell = (name: string, what: string) =>
    Effect.suspend(() => {
      if (told.has(name + what)) return Effect.void
      told.add(name + what)
      return Effect.logWarning(`the position ${name} ${what}`)
    })

  /** The oldest event that nothing is about to delete. A segment that does not tell may have the first. */
  const oldestLeft = Effect.gen(function*() {
    const reader = yield* makeDirectoryReader(directory)
    for (const { segmentIndex, state } of catalog.list()) {
      if (state === "freeing") continue
      const start = yield* Effect.catchTag(
        startOf(reader, segmentIndex),
        "SegmentCorrupt",
        () => Effect.succeed({ firstEventId: 1 })
      )
      if (start?.firstEventId !== undefined) return start.firstEventId
    }
    return (endId ?? 0) + 1
  })

  /** Finds the segment from which a position holds. Until then it holds more. */
  const place = (hold: DurableHoldEntry) =>
    Effect.flatMap(makeDirectoryReader(directory), (reader) => lastSegmentUpTo(reader, hold.eventId + 1)).pipe(
      Effect.map((segmentIndex = 0) => {
        unplaced.delete(hold)
        hold.fromSegmentIndex = Math.max(hold.fromSegmentIndex, segmentIndex)
      }),
      Effect.catch(({ message }) => {
        unplaced.add(hold)
        return tell(hold.name, `holds everything, because the directory cannot be read: ${message}`)
      })
    )

  const isAhead = (name: string, eventId: number): boolean =>
    endId !== undefined && arena !== undefined &&
    eventId > (unread.has(name) ? endId : Math.max(endId, Arena.durableEventId(arena)))

  /** What the file of a name has, if that is believed, and what is wrong with it otherwise. */
  const believed = Effect.fnUntraced(function*(name: string) {
    const { fault, position } = yield* PositionStore.read(directory.path, name)
    if (position === undefined || !isAhead(name, position.eventId)) return { position, wrong: fault, isTooFar: false }
    const wrong = `names event ${position.eventId}, and the log has only come to ${endId}`
    return { position: undefined, wrong, isTooFar: true }
  })

  const set = (
    hold: DurableHoldEntry,
    { eventId, maxLagBytes, maxLagMillis }: { readonly eventId: number } & Partial<DurableHoldEntry>
  ): void => {
    if (eventId < hold.eventId) hold.fromSegmentIndex = 0
    Object.assign(hold, { eventId, maxLagBytes, maxLagMillis })
  }

  const stored = (
    { eventId, maxLagBytes, maxLagMillis, name }: Omit<NewDurableHold, "initialEventId"> & { readonly eventId: number }
  ): StoredPosition => ({
    name,
    eventId,
    ...(maxLagBytes === undefined ? {} : { maxLagBytes }),
    ...(maxLagMillis === undefined ? {} : { maxLagMillis })
  })

  /** Takes a position that is ahead of the log back, so that later events cannot make it look right. */
  const takeBack = Effect.fnUntraced(function*(hold: DurableHoldEntry) {
    const eventId = (yield* oldestLeft) - 1
    set(hold, { ...hold, eventId })
    yield* Effect.catchReason(
      PositionStore.write(directory.path, stored(hold)),
      "DiskError",
      "Full",
      // To remove needs no room. A start does not wait for a full disk, and the position is written when it has room.
      () => {
        unwritten.add(hold)
        return PositionStore.remove(directory.path, hold.name)
      }
    )
  })

  /** Reads the position of a name that nobody owns here. */
  const learn = Effect.fnUntraced(
    function*(name: string) {
      const { isTooFar, position, wrong } = yield* believed(name)
      const hold = durableHolds.of(name)
      if (hold.isOwned) return
      if (endId !== undefined) unread.delete(name)
      if (position !== undefined) {
        set(hold, position)
      } else if (wrong === "") {
        durableHolds.remove(name)
      } else {
        yield* tell(name, `is not believed, so it holds everything, and begins with the oldest event: ${wrong}`)
        set(hold, { eventId: 0 })
        if (isTooFar) yield* takeBack(hold)
      }
    },
    (learning, name) =>
      Effect.catch(learning, ({ message }) => {
        if (endId === undefined) unread.add(name)
        return tell(name, `holds everything, because it cannot be read: ${message}`)
      })
  )

  const writeLater = (hold: DurableHoldEntry) =>
    PositionStore.write(directory.path, stored(hold)).pipe(
      Effect.map(() => void unwritten.delete(hold)),
      Effect.ignore
    )

  return {
    /** Holds everything for each position in the directory, and learns its bound. */
    begin: (names: ReadonlyArray<string>) =>
      onDisk(Effect.gen(function*() {
        for (const name of names.flatMap((fileName) => positionIn(fileName) ?? [])) {
          durableHolds.of(name)
          yield* learn(name)
          const hold = durableHolds.get(name)
          // With a recorder the end of the log is not known yet.
          if (hold !== undefined && arena === undefined) yield* place(hold)
        }
        durableHolds.isReady = arena === undefined
      })),
    /** The recorder has found that the log ends with this event. */
    endsWith: (eventId: number) =>
      onDisk(Effect.gen(function*() {
        endId = eventId
        for (const name of durableHolds.names) {
          const hold = durableHolds.of(name)
          if (isAhead(name, hold.eventId)) {
            yield* tell(
              name,
              `is ahead of the log, which ends with event ${eventId}: it names ${hold.eventId}, is not believed, and ` +
                "begins with the oldest event"
            )
            yield* takeBack(hold)
          }
          yield* place(hold)
        }
        durableHolds.isReady = true
        state.retain()
      })),
    /** Reads again what somebody else may have changed. To be called every few seconds. */
    lookAgain: onDisk(Effect.gen(function*() {
      if (arena !== undefined && endId === undefined) return
      for (const name of durableHolds.names) {
        const hold = durableHolds.of(name)
        const before = hold.eventId
        if (!hold.isOwned) yield* unwritten.has(hold) ? writeLater(hold) : learn(name)
        durableHolds.note(hold)
        const isKept = durableHolds.get(name) === hold
        if (isKept && (hold.eventId !== before || unplaced.has(hold))) yield* place(hold)
      }
    })),
    /** Takes the position of a name, for as long as the scope lives. */
    own: Effect.fnUntraced(function*({ initialEventId, maxLagBytes, maxLagMillis, name }: NewDurableHold) {
      yield* disk.lock(directory.pathOf(positionLockName(name)))
      let hasEnded = false
      const isNew = durableHolds.get(name) === undefined
      const hold = yield* Effect.acquireRelease(
        Effect.sync(() => {
          const hold = durableHolds.of(name)
          hold.isOwned = true
          return hold
        }),
        (hold) =>
          Effect.sync(() => {
            hasEnded = true
            hold.isOwned = false
            state.retain()
          })
      )
      const begin = Effect.gen(function*() {
        const { isTooFar, position, wrong } = yield* believed(name)
        if (wrong !== "") yield* tell(name, `is not believed, and begins with the oldest event: ${wrong}`)
        if (isTooFar) yield* takeBack(hold)
        const known = position?.eventId ?? (isTooFar || unwritten.has(hold) ? hold.eventId : undefined)
        const eventId = known ?? (wrong === "" ? initialEventId : undefined) ?? (yield* oldestLeft) - 1
        const next = stored({ name, eventId, maxLagBytes, maxLagMillis })
        const isSame = position !== undefined && position.eventId === eventId &&
          position.maxLagBytes === maxLagBytes && position.maxLagMillis === maxLagMillis
        if (!isSame) yield* PositionStore.write(directory.path, next)
        unwritten.delete(hold)
        unread.delete(name)
        set(hold, next)
        yield* place(hold)
        state.retain()
      })
      yield* Effect.onError(onDisk(begin), () =>
        Effect.sync(() => {
          if (isNew) durableHolds.remove(name)
        }))
      const oneWriter = Semaphore.makeUnsafe(1)
      const owned: DurableHold = {
        eventId: Effect.sync(() => hold.eventId),
        moveTo: (eventId) =>
          Effect.suspend(() => {
            requireWhole("eventId", eventId, 0, eventIdMax)
            if (hasEnded) throw new TypeError(`the position ${name} is moved after the scope of its owner has closed`)
            if (eventId <= hold.eventId) return Effect.void
            const move = Effect.gen(function*() {
              yield* PositionStore.write(directory.path, stored({ ...hold, eventId }))
              hold.eventId = eventId
              hold.isExceeded = false
              durableHolds.note(hold)
              yield* learnFirstIds(hold)
              state.retain()
            })
            return onDisk(Effect.uninterruptible(move))
          }).pipe(oneWriter.withPermits(1))
      }
      return owned
    })
  }

  /** Reads where the segments begin that the position may have passed, and of which that is not known. */
  function learnFirstIds(hold: DurableHoldEntry): Effect.Effect<void, never, Disk> {
    return Effect.gen(function*() {
      let reader: Effect.Success<ReturnType<typeof makeDirectoryReader>> | undefined
      for (const { firstEventId, segmentIndex, state } of durableHolds.later(hold)) {
        if (firstEventId !== undefined && firstEventId > hold.eventId + 1) return
        if (firstEventId !== undefined || state === "open") continue
        reader ??= yield* makeDirectoryReader(directory)
        const start = yield* startOf(reader, segmentIndex)
        if (start?.firstEventId === undefined) continue
        catalog.update(segmentIndex, { firstEventId: start.firstEventId })
        if (start.firstEventId > hold.eventId + 1) return
      }
    }).pipe(Effect.ignore)
  }
}

/** The durable holds of a maintainer. */
export type DurableHolding = ReturnType<typeof make>
