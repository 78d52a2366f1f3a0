/**
 * Shows other processes of the same machine the state of a running recorder. The recorder's process answers at a Unix
 * socket in its directory, `wal.monitor` (see MonitorSocket.ts). So every process that sees the directory finds it, in
 * whatever container it is and whatever its directory for temporary files. Between two questions nothing runs and
 * nothing is written.
 *
 * What is guaranteed:
 *
 * 1. The process that holds the directory's lock made the socket. It gets its name when it can be asked.
 * 2. The socket is removed when the layer's scope closes, before the recorder closes. A crash leaves it behind; then no
 *    process listens there, and the next recorder replaces it.
 * 3. A monitor that cannot be opened logs a warning and never stops the recording.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { resolve } from "node:path"
import { Disk, removeIfThere } from "../../disk/Disk.ts"
import { monitorName, monitorTemporaryName } from "../../disk/FileNames.ts"
import { pathIn } from "../../disk/SegmentDirectory.ts"
import { annotated } from "../../internal/annotated.ts"
import { path, requireOptions } from "../../internal/options.ts"
import { SegmentMaintainer } from "../../maintainer/SegmentMaintainer.ts"
import type { SegmentArena } from "../../shared/SegmentArena.ts"
import type { Telemetry } from "../../telemetry/Telemetry.ts"
import type { Recorder } from "../Recorder.ts"
import { MonitorError } from "./MonitorError.ts"
import { Unreadable } from "./MonitorReason.ts"
import { makeReporter, MonitorReport } from "./MonitorReport.ts"
import * as MonitorSocket from "./MonitorSocket.ts"

const Answer = Schema.fromJsonString(MonitorReport)

/**
 * Answers for as long as the layer lives.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import { Monitor, NodeDisk, Wal } from "effect-wal"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const program = Effect.gen(function*() {
 *   yield* (yield* Events).appendDurable(Buffer.from("hello"))
 *   // From this or from any other process of the machine, as `effect-wal stats --dir ./log` does.
 *   const report = yield* Monitor.read("./log")
 *   yield* Console.log(report?.positions) // => durable: 1
 * })
 *
 * const EventsLive = Monitor.layer.pipe(
 *   Layer.provide(Events.parts),
 *   Layer.provideMerge(Events.layer({ directory: "./log" }))
 * )
 *
 * await Effect.runPromise(program.pipe(Effect.provide(EventsLive), Effect.provide(NodeDisk.layer)))
 * ```
 */
export const layer: Layer.Layer<
  never,
  never,
  Recorder | SegmentMaintainer | SegmentArena | Telemetry | Disk
> = Layer.fresh(Layer.effectDiscard(
  Effect.flatMap(SegmentMaintainer, ({ directory }) => annotated("Monitor", directory)(answerIn(directory)))
))

const answerIn = (directory: string) =>
  Effect.gen(function*() {
    const disk = yield* Disk
    const report = yield* makeReporter
    const answer = Effect.orDie(Effect.flatMap(report, Schema.encodeEffect(Answer)))
    const path = pathIn(directory, monitorName)
    const temporary = pathIn(directory, monitorTemporaryName)
    yield* removeIfThere(temporary)
    yield* Effect.addFinalizer(() => Effect.ignore(removeIfThere(path)))
    yield* MonitorSocket.serve(temporary, answer)
    yield* disk.rename(temporary, path).pipe(Effect.onError(() => Effect.ignore(removeIfThere(temporary))))
  }).pipe(
    Effect.catch((error) => Effect.logWarning(`no monitor, stats and top will not see this recorder: ${error.message}`))
  )

/**
 * The report of the recorder that runs in a directory; `undefined` if none runs there, or none with a monitor.
 *
 * @since 0.1.0
 * @category asking
 */
export const read: (
  directory: string
) => Effect.Effect<MonitorReport | undefined, MonitorError> = Effect.fn("Monitor.read")(
  function*(directory: string) {
    requireOptions("arguments", Schema.Struct({ directory: path }), { directory })
    yield* Effect.annotateCurrentSpan("log", resolve(directory))
    const file = pathIn(directory, monitorName)
    const answer = yield* MonitorSocket.ask(file)
    if (answer === undefined) return undefined
    return yield* Effect.mapError(
      Schema.decodeEffect(Answer)(answer),
      () => new MonitorError({ reason: new Unreadable({ detail: "its answer" }), path: file })
    )
  }
)
