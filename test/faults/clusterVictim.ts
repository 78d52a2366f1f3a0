/**
 * The cluster that is killed. Callers send messages to entities and run workflows, and the program tells on its standard
 * output, with synchronous writes, what has happened, one line each:
 *
 * ```text
 * open                    the cluster answers
 * accepted NUMBER         a message was saved: nobody waits for its answer
 * processing NUMBER       an entity has a message
 * answered NUMBER LIFE    a caller has the answer; the message was processed in this life
 * step WORKFLOW NUMBER    an activity is executed
 * did WORKFLOW NUMBER     a workflow has the result of an activity
 * completed WORKFLOW SUM  a caller has the result of a workflow
 * ```
 */
import * as ClusterSchema from "effect/cluster/ClusterSchema"
import * as ClusterWorkflowEngine from "effect/cluster/ClusterWorkflowEngine"
import * as Entity from "effect/cluster/Entity"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import * as Activity from "effect/workflow/Activity"
import * as DurableClock from "effect/workflow/DurableClock"
import * as Workflow from "effect/workflow/Workflow"
import { writeSync } from "node:fs"
import * as WalSingleRunner from "../../src/cluster-storage/WalSingleRunner.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"

export interface ClusterVictimOptions {
  readonly directory: string
  readonly layer: "fiber" | "worker"
  readonly seed: number
  readonly life: number
  /** The number of the first message and of the first workflow that nobody has sent before. */
  readonly firstNumber: number
  /** Messages and workflows that were sent in lives before, to be sent again. */
  readonly again: ReadonlyArray<number>
  readonly workflowsAgain: ReadonlyArray<number>
  /** Whether it sends nothing new, and ends when everything that is sent again has its answer. */
  readonly isLast: boolean
}

const options: ClusterVictimOptions = JSON.parse(process.argv[2] ?? "{}")
const random = new SeededRandom(options.seed)
const tell = (...words: ReadonlyArray<string | number>): void => {
  writeSync(1, `${words.join(" ")}\n`)
}

class Mailbox extends Wal.Service<Mailbox>()("victim/Mailbox") {}

const Worker = Entity.make("Worker", [
  Rpc.make("Work", {
    payload: { number: Schema.Int },
    success: Schema.Int,
    primaryKey: ({ number }) => String(number)
  })
]).annotateRpcs(ClusterSchema.Persisted, true)

const WorkerLive = Worker.toLayer(
  Effect.succeed(Worker.of({
    Work: ({ payload: { number } }) =>
      Effect.gen(function*() {
        tell("processing", number)
        yield* Effect.sleep(random.below(10))
        return options.life
      })
  })),
  { concurrency: 4 }
)

const Steps = Workflow.make("Steps", {
  payload: { number: Schema.Int },
  success: Schema.Int,
  idempotencyKey: ({ number }) => String(number)
})

const stepsPerWorkflow = 4

const StepsLive = Steps.toLayer(Effect.fnUntraced(function*({ number }) {
  let sum = 0
  for (let step = 1; step <= stepsPerWorkflow; step++) {
    const execute = Effect.gen(function*() {
      tell("step", number, step)
      yield* Effect.sleep(random.below(10))
      return step
    })
    sum += yield* Activity.make({ name: `step ${step}`, success: Schema.Int, execute })
    tell("did", number, step)
    if (step === 2) yield* DurableClock.sleep({ name: "rest", duration: "20 millis", inMemoryThreshold: 0 })
  }
  return sum
}))

const Cluster = Layer.merge(WorkerLive, StepsLive).pipe(
  Layer.provideMerge(ClusterWorkflowEngine.layer),
  Layer.provideMerge(WalSingleRunner.layer({
    log: Mailbox,
    snapshotEvery: { bytes: "64KiB" },
    shardingConfig: { shardsPerGroup: 16, entityMessagePollInterval: "50 millis" }
  })),
  Layer.provide(
    Mailbox[options.layer === "worker" ? "layerWorker" : "layer"]({
      directory: options.directory,
      segmentBytesMax: "64KiB",
      limits: { maxSegments: 4, maxCompressedSegments: 2 }
    })
  ),
  Layer.provide(NodeDisk.layer),
  Layer.provide(Layer.succeed(References.MinimumLogLevel, "Error"))
)

const program = Effect.gen(function*() {
  const clientOf = yield* Worker.client
  const entity = (number: number) => clientOf(`worker ${number % 13}`)
  const ask = (number: number) => Effect.map(entity(number).Work({ number }), (life) => tell("answered", number, life))
  const runWorkflow = (number: number) => Effect.map(Steps.execute({ number }), (sum) => tell("completed", number, sum))
  tell("open")
  const oldOnes = Effect.all([
    Effect.forEach(options.again, ask, { concurrency: 16 }),
    Effect.forEach(options.workflowsAgain, runWorkflow, { concurrency: 16 })
  ], { concurrency: "unbounded" })
  if (options.isLast) return yield* oldOnes
  let next = options.firstNumber
  const send = Effect.suspend(() => {
    const number = next++
    const draw = random.below(10)
    if (draw < 4) return Effect.map(entity(number).Work({ number }, { discard: true }), () => tell("accepted", number))
    return draw < 8 ? ask(number) : runWorkflow(number)
  })
  const callers = Array.from({ length: 12 }, () => Effect.forever(Effect.andThen(Effect.sleep(random.below(4)), send)))
  yield* Effect.all([oldOnes, ...callers], { concurrency: "unbounded" })
})

await Effect.runPromise(Effect.provide(program, Cluster))
