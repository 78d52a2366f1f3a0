/**
 * Shows other processes of the same machine the state of a running recorder. The recorder's process answers at a Unix
 * domain socket (see MonitorSocket.ts); the file `wal.monitor` in the recorder's directory names it. Between two
 * questions nothing runs and nothing is written.
 *
 * What is guaranteed:
 *
 * 1. The process that holds the directory's lock wrote the file. It is written whole, under another name first.
 * 2. The file is removed when the layer's scope closes, before the recorder closes. A crash leaves it behind; then no
 *    process listens at its socket, which readers treat as no file.
 * 3. A monitor that cannot be opened logs a warning and never stops the recording.
 *
 * @since 0.1.0
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Disk, openScoped, readFully, removeIfThere, writeFully } from "../../disk/Disk.ts"
import type { DiskError } from "../../disk/Disk.ts"
import { monitorName, monitorTemporaryName } from "../../disk/FileNames.ts"
import { pathIn } from "../../disk/SegmentDirectory.ts"
import { path, requireOptions } from "../../internal/options.ts"
import { SegmentMaintainer } from "../../maintainer/SegmentMaintainer.ts"
import type { SegmentArena } from "../../shared/SegmentArena.ts"
import type { Telemetry } from "../../telemetry/Telemetry.ts"
import type { Recorder } from "../Recorder.ts"
import { makeReporter, MonitorReport } from "./MonitorReport.ts"
import * as MonitorSocket from "./MonitorSocket.ts"
import { MonitorError } from "./MonitorSocket.ts"

export type { MonitorError } from "./MonitorSocket.ts"

const Address = Schema.fromJsonString(
  Schema.Struct({ version: Schema.Literal(1), pid: Schema.Int, socket: Schema.String })
)
const Answer = Schema.fromJsonString(MonitorReport)

/** A path has at most 4,096 bytes; anything longer is no address. */
const addressBytesMax = 8192

/**
 * Answers for as long as the layer lives.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { Monitor, NodeDisk, Recorder, Wal } from "effect-wal"
 *
 * const program = Effect.gen(function*() {
 *   yield* (yield* Recorder.Recorder).appendDurable(Buffer.from("hello"))
 *   // From this or from any other process of the machine, as `effect-wal stats --dir ./log` does.
 *   const report = yield* Monitor.read("./log")
 *   yield* Console.log(report?.positions) // => durable: 1
 * })
 *
 * const RecorderLive = Monitor.layer.pipe(Layer.provideMerge(Wal.layer({ directory: "./log" })))
 *
 * await Effect.runPromise(program.pipe(Effect.provide(RecorderLive), Effect.provide(NodeDisk.layer)))
 * ```
 */
export const layer: Layer.Layer<
  never,
  never,
  Recorder | SegmentMaintainer | SegmentArena | Telemetry | Disk
> = Layer.effectDiscard(
  Effect.gen(function*() {
    const { directory } = yield* SegmentMaintainer
    const report = yield* makeReporter
    const answer = Effect.orDie(Effect.flatMap(report, Schema.encodeEffect(Answer)))
    const socket = yield* MonitorSocket.serve(answer)
    yield* publish(directory, yield* Schema.encodeEffect(Address)({ version: 1, pid: process.pid, socket }))
  }).pipe(
    Effect.catch((error) =>
      Effect.logWarning(`no monitor, stats and top will not see this recorder: ${error.message}`)
    ),
    Effect.provide(NodeFileSystem.layer)
  )
)

/**
 * The file, for as long as the scope lives. It is a hint about a living process and need not survive a power failure.
 */
const publish = Effect.fnUntraced(function*(directory: string, address: string) {
  const disk = yield* Disk
  const path = pathIn(directory, monitorName)
  const temporary = pathIn(directory, monitorTemporaryName)
  yield* removeIfThere(temporary)
  yield* Effect.addFinalizer(() => Effect.ignore(removeIfThere(path)))
  yield* Effect.scoped(Effect.gen(function*() {
    const file = yield* openScoped(temporary, "create")
    yield* writeFully(file, [new TextEncoder().encode(address)], 0)
  }))
  yield* disk.rename(temporary, path)
})

/**
 * The report of the recorder that runs in a directory; `undefined` if none runs there, or none with a monitor.
 *
 * @since 0.1.0
 * @category asking
 */
export const read: (
  directory: string
) => Effect.Effect<MonitorReport | undefined, MonitorError | DiskError, Disk> = Effect.fn("Monitor.read")(
  function*(directory: string) {
    requireOptions("arguments", Schema.Struct({ directory: path }), { directory })
    const file = pathIn(directory, monitorName)
    const unreadable = (detail: string) => () => new MonitorError({ reason: "Unreadable", path: file, detail })
    const address = yield* readAddress(file)
    if (address === undefined) return undefined
    const { socket } = yield* Effect.mapError(
      Schema.decodeEffect(Address)(address),
      unreadable("remove it if no recorder runs")
    )
    const answer = yield* MonitorSocket.ask(socket)
    if (answer === undefined) return undefined
    return yield* Effect.mapError(Schema.decodeEffect(Answer)(answer), unreadable("its answer"))
  }
)

const readAddress = (path: string): Effect.Effect<string | undefined, DiskError, Disk> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* openScoped(path, "read")
    const bytes = new Uint8Array(addressBytesMax)
    return new TextDecoder().decode(bytes.subarray(0, yield* readFully(file, bytes, 0)))
  })).pipe(Effect.catchIf((error) => error.reason === "NotFound", () => Effect.succeed(undefined)))
