/** An application that tests itself on a disk that loses power. */
import { Recorder, Replay, Wal } from "effect-wal"
import { SimulatedDisk } from "effect-wal/testing"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

const directory = "/log"

const program = Effect.gen(function*() {
  const disk = yield* SimulatedDisk.SimulatedDisk
  yield* Effect.gen(function*() {
    const recorder = yield* Recorder.Recorder
    yield* recorder.appendDurable(Buffer.from("committed"))
  }).pipe(Effect.provide(Wal.layer({ directory })))
  yield* disk.crash
  const recovered = yield* Effect.provide(Recorder.Recorder, Wal.layer({ directory }))
  const events = yield* Stream.runCollect(Replay.events({ directory }))
  return {
    recovered: recovered.recovery.lastEventId,
    replayed: events.map(({ bytes }) => Buffer.from(bytes).toString())
  }
})

const options: SimulatedDisk.Options = { seed: 1 }
console.log(JSON.stringify(await Effect.runPromise(Effect.provide(program, SimulatedDisk.layer(options)))))
