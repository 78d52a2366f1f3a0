/** Runs under a limit of the process; prints what the first operation that hits it fails with. */
import * as Effect from "effect/Effect"
import { join } from "node:path"
import { Disk } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { detailOf } from "../fixtures/errors.ts"

const [root, kind] = process.argv.slice(2)
// Without a listener SIGXFSZ ends a process that writes past its limit.
process.on("SIGXFSZ", () => {})

const error = await Effect.runPromise(
  Effect.gen(function*() {
    const disk = yield* Disk
    for (let index = 0;; index++) {
      const file = yield* disk.open(join(root!, `${process.pid}-${index}`), "create")
      yield* file.write([new Uint8Array(8192)], index * 8192)
    }
  }).pipe(Effect.flip, Effect.provide(kind === "async" ? NodeDisk.layer : NodeDisk.layerBlocking))
)
process.stdout.write(`${error.operation} ${error.reason._tag} ${detailOf(error.reason)}\n`)
