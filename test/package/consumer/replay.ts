/** An application that only reads. `replay.ts DIRECTORY` */
import { NodeDisk, Replay } from "effect-wal"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

const events = Replay.events({ directory: process.argv[2] ?? "./log" })
console.log(await Effect.runPromise(Effect.provide(Stream.runCount(events), NodeDisk.layer)))
