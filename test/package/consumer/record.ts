/** An application of somebody else, with the maintainer in a thread. `record.ts DIRECTORY` */
import { NodeDisk, Wal } from "effect-wal"
import * as Effect from "effect/Effect"
import { optionsFor, recordAndCheck } from "./recordAndCheck.ts"

const directory = process.argv[2] ?? "./log"

const found = await Effect.runPromise(
  Effect.provide(recordAndCheck(directory, Wal.layerWorker(optionsFor(directory))), NodeDisk.layer)
)
console.log(JSON.stringify({ node: process.version, ...found }))
