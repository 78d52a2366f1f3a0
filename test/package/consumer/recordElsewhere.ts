/** An application whose bundle has the threads in a folder of their own. `recordElsewhere.ts DIRECTORY thread|fiber` */
import { Compressor, NodeDisk } from "effect-wal"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Numbers, optionsFor, recordAndCheck, runtime } from "./recordAndCheck.ts"

const directory = process.argv[2] ?? "./log"
const options = optionsFor(directory)

const inThread = Numbers.layerWorker({
  ...options,
  threadModule: new URL("./threads/maintainerThread.js", import.meta.url)
})

const inFiber = Numbers.layer(options).pipe(Layer.provideMerge(
  Layer.succeed(
    Compressor.Compressor,
    Compressor.threadedFrom(new URL("./threads/compressorThread.js", import.meta.url))
  )
))

const found = await Effect.runPromise(
  Effect.provide(recordAndCheck(directory, process.argv[3] === "fiber" ? inFiber : inThread), NodeDisk.layer)
)
console.log(JSON.stringify({ runtime, ...found }))
