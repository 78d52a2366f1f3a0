/** How log lines tell where they come from: by the annotations `module` and `log`. */
import * as Effect from "effect/Effect"

/** Annotates what an effect, and every fiber that it starts, logs. `log` is the path of the log's directory. */
export const annotated = (module: string, log: string) => Effect.annotateLogs({ module: `effect-wal/${module}`, log })
