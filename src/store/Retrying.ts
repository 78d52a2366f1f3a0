/**
 * The one retry of requests: no layer of `ObjectStore` sends a request twice, because a repeated `put` with a condition
 * is refused by what the first one did.
 *
 * So a `put` that may have been done is looked up before it is sent again:
 *
 * - The object has these bytes: it is done.
 * - Other bytes: `Taken` or `Changed`; without a condition it is sent again.
 * - The version that the condition names, or nothing where nothing was to be: it is sent again.
 *
 * A refusal is looked up, too: a proxy may have sent the request twice, and the answer is that of the second.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { EndedEarly, forEachPiece, lengthOf, pieceBytesMax } from "./ObjectContent.ts"
import { ObjectStore, StoreError } from "./ObjectStore.ts"
import type { ObjectContent, PutOptions } from "./ObjectStore.ts"
import { storeReason } from "./StoreReason.ts"

/** When a request is sent again, in general: after 0.1 s at first and 10 s at most, for a minute. */
export const requestSchedule: Schedule.Schedule<unknown> = Schedule.min([
  Schedule.exponential("100 millis"),
  Schedule.spaced("10 seconds")
]).pipe(Schedule.jittered, Schedule.upTo({ duration: "1 minute" }))

/**
 * The store, with retries. Requests are sent again as long as the schedule continues, and only where the failure may
 * pass. A listing continues after the last object that it has shown.
 *
 * A `put` succeeds when its key has its bytes, whichever writer put them there: bytes by which a writer knows its own
 * work must have something of its own in them. A `put` that fails with `Changed` may have been done and replaced. The
 * failure of a `put` that was sent several times has `isApplied: "unknown"` if one of them has.
 */
export const retrying = (schedule: Schedule.Schedule<unknown, StoreError>) => {
  const retry = <A, E>(request: Effect.Effect<A, StoreError | E>): Effect.Effect<A, StoreError | E> =>
    Effect.retry(request, {
      schedule: schedule as Schedule.Schedule<unknown, unknown>,
      while: (error) => error instanceof StoreError && error.isRetryable
    })

  return (store: ObjectStore["Service"]): ObjectStore["Service"] =>
    ObjectStore.of({
      name: store.name,
      put: <E = never>(key: string, content: ObjectContent<E>, options?: PutOptions) =>
        Effect.suspend(() => {
          let isApplied: "no" | "unknown" = "no"
          const attempt: Effect.Effect<string, StoreError | E> = Effect.catch(
            store.put(key, content, options),
            (error): Effect.Effect<string, StoreError | E> =>
              !(error instanceof StoreError) || isConclusive(error)
                ? Effect.fail(error)
                : lookUp(store, key, content, options, error)
          )
          const noted = Effect.tapError(attempt, (error) =>
            Effect.sync(() => {
              if (error instanceof StoreError && error.isApplied === "unknown") isApplied = "unknown"
            }))
          return Effect.mapError(
            retry(noted),
            (error) =>
              isApplied === "no" || !(error instanceof StoreError)
                ? error
                : new StoreError({ ...fieldsOf(error), isApplied })
          )
        }),
      get: (key, options) => retry(store.get(key, options)),
      head: (key) => retry(store.head(key)),
      list: (prefix, options) =>
        Stream.suspend(() => {
          let startAfter = options?.startAfter ?? ""
          const rest = Stream.suspend(() => store.list(prefix, { startAfter })).pipe(
            Stream.tap((object) =>
              Effect.sync(() => {
                startAfter = object.key
              })
            )
          )
          return Stream.retry(rest, Schedule.while(schedule, ({ input }) => input.isRetryable))
        }),
      remove: (keys) => retry(store.remove(keys)),
      usage: store.usage
    })
}

/** Whether the object is certainly not what was to be written. */
const isConclusive = ({ isApplied, reason }: StoreError): boolean =>
  isApplied === "no" && reason._tag !== "Taken" && reason._tag !== "Changed"

const fieldsOf = ({ cause, isApplied, key, operation, reason }: StoreError) => ({
  reason,
  operation,
  key,
  isApplied,
  ...(cause === undefined ? {} : { cause })
})

/** Looks which bytes the key has. Gives the ETag if they are these, and otherwise the failure that follows. */
const lookUp = <E>(
  store: ObjectStore["Service"],
  key: string,
  content: ObjectContent<E>,
  options: PutOptions | undefined,
  error: StoreError
): Effect.Effect<string, StoreError | E> => {
  const onlyIf = options?.onlyIf
  const isRefusal = error.reason._tag === "Taken" || error.reason._tag === "Changed"
  const looked = Effect.matchEffect(store.get(key), {
    onSuccess: (found) => Effect.map(hasBytes(content, found.bytes), (isSame) => ({ etag: found.etag, isSame })),
    onFailure: (failure) => Effect.succeed(failure)
  })
  return Effect.flatMap(looked, (found): Effect.Effect<string, StoreError> => {
    if (!(found instanceof StoreError)) {
      if (found.isSame) return Effect.succeed(found.etag)
      if (onlyIf === undefined) return Effect.fail(error)
      if (onlyIf === "absent") {
        return Effect.fail(new StoreError({ ...fieldsOf(error), reason: storeReason("Taken", "") }))
      }
      // The version that was to be replaced is there still.
      if (!isRefusal && onlyIf.etag === found.etag) return Effect.fail(error)
      return Effect.fail(changed(error, ""))
    }
    const { reason } = found
    if (reason._tag !== "NotFound") {
      return Effect.fail(new StoreError({ ...fieldsOf(error), reason, isApplied: "unknown", cause: found }))
    }
    return Effect.fail(onlyIf === undefined || onlyIf === "absent" ? error : changed(error, "it is gone"))
  })
}

/** Whether these are the bytes of the content. One that ends early has others. */
const hasBytes = <E>(content: ObjectContent<E>, bytes: Uint8Array): Effect.Effect<boolean, E> => {
  let isSame = lengthOf(content) === bytes.length
  if (!isSame) return Effect.succeed(false)
  const compare = forEachPiece(content, () => new Uint8Array(pieceBytesMax), (piece, offset) =>
    Effect.sync(() => {
      isSame &&= Buffer.compare(piece, bytes.subarray(offset, offset + piece.length)) === 0
    }))
  return Effect.matchEffect(compare, {
    onSuccess: () => Effect.succeed(isSame),
    onFailure: (error) => error instanceof EndedEarly ? Effect.succeed(false) : Effect.fail(error)
  })
}

/** These bytes may have been there, and may have been replaced since. */
const changed = (error: StoreError, detail: string): StoreError =>
  new StoreError({ ...fieldsOf(error), reason: storeReason("Changed", detail), isApplied: "unknown" })
