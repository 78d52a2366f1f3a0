/** An application of somebody else. `record.ts DIRECTORY [fiber]`: with the maintainer in a thread, or as a fiber. */
import { NodeDisk } from "effect-wal"
import * as Effect from "effect/Effect"
import { Numbers, optionsFor, recordAndCheck, runtime } from "./recordAndCheck.ts"

const directory = process.argv[2] ?? "./log"

const options = optionsFor(directory)
const numbers = process.argv[3] === "fiber" ? Numbers.layer(options) : Numbers.layerWorker(options)

const found = await Effect.runPromise(Effect.provide(recordAndCheck(directory, numbers), NodeDisk.layer))
console.log(JSON.stringify({ runtime, ...found }))
