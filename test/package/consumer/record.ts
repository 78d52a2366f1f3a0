/** An application of somebody else, with the maintainer in a thread. `record.ts DIRECTORY` */
import { NodeDisk } from "effect-wal"
import * as Effect from "effect/Effect"
import { Numbers, optionsFor, recordAndCheck } from "./recordAndCheck.ts"

const directory = process.argv[2] ?? "./log"

const found = await Effect.runPromise(
  Effect.provide(recordAndCheck(directory, Numbers.layerWorker(optionsFor(directory))), NodeDisk.layer)
)
console.log(JSON.stringify({ node: process.version, ...found }))
