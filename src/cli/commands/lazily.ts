/**
 * Commands are declared apart from what runs them, which is loaded only when it runs: `--help`, a wrong flag and a
 * completion need every command's flags, and not the recorder and all readers.
 */
import * as Effect from "effect/Effect"

/** Makes the handler of a command whose work is loaded when it begins. */
export const lazily =
  <Given, E, R>(load: () => Promise<(given: Given) => Effect.Effect<void, E, R>>) =>
  (given: Given): Effect.Effect<void, E, R> => Effect.flatMap(Effect.promise(load), (run) => run(given))
