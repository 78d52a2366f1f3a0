/**
 * A state that is folded from a log, with snapshots, while retention deletes most of the log. The second life begins with the
 * newest snapshot and folds the few events after it.
 *
 *     node examples/state-machine.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NodeDisk, Replay, Wal } from "../src/index.ts"
import { StateMachine } from "../src/state/index.ts"

const directory = fs.mkdtempSync(join(tmpdir(), "effect-wal-state-"))
const accounts = 100
const transfers = 20_000

const Transfer = Schema.Struct({ from: Schema.Int, to: Schema.Int, cents: Schema.Int })
class Transfers extends Wal.Service<Transfers>()("example/Transfers", { event: Transfer }) {}

const bank = Effect.flatMap(Transfers, (log) =>
  StateMachine.make({
    log,
    state: Schema.mutable(Schema.Array(Schema.Int)),
    initial: () => Array.from({ length: accounts }, () => 1000),
    // In place: a copy of every balance for each transfer would be slow.
    apply: (balances, { cents, from, to }) => {
      balances[from]! -= cents
      balances[to]! += cents
      return balances
    },
    snapshotEvery: { events: 2000 }
  }))

type Bank = Effect.Success<typeof bank>

/** Answers whether there was enough. Two transfers at once cannot spend the same money. */
const transfer = (bank: Bank, from: number, to: number, cents: number) =>
  bank.update((balances) => balances[from]! < cents ? [false, []] : [true, [{ from, to, cents }]])

const TransfersLive = Transfers.layerWorker({
  directory,
  segmentBytesMax: "64KiB",
  limits: { maxSegments: 2, maxCompressedSegments: 4 }
})

const work = Effect.gen(function*() {
  const open = yield* bank
  const answers = yield* Effect.forEach(
    Array.from({ length: transfers }, (_, i) => i),
    (i) => transfer(open, i * 7 % accounts, i * 13 % accounts, i * 31 % 400),
    { concurrency: 500 }
  )
  yield* Console.log(`${answers.filter((isDone) => isDone).length} of ${transfers} transfers were possible`)
  return yield* open.read((balances) => balances.join())
}).pipe(Effect.scoped, Effect.provide(TransfersLive))

const lookAgain = Effect.gen(function*() {
  const { read, recovery } = yield* bank
  const oldest = Option.getOrThrow(yield* Replay.firstAvailableId(directory))
  yield* Console.log(`the oldest event that is left is ${oldest}`)
  yield* Console.log(
    `opened from the snapshot of event ${recovery.snapshotEventId} and ${recovery.foldedEvents} events`
  )
  return yield* read((balances) => balances.join())
}).pipe(Effect.scoped, Effect.provide(TransfersLive))

NodeRuntime.runMain(
  Effect.gen(function*() {
    const before = yield* work
    const after = yield* lookAgain
    if (before !== after) return yield* Effect.die(new Error("the balances are others"))
    yield* Console.log("every balance is as it was")
  }).pipe(
    Effect.provide(NodeDisk.layer),
    Effect.ensuring(Effect.sync(() => fs.rmSync(directory, { recursive: true })))
  )
)
