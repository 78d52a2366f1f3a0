/** An application whose maintainer thread dies. `restarted.ts DIRECTORY` */
import { NodeDisk } from "effect-wal"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { Numbers, optionsFor } from "./recordAndCheck.ts"

const directory = process.argv[2] ?? "./log"
process.env["MARK_OF_DEATH"] = `${directory}.died`
const threadModule = new URL("./dyingThread.ts", import.meta.url)

const program = Effect.gen(function*() {
  const { appendDurable, maintainer } = yield* Numbers
  while ((yield* maintainer.status).restarts === 0) yield* appendDurable(Buffer.from("before"))
  const after = yield* appendDurable(Buffer.from("after"))
  const { isDown, restarts } = yield* maintainer.status
  return { isDown, restarts, hasRecorded: after > 1 }
})

const found = await Effect.runPromise(program.pipe(
  Effect.provide(Numbers.layerWorker({ ...optionsFor(directory), threadModule })),
  // Standard output is for what is found.
  Effect.provide(Logger.layer([])),
  Effect.provide(NodeDisk.layer)
))
console.log(JSON.stringify(found))
