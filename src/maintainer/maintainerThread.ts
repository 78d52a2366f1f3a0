/**
 * The entry of a maintainer thread: executors of any number of logs, each on memory that another thread made. Flushing
 * and persisting use blocking disk calls; freezing and freeing use Node's thread pool, so persisting never waits for
 * them.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { parentPort } from "node:worker_threads"
import { Disk } from "../disk/Disk.ts"
import * as NodeDisk from "../disk/NodeDisk.ts"
import { invariant } from "../internal/invariant.ts"
import * as Arena from "../shared/Arena.ts"
import * as Queues from "../shared/SegmentQueues.ts"
import * as Telemetry from "../telemetry/Telemetry.ts"
import { Compressor } from "./Compressor.ts"
import type { Subscriber } from "./compressor/CompressorExchange.ts"
import * as ThreadedCompressor from "./compressor/ThreadedCompressor.ts"
import * as MaintainerControl from "./executor/MaintainerControl.ts"
import * as MaintainerExecutor from "./executor/MaintainerExecutor.ts"
import * as ThreadShare from "./executor/ThreadShare.ts"
import { loadProof } from "./steps/ProofModule.ts"
import { SegmentProof } from "./steps/SegmentProof.ts"
import type { FromThread, SeatData, ToThread } from "./threads/ThreadMessages.ts"

const port = parentPort
invariant(port !== null, "maintainerThread is run by SegmentMaintainerWorker")
const send = (message: FromThread): void => port.postMessage(message)

let lines: Subscriber | undefined
const compressor = ThreadedCompressor.make((subscriber) => {
  lines = subscriber
  return { want: (thread) => send({ _tag: "CompressorWanted", thread }), end: () => {} }
})

const seats = new Map<number, Fiber.Fiber<void>>()
const isAlone = (): boolean => seats.size === 1
const thread = ThreadShare.make(isAlone)

const execute = (seat: number, data: SeatData) =>
  Effect.gen(function*() {
    const backgroundDisk = yield* Effect.provide(Disk.use(Effect.succeed), NodeDisk.layer)
    yield* MaintainerExecutor.run(data.options, {
      executor: data.executor,
      control: MaintainerControl.attach(data.control),
      arena: data.arena === undefined ? undefined : Arena.attach(data.arena),
      telemetry: Telemetry.attach(data.telemetry).updater(1 + data.executor),
      backgroundDisk,
      thread,
      emit: (outcome) => send({ _tag: "Outcome", seat, outcome }),
      warn: (message) => send({ _tag: "Warning", seat, message })
    })
  }).pipe(
    Effect.provideService(Compressor, compressor),
    Effect.provideServiceEffect(SegmentProof, loadProof(data.proofModule)),
    Effect.provide(NodeDisk.layerBlockingWhile(isAlone)),
    Effect.provide(Queues.layerAttached(data.queues, data.executor))
  )

const begin = (seat: number, data: SeatData): void => {
  const fiber = Effect.runFork(execute(seat, data))
  seats.set(seat, fiber)
  fiber.addObserver((exit) => {
    seats.delete(seat)
    const isDeath = exit._tag === "Failure" && !Cause.hasInterruptsOnly(exit.cause)
    send({ _tag: "Ended", seat, defect: isDeath ? `the executor died: ${Cause.pretty(exit.cause)}` : undefined })
  })
}

const take = (message: ToThread): void => {
  switch (message._tag) {
    case "Begin":
      return begin(message.seat, message.data)
    case "End":
      return seats.get(message.seat)?.interruptUnsafe()
    case "Stop":
      // With its listener goes what keeps the thread alive. The port is not closed: in Deno it cannot be.
      return void port.off("message", take)
    case "CompressorLine":
      return lines?.connect(message.line)
    case "CompressorEnded":
      return lines?.disconnect(message.thread, message.error)
    case "CompressorRefused":
      return lines?.refuse(message.error)
  }
}

port.on("message", take)
