/**
 * Spans on paths where Effect's own tracer would cost more than it gives: without a tracer of the application nothing
 * reads a span, and making one takes microseconds.
 */
import * as Effect from "effect/Effect"

/**
 * As `Effect.suspend`, in a span if the application has a tracer. Without one it takes no more time than `suspend`
 * does.
 */
export const suspendTraced = <A, E>(
  name: string,
  attributes: () => Readonly<Record<string, unknown>>,
  evaluate: () => Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.withFiber((fiber) =>
    fiber.cache.tracer === undefined
      ? evaluate()
      : Effect.withSpan(Effect.suspend(evaluate), name, { attributes: attributes() })
  )
