/**
 * Takes the lock named in its first argument, reports that, and holds it until it is killed or its input ends. With a second
 * argument it begins at that time (Unix, milliseconds), so that several begin together.
 */
import * as Effect from "effect/Effect"
import { setTimeout } from "node:timers/promises"
import { Disk } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { detailOf } from "../fixtures/errors.ts"

await Effect.runPromise(
  Effect.gen(function*() {
    const disk = yield* Disk
    const begin = Number(process.argv[3] ?? 0)
    // Computing all the time, the five of them would keep one another from starting.
    yield* Effect.promise(() => setTimeout(Math.max(0, begin - Date.now() - 5)))
    while (Date.now() < begin) { /* nothing */ }
    yield* disk.lock(process.argv[2]!)
    process.stdout.write("held\n")
    yield* Effect.callback<void>((resume) => void process.stdin.resume().on("end", () => resume(Effect.void)))
  }).pipe(
    Effect.catch((error) =>
      Effect.sync(() => void process.stdout.write(`${error.reason._tag} ${detailOf(error.reason)}\n`))
    ),
    Effect.scoped,
    Effect.provide(NodeDisk.layerBlocking)
  )
)
