/**
 * The only door to object storage. Everything in this package that keeps bytes elsewhere does it through this service,
 * so a test can own every request, every answer and every fault.
 *
 * What a layer of `ObjectStore` guarantees:
 *
 * 1. A `put` happens completely or not at all: no reader ever gets a part of its bytes.
 * 2. Its condition is decided together with it: of several that want a free key, or that name the same version, one
 *    succeeds.
 * 3. After a `put` has succeeded, its bytes are durable, and every later `get` and `head` sees them or a later version.
 * 4. A `get` gives bytes of one version, with the ETag of that version. An object that was changed meanwhile is not
 *    mixed with what it was.
 * 5. No layer sends a request twice. What to repeat, how often, and what to look up before, its caller decides (see
 *    `retrying`).
 *
 * What it does not guarantee:
 *
 * 1. A failed or interrupted `put` or `remove` with `isApplied: "unknown"` may have happened, and may still happen at
 *    any time later. So its caller must look. Where a proxy repeats requests, a `put` may even be refused with `Taken`
 *    or `Changed` because of itself. So its caller must compare.
 * 2. A listing may be behind. Nothing may rest on what it shows or does not show.
 *
 * Keys are names with `/` between them: none of them is empty, `.` or `..`, or has more than 200
 * bytes in UTF-8, and a key has at most 900. A wrong key is a defect.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import { plainText } from "../internal/plainText.ts"
import type { StoreReason } from "./StoreReason.ts"

/**
 * The kinds of requests.
 *
 * @since 0.1.0
 * @category models
 */
export type StoreOperation = "put" | "get" | "head" | "list" | "remove"

/**
 * A request to the store failed.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreError extends Data.TaggedError("StoreError")<{
  readonly reason: StoreReason
  readonly operation: StoreOperation
  /** The key; of a listing its prefix, of a removal the first key that was not removed. */
  readonly key: string
  /**
   * Whether the store may have done what was asked. `no`: it has not, and will not. `unknown`: it may have done it, or
   * may still do it later; look before anything is concluded. Of a request that changes nothing always `no`.
   */
  readonly isApplied: "no" | "unknown"
  readonly cause?: unknown
}> {
  override get message(): string {
    const subject = this.key === "" ? this.operation : `${this.operation} ${this.key}`
    return `${plainText(subject)}: ${this.reason.message}`
  }
  /** Whether the same request may succeed later with nothing else changed. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}

/**
 * An object as a listing shows it.
 *
 * @since 0.1.0
 * @category models
 */
export interface ListedObject {
  readonly key: string
  readonly bytes: number
  /** Unix time in milliseconds, by the store's clock; of one object it may be whole seconds. */
  readonly modifiedMillis: number
}

/**
 * What the store knows about an object.
 *
 * @since 0.1.0
 * @category models
 */
export interface ObjectFacts extends ListedObject {
  /** Stands for this version of the object. Opaque, and without the quotes that it has in HTTP. */
  readonly etag: string
}

/**
 * Bytes that are read while they are sent, so they need not be in memory.
 *
 * @since 0.1.0
 * @category models
 */
export interface ObjectSource<E = never> {
  /** How many there are. */
  readonly bytes: number
  /**
   * Fills `target` from its first byte with what lies at `offset`, and returns how many bytes it got; 0 only at the
   * end. It is asked from front to back, perhaps more than once, one call at a time, and must give the same bytes each
   * time.
   */
  readonly read: (target: Uint8Array, offset: number) => Effect.Effect<number, E>
}

/**
 * What a `put` sends.
 *
 * @since 0.1.0
 * @category models
 */
export type ObjectContent<E = never> = Uint8Array | ObjectSource<E>

/**
 * The options of a `put`.
 *
 * @since 0.1.0
 * @category models
 */
export interface PutOptions {
  /**
   * The condition: `absent`, that no object has the key (otherwise `Taken`); an ETag, that the object is this version
   * (otherwise `Changed`, also when there is none).
   */
  readonly onlyIf?: "absent" | { readonly etag: string }
  /** What the MD5 of the bytes must be, otherwise `Corrupt`; it is computed when it is not given. */
  readonly md5?: Uint8Array
}

/**
 * The options of a `get`.
 *
 * @since 0.1.0
 * @category models
 */
export interface GetOptions {
  /**
   * A part of the object, at least one byte. It gives fewer bytes where the object ends in it, and fails with `Corrupt`
   * where the object ends before it.
   */
  readonly range?: { readonly from: number; readonly bytes: number }
  /** The version that is wanted; otherwise `Changed`, or `NotFound` when there is none. */
  readonly onlyIf?: { readonly etag: string }
}

/**
 * Bytes of an object, and which version they are of. The bytes belong to the caller, who may change or transfer them.
 *
 * @since 0.1.0
 * @category models
 */
export interface ObjectBytes {
  readonly bytes: Uint8Array
  readonly etag: string
}

/**
 * What was asked of a store by this layer since it was built: the bill.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoreUsage {
  /** Requests, failed ones too. A listing is one for each page. */
  readonly requests: Readonly<Record<StoreOperation, number>>
  /** The content of objects, sent and received; also of requests that failed afterwards. */
  readonly sentBytes: number
  readonly receivedBytes: number
}

/**
 * Objects by their keys, each written as a whole. The opening of this module has the rules that every layer keeps.
 *
 * @since 0.1.0
 * @category services
 */
export class ObjectStore extends Context.Service<ObjectStore, {
  /** What it is, for people, as in `s3://bucket/prefix`. Never credentials. */
  readonly name: string
  /**
   * Gives an object these bytes, and returns the ETag of this version. Their MD5 goes with them, and a store that knows
   * it refuses other bytes. They must not change until this has ended. Where a source fails nothing is put, and this
   * fails as it did; one that ends early is `Corrupt`.
   */
  readonly put: <E = never>(
    key: string,
    content: ObjectContent<E>,
    options?: PutOptions
  ) => Effect.Effect<string, StoreError | E>
  /** The bytes of an object, or a part of them. */
  readonly get: (key: string, options?: GetOptions) => Effect.Effect<ObjectBytes, StoreError>
  /** What the store knows about an object, without its bytes. */
  readonly head: (key: string) => Effect.Effect<ObjectFacts, StoreError>
  /**
   * The objects whose keys begin with `prefix`, in the order of keys; with `startAfter` those after this key alone. A
   * listing may be behind: nothing may rest on it.
   */
  readonly list: (
    prefix: string,
    options?: { readonly startAfter?: string }
  ) => Stream.Stream<ListedObject, StoreError>
  /** Removes objects. One that is not there counts as removed. */
  readonly remove: (keys: ReadonlyArray<string>) => Effect.Effect<void, StoreError>
  /** Requests and bytes so far. */
  readonly usage: Effect.Effect<StoreUsage>
}>()("effect-wal/ObjectStore") {}
