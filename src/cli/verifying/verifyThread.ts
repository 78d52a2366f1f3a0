/** The entry of the second thread of `verify`; see `VerifyAhead`. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { parentPort, workerData } from "node:worker_threads"
import * as NodeDisk from "../../disk/NodeDisk.ts"
import { invariant } from "../../internal/invariant.ts"
import { checkAlone } from "../../reading/recovery/Verify.ts"
import { begin } from "./VerifyAhead.ts"
import type { VerifyAnswer, VerifyTask } from "./VerifyAhead.ts"

const port = parentPort
invariant(port !== null, "verifyThread is run by VerifyAhead")
const task = workerData as VerifyTask

const verifyAll = Effect.gen(function*() {
  for (const [at, file] of task.files.entries()) {
    if (!begin(task, at)) continue
    const checked = Option.getOrUndefined(yield* Effect.option(checkAlone(file)))
    port.postMessage({ at, checked } satisfies VerifyAnswer)
  }
})

await Effect.runPromise(Effect.provide(verifyAll, NodeDisk.layerBlocking))
