/**
 * Limits the rate at which a disk is read, for work that must not be in the way of other work. Bytes are paid for after
 * they were read, so a read of 4 MiB at 50 MiB/s is followed by a wait of 80 ms. Everything but reading runs at full
 * speed.
 *
 * @since 0.1.0
 */
import type * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import { requireSize } from "../internal/arguments.ts"
import { elapsedMillis } from "../internal/elapsed.ts"
import { Disk } from "./Disk.ts"

/**
 * The disk of the context at a rate, for one effect. Time spent otherwise counts: the rate is that of all reads
 * from the beginning on.
 *
 * @since 0.1.0
 * @category reading
 * @example
 * ```ts
 * import { Console, Effect } from "effect"
 * import { Disk, NodeDisk, Verify, Wal } from "effect-wal"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const record = Effect.flatMap(Events, ({ append }) => append(Buffer.from("hello"))).pipe(
 *   Effect.provide(Events.layer({ directory: "./log" }))
 * )
 *
 * // Beside a busy recorder: no more than 50 MiB a second.
 * const verify = Disk.withReadRate(Verify.verify({ directory: "./log" }), "50MiB")
 *
 * const program = Effect.gen(function*() {
 *   yield* record
 *   yield* Console.log((yield* verify).faults.length) // => 0
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(NodeDisk.layer)))
 * ```
 */
export const withReadRate = <A, E, R>(
  work: Effect.Effect<A, E, R>,
  bytesPerSecond: number | `${number}${"" | " "}${ByteSize.Unit}`
): Effect.Effect<A, E, R | Disk> =>
  Effect.gen(function*() {
    const bytesPerMilli = requireSize("bytesPerSecond", bytesPerSecond, 1) / 1000
    const disk = yield* Disk
    const begunMillis = yield* elapsedMillis
    let bytesRead = 0
    const pay = Effect.fnUntraced(function*(bytes: number) {
      bytesRead += bytes
      const dueMillis = begunMillis + bytesRead / bytesPerMilli
      const waitMillis = dueMillis - (yield* elapsedMillis)
      if (waitMillis >= 1) yield* Effect.sleep(waitMillis)
    })
    const slow = Disk.of({
      ...disk,
      open: (path, mode) =>
        Effect.map(disk.open(path, mode), (file) => ({
          ...file,
          read: (target: Uint8Array, offset: number) => Effect.tap(file.read(target, offset), pay)
        }))
    })
    return yield* Effect.provideService(work, Disk, slow)
  })
