/** Runs the one executor of a maintainer as a fiber of the application's runtime. */
import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import { Disk } from "../disk/Disk.ts"
import { Telemetry } from "../telemetry/Telemetry.ts"
import { blocking, Compressor } from "./Compressor.ts"
import * as MaintainerExecutor from "./executor/MaintainerExecutor.ts"
import type { ExecutorSeat } from "./executor/Supervisor.ts"

/** The host of that executor; its loop follows `schedule`, or the adaptive one. */
export const fiberHost = (schedule?: Schedule.Schedule<unknown, boolean>) => ({
  count: 1,
  spawn: (seat: ExecutorSeat) =>
    Effect.flatMap(Telemetry, (telemetry) =>
      MaintainerExecutor.run(seat.options, {
        schedule,
        executor: seat.executor,
        control: seat.control,
        arena: seat.arena,
        telemetry: telemetry.updater(0),
        emit: seat.emit,
        warn: seat.warn
      })).pipe(withoutThreadsOnSimulatedDisk)
})

/** What a thread does comes when it comes. On a simulated disk everything follows from its seed and the clock. */
export const withoutThreadsOnSimulatedDisk = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Disk> =>
  Effect.gen(function*() {
    const { isSimulated } = yield* Disk
    const isChosen = (yield* Effect.context<never>()).mapUnsafe.has(Compressor.key)
    return yield* isSimulated === true && !isChosen ? Effect.provideService(effect, Compressor, blocking) : effect
  })
