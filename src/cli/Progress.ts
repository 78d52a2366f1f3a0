/**
 * One line on standard error that shows how far a long command is, when standard error is a terminal; nothing otherwise.
 * It has no colours.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

const everyMillis = 200
/** Back to the beginning of the line, and clear to its end. */
const overwrite = "\r\u001b[K"

/**
 * Shows `line` while `work` runs, and leaves the terminal as it was.
 *
 * @since 0.1.0
 * @category progress
 */
export const withProgress = <A, E, R>(work: Effect.Effect<A, E, R>, line: () => string): Effect.Effect<A, E, R> =>
  process.stderr.isTTY !== true ? work : Effect.gen(function*() {
    const show = Effect.sync(() => process.stderr.write(overwrite + line().slice(0, process.stderr.columns - 1)))
    const shown = yield* Effect.forkChild(Effect.forever(Effect.andThen(Effect.sleep(everyMillis), show)))
    return yield* Effect.ensuring(
      work,
      Effect.andThen(Fiber.interrupt(shown), Effect.sync(() => process.stderr.write(overwrite)))
    )
  })
