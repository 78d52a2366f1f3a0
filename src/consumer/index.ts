/**
 * The names of what `log.consumer` gives: a reader whose position the log's directory keeps, so it gets every event at
 * least once, across restarts. A log has consumers without this entry, which is for programs that name their types.
 *
 * **Example** (Naming the types of a consumer)
 *
 * ```ts
 * import { Console, Effect } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 * import type { Consumer } from "effect-wal/consumer"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const work = (consumer: Consumer<Uint8Array>) =>
 *   consumer.forEach(({ event, id }) => Console.log(id, Buffer.from(event).toString()), { // => 1 hello
 *     follow: false
 *   })
 *
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const events = yield* Events
 *   yield* events.appendDurable(Buffer.from("hello"))
 *   yield* work(yield* events.consumer("worker"))
 * }))
 *
 * await Effect.runPromise(
 *   program.pipe(Effect.provide(Events.layer({ directory: "./log" })), Effect.provide(NodeDisk.layer))
 * )
 * ```
 *
 * @since 0.1.0
 */
export type { DurableHold, DurableHoldStatus } from "../maintainer/SegmentMaintainer.ts"
export type {
  Consumer,
  ConsumerOptions,
  DeadLetter,
  FailedEvent,
  MissingEvents,
  ProcessOptions
} from "../recorder/consumer/Consumer.ts"
export { ConsumerTaken } from "../recorder/consumer/ConsumerTaken.ts"
