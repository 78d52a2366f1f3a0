/**
 * The entry of a maintainer thread: one executor on memory that another thread made. Flushing and persisting use
 * blocking disk calls; freezing and freeing use Node's thread pool, so persisting never waits for them.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { parentPort, workerData } from "node:worker_threads"
import { Disk } from "../disk/Disk.ts"
import * as NodeDisk from "../disk/NodeDisk.ts"
import { invariant } from "../internal/invariant.ts"
import { moduleBeside } from "../internal/moduleBeside.ts"
import * as Arena from "../shared/Arena.ts"
import * as Queues from "../shared/SegmentQueues.ts"
import type { SegmentQueuesMemory } from "../shared/SegmentQueues.ts"
import * as Telemetry from "../telemetry/Telemetry.ts"
import { Compressor, threadedFrom } from "./Compressor.ts"
import * as MaintainerControl from "./executor/MaintainerControl.ts"
import * as MaintainerExecutor from "./executor/MaintainerExecutor.ts"
import { closedSegment, SegmentProof } from "./steps/SegmentProof.ts"
import type { ProofMaker } from "./steps/SegmentProof.ts"
import type { StepOutcome } from "./steps/StepOutcome.ts"

/** What a maintainer thread is given. */
export interface ThreadData {
  readonly executor: number
  readonly options: MaintainerExecutor.ExecutorOptions
  readonly control: SharedArrayBuffer
  readonly arena: SharedArrayBuffer | undefined
  readonly queues: SegmentQueuesMemory
  readonly telemetry: SharedArrayBuffer
  readonly proofModule: string | undefined
}

/** What a maintainer thread sends. */
export type ThreadMessage = StepOutcome | { readonly _tag: "Warning"; readonly message: string }

const port = parentPort
invariant(port !== null, "maintainerThread is run by SegmentMaintainerWorker")
const data: ThreadData = workerData

const loadProof = Effect.promise(async (): Promise<ProofMaker> => {
  if (data.proofModule === undefined) return closedSegment
  const module: { readonly proof?: ProofMaker } = await import(data.proofModule)
  invariant(module.proof !== undefined, `${data.proofModule} exports a proof`)
  return module.proof
})

const program = Effect.gen(function*() {
  const backgroundDisk = yield* Effect.provide(Disk.use(Effect.succeed), NodeDisk.layer)
  yield* MaintainerExecutor.run(data.options, {
    executor: data.executor,
    control: MaintainerControl.attach(data.control),
    arena: data.arena === undefined ? undefined : Arena.attach(data.arena),
    telemetry: Telemetry.attach(data.telemetry).updater(1 + data.executor),
    backgroundDisk,
    emit: (outcome) => port.postMessage(outcome satisfies ThreadMessage),
    warn: (message) => port.postMessage({ _tag: "Warning", message } satisfies ThreadMessage)
  })
}).pipe(
  // A bundler leaves an entry where it was told to, but may put the module of `Compressor` into any chunk.
  Effect.provideService(Compressor, threadedFrom(moduleBeside("compressorThread", import.meta.url))),
  Effect.provideServiceEffect(SegmentProof, loadProof),
  Effect.provide(NodeDisk.layerBlocking),
  Effect.provide(Queues.layerAttached(data.queues, data.executor))
)

const fiber = Effect.runFork(program)

// The only message that a thread ever gets is to stop. With its listener goes what keeps the thread alive, as soon as
// the executor has ended. The port is not closed: in Deno it cannot be.
port.once("message", () => void Effect.runFork(Fiber.interrupt(fiber)))
fiber.addObserver((exit) => {
  if (exit._tag === "Success") return
  if (exit.cause.reasons.every((reason) => reason._tag === "Interrupt")) return
  // Nothing catches this: it ends the thread, and the supervisor sees the error.
  setImmediate(() => {
    throw new Error(`the executor died: ${Cause.pretty(exit.cause)}`)
  })
})
