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
import { ObjectStore, StoreError } from "./ObjectStore.ts"
import type { PutOptions } from "./ObjectStore.ts"
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
  const retry = <A>(request: Effect.Effect<A, StoreError>): Effect.Effect<A, StoreError> =>
    Effect.retry(request, { schedule, while: ({ isRetryable }) => isRetryable })

  return (store: ObjectStore["Service"]): ObjectStore["Service"] =>
    ObjectStore.of({
      name: store.name,
      put: (key, bytes, options) =>
        Effect.suspend(() => {
          let isApplied: "no" | "unknown" = "no"
          const attempt = store.put(key, bytes, options).pipe(
            Effect.catch((error) =>
              isConclusive(error) ? Effect.fail(error) : lookUp(store, key, bytes, options, error)
            ),
            Effect.tapError((error) =>
              Effect.sync(() => {
                if (error.isApplied === "unknown") isApplied = "unknown"
              })
            )
          )
          return Effect.mapError(
            retry(attempt),
            (error) => isApplied === "no" ? error : new StoreError({ ...fieldsOf(error), isApplied })
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
const lookUp = (
  store: ObjectStore["Service"],
  key: string,
  bytes: Uint8Array,
  options: PutOptions | undefined,
  error: StoreError
): Effect.Effect<string, StoreError> => {
  const onlyIf = options?.onlyIf
  const isRefusal = error.reason._tag === "Taken" || error.reason._tag === "Changed"
  return Effect.matchEffect(store.get(key), {
    onSuccess: (found) => {
      if (Buffer.compare(found.bytes, bytes) === 0) return Effect.succeed(found.etag)
      if (onlyIf === undefined) return Effect.fail(error)
      if (onlyIf === "absent") {
        return Effect.fail(new StoreError({ ...fieldsOf(error), reason: storeReason("Taken", "") }))
      }
      // The version that was to be replaced is there still.
      if (!isRefusal && onlyIf.etag === found.etag) return Effect.fail(error)
      return Effect.fail(changed(error, ""))
    },
    onFailure: (failure) => {
      const isGone = failure.reason._tag === "NotFound"
      if (!isGone) {
        const { reason } = failure
        return Effect.fail(new StoreError({ ...fieldsOf(error), reason, isApplied: "unknown", cause: failure }))
      }
      return Effect.fail(onlyIf === undefined || onlyIf === "absent" ? error : changed(error, "it is gone"))
    }
  })
}

/** These bytes may have been there, and may have been replaced since. */
const changed = (error: StoreError, detail: string): StoreError =>
  new StoreError({ ...fieldsOf(error), reason: storeReason("Changed", detail), isApplied: "unknown" })
