/**
 * A workflow that is killed in the middle of an activity and goes on after a restart: what was done is not done again. There
 * is no database; the messages of the cluster are a log in a directory.
 *
 *     node examples/workflow.ts
 *
 * It starts itself twice as a child. The first child is killed with SIGKILL while it ships an order that it has charged; the
 * second one ships it.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as ClusterWorkflowEngine from "effect/cluster/ClusterWorkflowEngine"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import * as Activity from "effect/workflow/Activity"
import * as DurableClock from "effect/workflow/DurableClock"
import * as Workflow from "effect/workflow/Workflow"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { WalSingleRunner } from "../src/cluster-storage/index.ts"
import { NodeDisk, Wal } from "../src/index.ts"

class Mailbox extends Wal.Service<Mailbox>()("example/Mailbox") {}

const Order = Workflow.make("Order", {
  payload: { id: Schema.String },
  success: Schema.String,
  idempotencyKey: ({ id }) => id
})

/** Tells who does something, and what came of it. */
const activity = (name: string, work: Effect.Effect<void>) =>
  Activity.make({
    name,
    success: Schema.String,
    execute: Effect.gen(function*() {
      yield* Console.log(`${name} begins`)
      yield* work
      return `${name} by ${process.env.LIFE}`
    })
  })

const OrderLive = Order.toLayer(Effect.fnUntraced(function*() {
  const charged = yield* activity("charge", Effect.void)
  yield* DurableClock.sleep({ name: "cool-off", duration: "50 millis", inMemoryThreshold: 0 })
  // The first life never gets further.
  const shipped = yield* activity("ship", process.env.LIFE === "first" ? Effect.never : Effect.void)
  return `${charged}, ${shipped}`
}))

const Cluster = (directory: string) =>
  ClusterWorkflowEngine.layer.pipe(
    Layer.provideMerge(WalSingleRunner.layer({
      log: Mailbox,
      shardingConfig: { entityMessagePollInterval: "50 millis" }
    })),
    Layer.provide(Mailbox.layerWorker({ directory })),
    Layer.provide(NodeDisk.layer),
    // The start after a kill tells in two lines what it has found.
    Layer.provide(Layer.succeed(References.MinimumLogLevel, "Warn"))
  )

const life = (directory: string) =>
  Effect.gen(function*() {
    yield* Console.log(`result: ${yield* Order.execute({ id: "order-1" })}`)
  }).pipe(Effect.provide(OrderLive.pipe(Layer.provideMerge(Cluster(directory)))))

/** Runs a life; kills it as soon as it prints this line. Gives the lines. */
const runLife = async (name: string, directory: string, fatalLine?: string): Promise<ReadonlyArray<string>> => {
  const child = spawn(process.execPath, [import.meta.filename, directory], {
    env: { ...process.env, LIFE: name },
    stdio: ["ignore", "pipe", "inherit"]
  })
  const lines: Array<string> = []
  createInterface({ input: child.stdout }).on("line", (line) => {
    console.log(`  ${name} life: ${line}`)
    lines.push(line)
    if (line === fatalLine) child.kill("SIGKILL")
  })
  const [exitCode, signal] = await once(child, "close")
  console.log(`  ${name} life: ended ${signal === null ? `with ${exitCode}` : `by ${signal}`}`)
  return lines
}

const bothLives = async (): Promise<void> => {
  const root = mkdtempSync(join(tmpdir(), "effect-wal-workflow-"))
  try {
    const directory = join(root, "mailbox")
    await runLife("first", directory, "ship begins")
    const lines = await runLife("second", directory)
    const expected = ["ship begins", "result: charge by first, ship by second"]
    if (JSON.stringify(lines) !== JSON.stringify(expected)) throw new Error(`unexpected: ${lines.join("; ")}`)
    console.log("the order was charged once, and shipped")
  } finally {
    rmSync(root, { recursive: true })
  }
}

const [directory] = process.argv.slice(2)
if (directory === undefined) await bothLives()
else NodeRuntime.runMain(life(directory))
