/**
 * Ends the fiber that holds a log open when the log's maintainer is down, or another recorder has taken it over, as
 * Effect's own modules end the fiber that built a layer whose background work has ended
 * (`RpcServer.makeProtocolWorkerRunner`). A layer that is built cannot fail any more, and a fiber that only holds it
 * open, as `Layer.launch` does, would hold it for ever.
 *
 * Layers that are merged, and those of a `ManagedRuntime`, are built by fibers of their own, which have ended then.
 * Nothing leads from those to the fiber that waits for them. Their owner is told by every commit, and may wait for
 * `maintainer.down`.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { SegmentMaintainer } from "../maintainer/SegmentMaintainer.ts"
import type { RecorderError } from "./RecorderError.ts"

/**
 * A program that is told of the end by an error, of a commit or of `down`, closes the log within this time. It is not
 * interrupted then, so it may open the log again.
 */
const grace = Duration.seconds(1)

/**
 * To be run by the fiber that builds the layer of a log. That fiber is interrupted when the log has ended so, and the
 * scope is still open a second later.
 */
export const interruptOwnerWhenDown = (
  { down }: { readonly down: Effect.Effect<never, Effect.Error<SegmentMaintainer["Service"]["down"]> | RecorderError> }
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.withFiber((builder) => {
    const interrupt = Effect.sync(() => builder.interruptUnsafe(builder.id))
    return Effect.catch(down, () => Effect.delay(interrupt, grace)).pipe(Effect.forkScoped, Effect.asVoid)
  })
