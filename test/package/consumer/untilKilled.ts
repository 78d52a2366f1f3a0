/**
 * An application that records until it is killed, and prints each id that is durable. `untilKilled.ts DIRECTORY
 * thread|fiber`
 */
import { NodeDisk } from "effect-wal"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { Numbers, optionsFor } from "./recordAndCheck.ts"

const options = optionsFor(process.argv[2] ?? "./log")
const numbers = process.argv[3] === "fiber" ? Numbers.layer(options) : Numbers.layerWorker(options)

const program = Effect.forever(
  Numbers.use(({ append, appendDurable }) =>
    Effect.andThen(append(Buffer.alloc(2000, 1)), Effect.flatMap(appendDurable(Buffer.alloc(2000, 2)), Console.log))
  )
)

await Effect.runPromise(program.pipe(Effect.provide(numbers), Effect.provide(NodeDisk.layer)))
