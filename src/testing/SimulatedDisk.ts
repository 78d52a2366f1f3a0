/**
 * A `Disk` in memory that does, from a seed, everything that a real disk may do. The same seed and the same operations
 * give the same results, faults and remains, on every platform. Without slow operations every operation completes at
 * once, without a promise. So the disk runs under `TestClock`, and does hundreds of thousands of operations in a test.
 *
 * The fault model:
 *
 * 1. A read sees every completed write at once.
 * 2. At a crash the writes and truncations of a file since its last successful sync survive completely, partly or not
 *    at all, in any order, torn at 512-byte sectors; so does its length, independently. Of one long write its beginning
 *    may survive. Each byte is old, written, or zero.
 * 3. At a crash a create, rename, unlink, makeDirectory or removeDirectory that no `syncDirectory` has followed may be
 *    lost, each independently, but never one on which a surviving change to the same name depends. A rename happens
 *    completely or not at all. If the name of a directory is lost, everything in it is lost.
 * 4. A failed sync loses data: some of the unsynced sectors, and the length, may have reached the device, the others
 *    never will. Readers see them until the crash, and the next sync succeeds. A file may instead be stuck: all its
 *    syncs fail until the crash. A failed sync of a directory loses changes to its names in the same way, whoever made
 *    them; everyone who had the directory open at that moment is told by the next sync.
 * 5. Space ends at any byte. A write is short if some of it still fits, and fails with `Full` if none does.
 *    Overwriting needs no space; a file uses the space from its start to the last byte ever written. An unlinked file
 *    gives its space back when it is closed.
 * 6. Reads and writes may be short, at rates that can be set.
 * 7. Any operation may fail, at rates that can be set, or when told. It has then done nothing, with two exceptions: a
 *    write that fails with `Io` may have left some of its first sectors in the file, and a sync loses data (rule 4).
 * 8. Bits of synced files rot when told.
 * 9. Operations may be slow: they sleep by Effect's `Clock`, before or after their effect. An operation that is
 *    interrupted before its effect has not begun; one that is interrupted after it has completed.
 * 10. Names are listed in any order.
 * 11. When the power goes off, in the middle of an operation if told so, that operation and every later one dies with
 *     `PowerOff`. It is a defect, so the code under test cannot treat it as a fault that it could handle. Closing a
 *     file and releasing a lock succeed, so scopes close. `crash` draws what is left, and turns the power on again:
 *     files that were open stay unusable, locks are free.
 *
 * Links and permissions are not simulated: every entry is a regular file or a directory.
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { DiskFile, FileStat, OpenMode } from "../disk/Disk.ts"
import { Disk, DiskError } from "../disk/Disk.ts"
import type { DiskReason } from "../disk/DiskReason.ts"
import { diskReason } from "../disk/DiskReason.ts"
import { requireSize } from "../internal/arguments.ts"
import { invariant } from "../internal/invariant.ts"
import type { SizeInput } from "../internal/notations.ts"
import type { Faults, Operation } from "./FaultPlan.ts"
import { FaultPlan, requireFaults } from "./FaultPlan.ts"
import { detailOf, OperationLog } from "./OperationLog.ts"
import type { LogEntry, OperationDetail } from "./OperationLog.ts"
import { SeededRandom } from "./SeededRandom.ts"
import { sectorBytes } from "./SimulatedFile.ts"
import type { SimulatedFile } from "./SimulatedFile.ts"
import type { SimulatedNode } from "./SimulatedStorage.ts"
import { SimulatedStorage } from "./SimulatedStorage.ts"

export type { Faults, Operation }

/** The options of a simulated disk. @since 0.1.0 @category models */
export interface Options {
  /** A whole number that decides everything that is drawn. */
  readonly seed: number
  readonly faults?: Faults
  /** 1 TiB by default. */
  readonly capacityBytes?: SizeInput
  /** How many operations `log` keeps; 64 by default. */
  readonly logLength?: number
}

/**
 * The defect of every operation while the power is off, and of operations on files that were opened before a crash.
 *
 * @since 0.1.0
 * @category errors
 */
export class PowerOff extends Error {
  override readonly name = "PowerOff"
  override readonly message = "the simulated machine has no power"
}

/**
 * Tells whether a fiber ended only because the power went off; interruptions do not count as another reason.
 *
 * @since 0.1.0
 * @category errors
 */
export const isPowerOff = (cause: Cause.Cause<unknown>): boolean => {
  const reasons = cause.reasons.filter((reason) => reason._tag !== "Interrupt")
  return reasons.length > 0 &&
    reasons.every((reason) => reason._tag === "Die" && reason.defect instanceof PowerOff)
}

/**
 * Watches the operations of a view of the disk, see `SimulatedDisk.viewedBy`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Observer {
  /**
   * Runs when an operation is about to begin. If it returns a value, the operation dies with that value as a defect and
   * does not begin.
   */
  readonly begin: (operation: Operation, path: string) => unknown
  /**
   * Runs when an operation has ended, with its outcome: `ok` or a number, the reason of a failure, or `power off`. If
   * it returns a value, that value as a defect replaces the outcome. It does not run for an operation that was
   * interrupted.
   */
  readonly end: (operation: Operation, path: string, detail: string, outcome: string | number) => unknown
}

/** The disk, and the means of a test to make it fail. @since 0.1.0 @category services */
export class SimulatedDisk extends Context.Service<SimulatedDisk, {
  readonly disk: Disk["Service"]
  /** Gives the same disk as one process or thread uses it: an observer sees its operations, except `close`. */
  readonly viewedBy: (observer: Observer) => Disk["Service"]
  /**
   * Makes the next such operation, on a path that matches, fail with the reason (rule 7). Several are used up in order.
   */
  readonly failNext: (operation: Operation, reason: DiskReason["_tag"], path?: RegExp) => Effect.Effect<void>
  /** Makes all such operations, on paths that match, fail until `heal`. */
  readonly failAlways: (operation: Operation, reason: DiskReason["_tag"], path?: RegExp) => Effect.Effect<void>
  /** Cancels `failNext` and `failAlways`, sets all rates to 0, and makes stuck files usable. */
  readonly heal: Effect.Effect<void>
  /** Replaces the rates at which the seed makes operations fail. */
  readonly setFaults: (faults: Faults) => Effect.Effect<void>
  /** Sets the capacity. It may be less than the space in use; then nothing more fits. */
  readonly setCapacityBytes: (bytes: SizeInput) => Effect.Effect<void>
  /**
   * Flips `bits` different bits of a file, or of its bytes from `within.from` to `within.to` (excluded); gives the
   * offsets of their bytes. It is a defect if the file is not synced or too short.
   */
  readonly rotBits: (
    path: string,
    bits: number,
    within?: { readonly from: number; readonly to: number }
  ) => Effect.Effect<ReadonlyArray<number>>
  /** Counts the operations begun since the disk was made. */
  readonly operationCount: Effect.Effect<number>
  /** Turns the power off in the middle of the operation with this number; the first is number 1. */
  readonly crashAt: (operation: number) => Effect.Effect<void>
  /** Waits until the power is off; race the code under test against it. */
  readonly awaitPowerOff: Effect.Effect<void>
  /**
   * Turns the power off, if it is on, and then on again; see rule 11. Stop the fibers of the code under test first: a
   * fiber that still runs would find a disk that works, and would not notice that its machine has died.
   */
  readonly crash: Effect.Effect<void>
  /** Gives every file with the bytes that a reader would see now. */
  readonly files: Effect.Effect<ReadonlyMap<string, Uint8Array>>
  /** Gives the last operations, oldest first, one line each. */
  readonly log: Effect.Effect<ReadonlyArray<string>>
}>()("effect-wal/testing/SimulatedDisk") {}

/** Makes a disk that has only its root directory. @since 0.1.0 @category constructors */
export const make = (options: Options): Effect.Effect<SimulatedDisk["Service"]> =>
  Effect.sync(() => makeUnsafe(options))

/**
 * Makes a disk in memory and provides it as two services: `Disk` for the code under test, `SimulatedDisk` for the test.
 * The same seed gives the same run.
 *
 * **Example** (A commit survives a power failure)
 *
 * ```ts
 * import { Console, Effect } from "effect"
 * import { Wal } from "effect-wal"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 * import { SimulatedDisk } from "effect-wal/testing"
 *
 * // A test of an application that needs no file: the disk loses what was not synced, and fails when it is told to.
 * const program = Effect.gen(function*() {
 *   const disk = yield* SimulatedDisk.SimulatedDisk
 *   const recorder = yield* Events
 *   yield* recorder.appendDurable(Buffer.from("hello"))
 *   yield* disk.failNext("sync", "Io", /\.wal/)
 *   yield* recorder.append(Buffer.from("kept in memory, and written to a fresh file"))
 *   const before = yield* recorder.commit
 *   yield* Console.log(`durable up to ${before}`) // => durable up to 2
 * })
 *
 * await Effect.runPromise(
 *   program.pipe(Effect.provide(Events.layer({ directory: "/log" })), Effect.provide(SimulatedDisk.layer({ seed: 1 })))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Disk | SimulatedDisk> =>
  Layer.unwrap(
    Effect.map(make(options), (simulated) =>
      Layer.merge(Layer.succeed(SimulatedDisk, simulated), Layer.succeed(Disk, simulated.disk)))
  )

/** The outcome of an operation: its result, or the reason why it failed. No result is a string. */
type Outcome<A> = A | DiskReason["_tag"]

/** One operation. `effect` acts on the storage; `onFailure` leaves the traces of a failed one. */
interface Request<A> {
  readonly operation: Operation
  readonly path: string
  readonly detail?: OperationDetail
  readonly effect: (nowMillis: number) => Outcome<A>
  readonly onFailure?: (reason: DiskReason["_tag"], nowMillis: number) => void
  /** The open file on which it operates. */
  readonly handle?: Handle
}

interface Handle {
  readonly boot: number
  isOpen: boolean
  callsUnderway: number
  onIdle: (() => void) | undefined
}

const makeUnsafe = (options: Options): SimulatedDisk["Service"] => {
  const random = new SeededRandom(options.seed)
  const storage = new SimulatedStorage(random, requireSize("options.capacityBytes", options.capacityBytes ?? "1TiB", 0))
  const log = new OperationLog(options.logLength ?? 64)
  const plan = new FaultPlan(random, requireFaults("options.faults", options.faults ?? {}))
  let crashOperation = Infinity
  /** Counts the times that the power came on. */
  let boot = 1
  let isOn = true
  let powerOff = Deferred.makeUnsafe<void>()
  const locks = new Set<string>()
  let stuck: Array<SimulatedFile> = []

  const dead = Effect.suspend(() => Effect.die(new PowerOff()))

  const turnOff = () => {
    isOn = false
    Deferred.doneUnsafe(powerOff, Effect.void)
  }

  const attempt = <A>(request: Request<A>, nowMillis: number): Outcome<A> => {
    const reason = plan.failureOf(request.operation, request.path)
    if (reason === undefined) return request.effect(nowMillis)
    request.onFailure?.(reason, nowMillis)
    return reason
  }

  const complete = <A>(
    request: Request<A>,
    entry: LogEntry,
    outcome: Outcome<A>,
    observer: Observer | undefined
  ): Effect.Effect<A, DiskError> => {
    const words = typeof outcome === "string" || typeof outcome === "number" ? outcome : "ok"
    entry.outcome = words
    const defect = observer?.end(request.operation, request.path, detailOf(entry), words)
    if (defect !== undefined) return Effect.die(defect)
    if (typeof outcome === "string") {
      const { operation, path } = request
      return Effect.fail(
        new DiskError({ operation, path, reason: diskReason(outcome as DiskReason["_tag"], "simulated") })
      )
    }
    return Effect.succeed(outcome as A)
  }

  const viewedBy = (observer: Observer | undefined): Disk["Service"] => {
    const perform = <A>(request: Request<A>): Effect.Effect<A, DiskError> =>
      Effect.clockWith((clock) => {
        const begunAtBoot = request.handle?.boot ?? boot
        const defect = observer?.begin(request.operation, request.path)
        if (defect !== undefined) return Effect.die(defect)
        const die = () => {
          observer?.end(request.operation, request.path, "", "power off")
          return dead
        }
        if (!isOn || begunAtBoot !== boot) return die()
        if (request.handle !== undefined) {
          invariant(request.handle.isOpen, `${request.path} is open when ${request.operation} begins`)
        }
        const entry = log.begin(request)
        if (entry.number >= crashOperation) {
          // The changes of this operation are unsynced, so they may survive or not. A sync needs no effect of its own:
          // the crash may draw that everything survives, as after a completed sync.
          if (request.operation !== "sync" && request.operation !== "syncDirectory") {
            request.effect(clock.currentTimeMillisUnsafe())
          }
          entry.outcome = "power off"
          turnOff()
          return die()
        }
        const sleepMillis = plan.sleepMillis()
        if (sleepMillis === 0) {
          return complete(request, entry, attempt(request, clock.currentTimeMillisUnsafe()), observer)
        }
        const isEffectFirst = random.chance(0.5)
        const early = isEffectFirst ? attempt(request, clock.currentTimeMillisUnsafe()) : undefined
        // Without power nothing waits: an operation that sleeps in a finalizer must not prevent its scope from closing.
        const sleep = Effect.raceFirst(Effect.sleep(sleepMillis), Deferred.await(powerOff))
        return underway(
          request.handle,
          Effect.flatMap(sleep, () => {
            if (!isOn || begunAtBoot !== boot) return die()
            const outcome = isEffectFirst ? early as Outcome<A> : attempt(request, clock.currentTimeMillisUnsafe())
            return complete(request, entry, outcome, observer)
          })
        )
      })

    const makeFile = (path: string, mode: OpenMode, file: SimulatedFile): DiskFile => {
      const handle: Handle = { boot, isOpen: true, callsUnderway: 0, onIdle: undefined }
      return {
        path,
        read: (target, offset) =>
          Effect.suspend(() => {
            invariant(Number.isSafeInteger(offset) && offset >= 0, `offset ${offset} of a read is a position in a file`)
            const request: Request<number> = {
              operation: "read",
              path,
              handle,
              detail: [offset, target.length],
              effect: () => {
                const count = plan.readBytes(Math.max(0, Math.min(target.length, file.visible.length - offset)))
                target.set(file.visible.view.subarray(offset, offset + count))
                return count
              }
            }
            return perform(request)
          }),
        write: (chunks, offset) =>
          Effect.suspend(() => {
            invariant(
              Number.isSafeInteger(offset) && offset >= 0,
              `offset ${offset} of a write is a position in a file`
            )
            invariant(mode !== "read", `${path} is open for writing`)
            let total = 0
            for (const chunk of chunks) total += chunk.length
            if (total === 0) return Effect.succeed(0)
            const request: Request<number> = {
              operation: "write",
              path,
              handle,
              detail: [offset, total],
              effect: (nowMillis) => storage.write(file, chunks, offset, plan.writeBytes(total), nowMillis),
              onFailure: (reason, nowMillis) => {
                const drawn = reason === "Io" ? random.below(total + 1) : 0
                const taken = drawn === total
                  ? total
                  : Math.floor((offset + drawn) / sectorBytes) * sectorBytes - offset
                if (taken > 0) storage.write(file, chunks, offset, taken, nowMillis)
              }
            }
            return perform(request)
          }),
        truncate: (bytes) =>
          Effect.suspend(() => {
            invariant(Number.isSafeInteger(bytes) && bytes >= 0, `${bytes} is a file length`)
            invariant(mode !== "read", `${path} is open for writing`)
            return perform<void>({
              operation: "truncate",
              path,
              handle,
              detail: [bytes, 0],
              effect: (nowMillis) => storage.truncate(file, bytes, nowMillis)
            })
          }),
        sync: perform<void>({
          operation: "sync",
          path,
          handle,
          effect: () => {
            if (!file.isStuck) return file.sync()
            file.loseUnsynced(random)
            return "Io"
          },
          onFailure: () => {
            file.loseUnsynced(random)
            if (plan.leavesStuck()) {
              file.isStuck = true
              stuck.push(file)
            }
          }
        }),
        stat: perform({ operation: "stat", path, handle, effect: () => statOf(file) }),
        // Permissions are not simulated.
        restrict: () => Effect.void,
        close: Effect.suspend(() => {
          if (!handle.isOpen) return Effect.void
          handle.isOpen = false
          const end = () => {
            if (handle.boot === boot) storage.close(file)
          }
          if (handle.callsUnderway === 0) return Effect.sync(end)
          return Effect.callback<void>((resume) => {
            handle.onIdle = () => {
              end()
              resume(Effect.void)
            }
          })
        }).pipe(Effect.uninterruptible)
      }
    }

    const changeNames = <A, E, R>(path: string, change: Effect.Effect<A, E, R>) =>
      Effect.suspend(() => {
        const failedBefore = storage.failedSyncs(path)
        const sync = perform<void>({
          operation: "syncDirectory",
          path,
          effect: () => storage.syncDirectory(path, failedBefore),
          onFailure: () => storage.loseUnsynced(path)
        })
        // Where there is no directory, nothing is changed either.
        return failedBefore === undefined ? Effect.andThen(sync, change) : Effect.tap(change, () => sync)
      })

    return {
      isSimulated: true,
      open: (path, mode) =>
        perform({
          operation: "open",
          path,
          detail: mode,
          effect: (nowMillis) => {
            const file = storage.open(path, mode, nowMillis)
            return typeof file === "string" ? file : makeFile(path, mode, file)
          }
        }),
      list: (path) => perform({ operation: "list", path, effect: () => storage.list(path) }),
      stat: (path) =>
        perform({
          operation: "stat",
          path,
          effect: () => {
            const node = storage.find(path)
            return typeof node === "string" ? node : statOf(node)
          }
        }),
      rename: (from, to) =>
        perform<void>({
          operation: "rename",
          path: from,
          detail: to,
          effect: (nowMillis) => storage.rename(from, to, nowMillis)
        }),
      unlink: (path) =>
        perform<void>({ operation: "unlink", path, effect: (nowMillis) => storage.unlink(path, nowMillis) }),
      makeDirectory: (path) =>
        perform<void>({
          operation: "makeDirectory",
          path,
          effect: (nowMillis) => storage.makeDirectory(path, nowMillis)
        }),
      removeDirectory: (path) =>
        perform<void>({
          operation: "removeDirectory",
          path,
          effect: (nowMillis) => storage.removeDirectory(path, nowMillis)
        }),
      syncDirectory: (path) => changeNames(path, Effect.void),
      changeNames,
      freeBytes: (path) =>
        perform({
          operation: "freeBytes",
          path,
          effect: () => {
            const node = storage.find(path)
            return typeof node === "string" ? node : storage.freeBytes
          }
        }),
      // It has every ability, and is not asked by an operation.
      requireAbilities: () => Effect.void,
      lockHolder: (path) => Effect.sync(() => locks.has(path) ? "simulated" : undefined),
      // As on a real disk, a name that begins with the lock's appears in listings, and a crash may leave it behind.
      lock: (path) =>
        Effect.uninterruptible(Effect.gen(function*() {
          let taken: { readonly boot: number; readonly shown: string } | undefined
          // Before the lock is taken: a process may die at any moment after that, and a lock dies with its process.
          yield* Effect.addFinalizer(() =>
            Effect.clockWith((clock) =>
              Effect.sync(() => {
                if (taken === undefined || !isOn || taken.boot !== boot) return
                locks.delete(path)
                storage.unlink(taken.shown, clock.currentTimeMillisUnsafe())
              })
            )
          )
          yield* perform({
            operation: "lock",
            path,
            effect: (nowMillis) => {
              if (locks.has(path)) return "Held"
              const shown = `${path}.simulated`
              const left = storage.find(shown)
              if (left === "NotFound") {
                const file = storage.open(shown, "create", nowMillis)
                if (typeof file === "string") return file
                storage.close(file)
              } else if (typeof left === "string") return left
              locks.add(path)
              taken = { boot, shown }
              return undefined
            }
          })
        }))
    }
  }
  const disk = viewedBy(undefined)

  const tell = (operation: Operation, failure: DiskReason["_tag"], pattern: RegExp | undefined, isForEver: boolean) =>
    Effect.sync(() => plan.told.tell({ operation, failure, pattern, isForEver }))

  return {
    disk,
    viewedBy,
    failNext: (operation, reason, path) => tell(operation, reason, path, false),
    failAlways: (operation, reason, path) => tell(operation, reason, path, true),
    heal: Effect.sync(() => {
      plan.forget()
      for (const file of stuck) file.isStuck = false
      stuck = []
    }),
    setFaults: (next) => Effect.sync(() => void (plan.faults = requireFaults("faults", next))),
    setCapacityBytes: (bytes) => Effect.sync(() => void (storage.capacityBytes = requireSize("bytes", bytes, 0))),
    rotBits: (path, bits, within) =>
      Effect.sync(() => {
        const file = storage.find(path)
        invariant(typeof file !== "string" && file.kind === "file", `${path} is a file whose bits can rot`)
        return file.rotBits(random, bits, within)
      }),
    operationCount: Effect.sync(() => log.count),
    crashAt: (operation) => Effect.sync(() => void (crashOperation = operation)),
    awaitPowerOff: Effect.suspend(() => Deferred.await(powerOff)),
    crash: Effect.sync(() => {
      turnOff()
      storage.crash()
      locks.clear()
      stuck = []
      crashOperation = Infinity
      boot++
      isOn = true
      powerOff = Deferred.makeUnsafe()
    }),
    files: Effect.sync(() => storage.files()),
    log: Effect.sync(() => log.lines)
  }
}

/** Prevents the handle from closing until the call has ended, even if the call is interrupted. */
const underway = <A>(handle: Handle | undefined, call: Effect.Effect<A, DiskError>): Effect.Effect<A, DiskError> =>
  handle === undefined ? call : Effect.acquireUseRelease(
    Effect.sync(() => {
      handle.callsUnderway++
    }),
    () => call,
    () =>
      Effect.sync(() => {
        handle.callsUnderway--
        if (handle.callsUnderway === 0) handle.onIdle?.()
      })
  )

const statOf = (node: SimulatedNode): FileStat => ({
  kind: node.kind,
  bytes: node.kind === "file" ? node.visible.length : 0,
  modifiedMillis: node.modifiedMillis,
  identity: `simulated:${node.number}`,
  permissions: node.kind === "file" ? 0o640 : 0o750
})
