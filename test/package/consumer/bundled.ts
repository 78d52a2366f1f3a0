/**
 * An application that is bundled, with or without its threads, and logs on standard error. `bundled.ts DIRECTORY
 * thread|fiber`
 */
import { NodeDisk } from "effect-wal"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { Numbers, optionsFor, recordAndCheck, runtime } from "./recordAndCheck.ts"

const directory = process.argv[2] ?? "./log"

const options = optionsFor(directory)
const numbers = process.argv[3] === "fiber" ? Numbers.layer(options) : Numbers.layerWorker(options)

const program = recordAndCheck(directory, numbers).pipe(
  Effect.provide(NodeDisk.layer),
  Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatSimple)]))
)

// Not awaited: CommonJS has no `await` at its top.
void Effect.runPromise(program).then((found) => console.log(JSON.stringify({ runtime, ...found })))
