/**
 * An `ObjectStore` in memory that does, from a seed, everything that a real store and the network before it may do. The
 * same seed and the same requests give the same answers, on every platform. Requests that are not slow are answered at
 * once, without a promise. So the store runs under `TestClock`.
 *
 * The fault model:
 *
 * 1. A put is done completely or not at all, its condition is decided together with it, and every `get` sees it.
 * 2. A request may fail before it is done, after it is done, or be done later than its answer; it may be done twice
 *    (see `Fault`). When it is done later, its condition is decided then.
 * 3. Requests may be slow: they sleep by Effect's `Clock`, before or after they are done. A request that is interrupted
 *    is already on its way: it may be done later.
 * 4. The answer of a `get` may have a wrong bit, and bits of objects rot when told.
 * 5. Listings may be behind, each change for another time, but never in the order of changes to one key.
 * 6. The store may be away: nothing is done, and it is not known whether a request arrived.
 * 7. The ETag of an object is the MD5 of its content, as in most buckets: two versions of one content have the same.
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import { requireWhole } from "../internal/arguments.ts"
import { elapsedMillisUnsafe } from "../internal/elapsed.ts"
import { invariant } from "../internal/invariant.ts"
import { copyOfContent, EndedEarly, lengthOf, requireContent } from "../store/ObjectContent.ts"
import { compareKeys, requireKey, requirePrefix } from "../store/ObjectKey.ts"
import { ObjectStore, StoreError } from "../store/ObjectStore.ts"
import type {
  GetOptions,
  ListedObject,
  ObjectContent,
  ObjectFacts,
  PutOptions,
  StoreOperation
} from "../store/ObjectStore.ts"
import { storeReason } from "../store/StoreReason.ts"
import type { StoreReason } from "../store/StoreReason.ts"
import { UsageCounter } from "../store/UsageCounter.ts"
import { OperationLog } from "./OperationLog.ts"
import type { LogEntry } from "./OperationLog.ts"
import { SeededRandom } from "./SeededRandom.ts"
import type { Fault, Faults } from "./StoreFaultPlan.ts"
import { requireFaults, StoreFaultPlan } from "./StoreFaultPlan.ts"

export type { Fault, Faults }

/** The options of a simulated store. @since 0.1.0 @category models */
export interface Options {
  /** A whole number that decides everything that is drawn. */
  readonly seed: number
  readonly faults?: Faults
  /** How many requests `log` keeps; 64 by default. */
  readonly logLength?: number
  /**
   * Is told of each change when it happens, also of one that is done late. `before` and `after` are `undefined` where
   * there is no object.
   */
  readonly onChange?: (key: string, before: StoredObject | undefined, after: StoredObject | undefined) => void
}

/** An object as it is in the store. @since 0.1.0 @category models */
export interface StoredObject {
  readonly bytes: Uint8Array
  readonly etag: string
  /** Unix time in milliseconds. */
  readonly modifiedMillis: number
}

/** The store, and the means of a test to make it fail. @since 0.1.0 @category services */
export class SimulatedStore extends Context.Service<SimulatedStore, {
  readonly store: ObjectStore["Service"]
  /** Makes the next such request, for a key that matches, go wrong. Several are used up in order. */
  readonly failNext: (operation: StoreOperation, fault: Fault, key?: RegExp) => Effect.Effect<void>
  /** Makes all such requests, for keys that match, go wrong until `heal`. */
  readonly failAlways: (operation: StoreOperation, fault: Fault, key?: RegExp) => Effect.Effect<void>
  /** Cancels `failNext` and `failAlways`, and sets all rates to 0. What is late still arrives. */
  readonly heal: Effect.Effect<void>
  /** Replaces the rates at which the seed makes requests go wrong. */
  readonly setFaults: (faults: Faults) => Effect.Effect<void>
  /** Takes the store away, or brings it back. */
  readonly setAway: (isAway: boolean) => Effect.Effect<void>
  /** Flips different bits of an object, or of its bytes from `within.from` to `within.to` (excluded). */
  readonly rotBits: (
    key: string,
    bits: number,
    within?: { readonly from: number; readonly to: number }
  ) => Effect.Effect<void>
  /** Counts the requests since the store was made. */
  readonly requestCount: Effect.Effect<number>
  /** Counts the requests that are late and still to be done. */
  readonly lateCount: Effect.Effect<number>
  /** Gives every object as it is now, by key, whatever requests would see. */
  readonly contents: Effect.Effect<ReadonlyMap<string, StoredObject>>
  /** Gives the last requests, oldest first, one line each. */
  readonly log: Effect.Effect<ReadonlyArray<string>>
}>()("effect-wal/testing/SimulatedStore") {}

/** Makes an empty store. @since 0.1.0 @category constructors */
export const make = (options: Options): Effect.Effect<SimulatedStore["Service"]> =>
  Effect.sync(() => makeUnsafe(options))

/**
 * Makes a store in memory and provides it as two services: `ObjectStore` for the code under test, `SimulatedStore` for
 * the test. The same seed gives the same run.
 *
 * **Example** (An answer that is lost)
 *
 * ```ts
 * import { Console, Effect } from "effect"
 * import { SimulatedStore } from "effect-wal/testing"
 *
 * const program = Effect.gen(function*() {
 *   const simulated = yield* SimulatedStore.SimulatedStore
 *   yield* simulated.failNext("put", "lostAnswer")
 *   const error = yield* Effect.flip(simulated.store.put("orders/manifest", Buffer.from("{}"), { onlyIf: "absent" }))
 *   yield* Console.log(error.isApplied) // => unknown
 *   const { bytes } = yield* simulated.store.get("orders/manifest")
 *   yield* Console.log(Buffer.from(bytes).toString()) // => {}
 * })
 *
 * await Effect.runPromise(Effect.provide(program, SimulatedStore.layer({ seed: 1 })))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<ObjectStore | SimulatedStore> =>
  Layer.unwrap(
    Effect.map(make(options), (simulated) =>
      Layer.merge(Layer.succeed(SimulatedStore, simulated), Layer.succeed(ObjectStore, simulated.store)))
  )

/** A request that failed. */
class Failure {
  readonly tag: StoreReason["_tag"]
  readonly detail: string
  readonly isApplied: "no" | "unknown"
  constructor(tag: StoreReason["_tag"], detail = "simulated", isApplied: "no" | "unknown" = "no") {
    this.tag = tag
    this.detail = detail
    this.isApplied = isApplied
  }
}

/** One request. `effect` acts on the objects, and gives the answer. */
interface Request<A> {
  readonly operation: StoreOperation
  readonly key: string
  readonly detail?: string
  readonly effect: (clock: Clock.Clock) => A | Failure
  /** Gives the answer with one wrong bit. */
  readonly rot?: (answer: A) => A
}

interface Late {
  readonly dueMillis: number
  readonly effect: (clock: Clock.Clock) => unknown
  readonly entry: LogEntry
}

interface LateListing {
  readonly dueMillis: number
  readonly key: string
  readonly shown: ListedObject | undefined
}

const makeUnsafe = (options: Options): SimulatedStore["Service"] => {
  const random = new SeededRandom(options.seed)
  const plan = new StoreFaultPlan(random, requireFaults("options.faults", options.faults ?? {}))
  const log = new OperationLog(options.logLength ?? 64)
  const usage = new UsageCounter()
  const objects = new Map<string, StoredObject>()
  const listed = new Map<string, ListedObject>()
  let late: Array<Late> = []
  let lateListings: Array<LateListing> = []
  let isAway = false

  /** Lets happen what is due. */
  const catchUp = (clock: Clock.Clock): void => {
    const nowMillis = elapsedMillisUnsafe(clock)
    const due = late.filter(({ dueMillis }) => dueMillis <= nowMillis)
    late = late.filter(({ dueMillis }) => dueMillis > nowMillis)
    for (const { effect, entry } of due.sort(byDue)) {
      const answer = effect(clock)
      entry.outcome = `${entry.outcome}, later ${answer instanceof Failure ? answer.tag : "done"}`
    }
    // In the order of changes: one that is due is shown only after those of the same key that were made before it.
    const waiting = new Set<string>()
    lateListings = lateListings.filter((change) => {
      if (change.dueMillis > nowMillis || waiting.has(change.key)) {
        waiting.add(change.key)
        return true
      }
      show(change)
      return false
    })
  }

  const show = ({ key, shown }: Pick<LateListing, "key" | "shown">): void => {
    if (shown === undefined) listed.delete(key)
    else listed.set(key, shown)
  }

  const change = (key: string, object: StoredObject | undefined, clock: Clock.Clock): void => {
    const before = objects.get(key)
    if (object === undefined) objects.delete(key)
    else objects.set(key, object)
    const shown = object === undefined
      ? undefined
      : { key, bytes: object.bytes.length, modifiedMillis: object.modifiedMillis }
    const afterMillis = plan.listedAfterMillis()
    if (afterMillis === 0 && !lateListings.some((other) => other.key === key)) show({ key, shown })
    else lateListings.push({ dueMillis: elapsedMillisUnsafe(clock) + afterMillis, key, shown })
    options.onChange?.(key, before, object)
  }

  const postpone = <A>(request: Request<A>, entry: LogEntry, clock: Clock.Clock): void => {
    late.push({ dueMillis: elapsedMillisUnsafe(clock) + plan.lateMillis(), effect: request.effect, entry })
  }

  /** Does the request, or what the fault leaves of it, and gives the answer. */
  const act = <A>(
    request: Request<A>,
    fault: Fault | undefined,
    entry: LogEntry,
    clock: Clock.Clock
  ): A | Failure => {
    const isWrite = changes(request)
    const unknown = isWrite ? "unknown" : "no"
    switch (fault) {
      case undefined:
        return request.effect(clock)
      case "busy":
        return new Failure("Busy")
      case "denied":
        return new Failure("Denied")
      case "failed":
        if (isWrite && random.chance(0.5)) request.effect(clock)
        return new Failure("Busy", "simulated", unknown)
      case "lostRequest":
        return new Failure("Unreachable", "simulated", unknown)
      case "lostAnswer":
        if (isWrite) request.effect(clock)
        return new Failure("Unreachable", "simulated", unknown)
      case "late":
        if (isWrite) postpone(request, entry, clock)
        return new Failure("Unreachable", "simulated", unknown)
      case "doubled": {
        const first = request.effect(clock)
        if (!isWrite) return first
        if (random.chance(0.5)) return request.effect(clock)
        postpone(request, entry, clock)
        return first
      }
      case "damaged":
        return request.operation === "get" || request.operation === "put"
          ? new Failure("Corrupt")
          : request.effect(clock)
      case "rotten": {
        const answer = request.effect(clock)
        return answer instanceof Failure || request.rot === undefined ? answer : request.rot(answer)
      }
    }
  }

  const answerWith = <A>(request: Request<A>, entry: LogEntry, answer: A | Failure): Effect.Effect<A, StoreError> => {
    const { key, operation } = request
    if (!(answer instanceof Failure)) {
      entry.outcome = "ok"
      return Effect.succeed(answer)
    }
    const { detail, isApplied, tag } = answer
    entry.outcome = isApplied === "unknown" ? `${tag}, perhaps done` : tag
    return Effect.fail(new StoreError({ reason: storeReason(tag, detail), operation, key, isApplied }))
  }

  const perform = <A>(request: Request<A>): Effect.Effect<A, StoreError> =>
    Effect.clockWith((clock) => {
      const entry = log.begin({
        operation: request.operation,
        path: request.key,
        ...(request.detail === undefined ? {} : { detail: request.detail })
      })
      catchUp(clock)
      if (isAway) {
        const isUnknown = changes(request) && random.chance(0.5)
        return answerWith(request, entry, new Failure("Unreachable", "simulated", isUnknown ? "unknown" : "no"))
      }
      const fault = plan.faultOf(request.operation, request.key)
      const sleepMillis = plan.sleepMillis()
      if (sleepMillis === 0) return answerWith(request, entry, act(request, fault, entry, clock))
      const isEffectFirst = random.chance(0.5)
      const early = isEffectFirst ? act(request, fault, entry, clock) : undefined
      const sleep = Effect.onInterrupt(Effect.sleep(sleepMillis), () =>
        Effect.sync(() => {
          if (!isEffectFirst && changes(request) && random.chance(0.5)) postpone(request, entry, clock)
        }))
      return Effect.flatMap(sleep, () => {
        catchUp(clock)
        return answerWith(request, entry, isEffectFirst ? early as A | Failure : act(request, fault, entry, clock))
      })
    })

  const flipBit = (bytes: Uint8Array, at: number): void => {
    bytes[at] = bytes[at]! ^ (1 << random.below(8))
  }

  /** What was sent. A request whose content does not end is none: nothing is done, now or later. */
  const received = <E>(key: string, content: ObjectContent<E>): Effect.Effect<Uint8Array, StoreError | E> =>
    Effect.suspend(() => {
      requireKey("key", key)
      requireContent("content", content)
      usage.request("put", lengthOf(content))
      return Effect.mapError(copyOfContent(content), (error) =>
        error instanceof EndedEarly
          ? new StoreError({ reason: storeReason("Corrupt", error.detail), operation: "put", key, isApplied: "no" })
          : error)
    })

  const store = ObjectStore.of({
    name: `simulated://${options.seed}`,
    put: <E = never>(key: string, given: ObjectContent<E>, putOptions?: PutOptions) =>
      Effect.flatMap(received(key, given), (content) => {
        const onlyIf = putOptions?.onlyIf
        const md5 = createHash("md5").update(content).digest()
        const etag = md5.toString("hex")
        return perform<string>({
          operation: "put",
          key,
          detail: `${onlyIf === undefined ? "" : onlyIf === "absent" ? "if absent " : `if ${onlyIf.etag} `}${etag}`,
          effect: (clock) => {
            if (putOptions?.md5 !== undefined && md5.compare(putOptions.md5) !== 0) return new Failure("Corrupt")
            const present = objects.get(key)
            if (onlyIf === "absent" && present !== undefined) return new Failure("Taken")
            if (typeof onlyIf === "object" && present?.etag !== onlyIf.etag) return new Failure("Changed")
            change(key, { bytes: content, etag, modifiedMillis: clock.currentTimeMillisUnsafe() }, clock)
            return etag
          }
        })
      }),
    get: (key: string, getOptions?: GetOptions) =>
      Effect.suspend(() => {
        requireKey("key", key)
        const { onlyIf, range } = getOptions ?? {}
        if (range !== undefined) {
          requireWhole("options.range.from", range.from)
          requireWhole("options.range.bytes", range.bytes, 1)
        }
        usage.request("get")
        return perform({
          operation: "get",
          key,
          ...(range === undefined ? {} : { detail: `${range.from}+${range.bytes}` }),
          effect: () => {
            const present = objects.get(key)
            if (present === undefined) return new Failure("NotFound")
            if (onlyIf !== undefined && onlyIf.etag !== present.etag) return new Failure("Changed")
            if (range !== undefined && range.from >= present.bytes.length) {
              return new Failure("Corrupt", "it ends before")
            }
            const { from, bytes } = range ?? { from: 0, bytes: present.bytes.length }
            const answer = present.bytes.slice(from, from + bytes)
            usage.received(answer.length)
            return { bytes: answer, etag: present.etag }
          },
          rot: (answer) => {
            if (answer.bytes.length > 0) flipBit(answer.bytes, random.below(answer.bytes.length))
            return answer
          }
        })
      }),
    head: (key: string) =>
      Effect.suspend(() => {
        requireKey("key", key)
        usage.request("head")
        return perform<ObjectFacts>({
          operation: "head",
          key,
          effect: () => {
            const present = objects.get(key)
            if (present === undefined) return new Failure("NotFound")
            const { bytes, etag, modifiedMillis } = present
            return { key, bytes: bytes.length, etag, modifiedMillis }
          }
        })
      }),
    list: (prefix: string, listOptions?: { readonly startAfter?: string }) =>
      Stream.fromIterableEffect(Effect.suspend(() => {
        const startAfter = listOptions?.startAfter ?? ""
        requirePrefix("prefix", prefix)
        requirePrefix("options.startAfter", startAfter)
        usage.request("list")
        return perform<ReadonlyArray<ListedObject>>({
          operation: "list",
          key: prefix,
          effect: () =>
            [...listed.values()]
              .filter(({ key }) => key.startsWith(prefix) && compareKeys(key, startAfter) > 0)
              .sort((left, right) => compareKeys(left.key, right.key))
        })
      })),
    remove: (keys: ReadonlyArray<string>) =>
      Effect.suspend(() => {
        for (const key of keys) requireKey("keys", key)
        usage.request("remove")
        return perform<void>({
          operation: "remove",
          key: keys[0] ?? "",
          detail: `${keys.length}`,
          effect: (clock) => {
            for (const key of keys) if (objects.has(key)) change(key, undefined, clock)
          }
        })
      }),
    usage: Effect.sync(() => usage.usage)
  })

  const tell = (operation: StoreOperation, failure: Fault, pattern: RegExp | undefined, isForEver: boolean) =>
    Effect.sync(() => plan.told.tell({ operation, failure, pattern, isForEver }))

  return {
    store,
    failNext: (operation, fault, key) => tell(operation, fault, key, false),
    failAlways: (operation, fault, key) => tell(operation, fault, key, true),
    heal: Effect.sync(() => plan.forget()),
    setFaults: (next) => Effect.sync(() => void (plan.faults = requireFaults("faults", next))),
    setAway: (next) => Effect.sync(() => void (isAway = next)),
    rotBits: (key, bits, { from = 0, to = Infinity } = { from: 0, to: Infinity }) =>
      Effect.sync(() => {
        const object = objects.get(key)
        const length = Math.min(object?.bytes.length ?? 0, to) - from
        invariant(object !== undefined && bits <= length * 8, `${key} is an object that has so many bits`)
        const hit = new Set<number>()
        while (hit.size < bits) hit.add(from * 8 + random.below(length * 8))
        const bytes = Uint8Array.from(object.bytes)
        for (const bit of hit) bytes[bit >> 3] = bytes[bit >> 3]! ^ (1 << (bit & 7))
        objects.set(key, { ...object, bytes })
      }),
    requestCount: Effect.sync(() => log.count),
    lateCount: Effect.clockWith((clock) =>
      Effect.sync(() => {
        catchUp(clock)
        return late.length
      })
    ),
    contents: Effect.clockWith((clock) =>
      Effect.sync(() => {
        catchUp(clock)
        return new Map([...objects].sort(([left], [right]) => compareKeys(left, right)))
      })
    ),
    log: Effect.sync(() => log.lines)
  }
}

const byDue = (left: Late, right: Late): number => left.dueMillis - right.dueMillis

const changes = ({ operation }: { readonly operation: StoreOperation }): boolean =>
  operation === "put" || operation === "remove"
