/** An application that tests itself on a disk that loses power. */
import { Wal } from "effect-wal"
import { SimulatedDisk } from "effect-wal/testing"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

class Words extends Wal.Service<Words>()("consumer/Words", { event: Schema.String }) {}

const directory = "/log"

const program = Effect.gen(function*() {
  const disk = yield* SimulatedDisk.SimulatedDisk
  yield* Words.use(({ appendDurable }) => appendDurable("committed")).pipe(Effect.provide(Words.layer({ directory })))
  yield* disk.crash
  const recovered = yield* Effect.provide(Words, Words.layer({ directory }))
  const events = yield* Stream.runCollect(Words.reader({ directory }).events())
  return {
    recovered: recovered.recovery.lastEventId,
    replayed: events.map(({ event }) => event)
  }
})

const options: SimulatedDisk.Options = { seed: 1 }
console.log(JSON.stringify(await Effect.runPromise(Effect.provide(program, SimulatedDisk.layer(options)))))
