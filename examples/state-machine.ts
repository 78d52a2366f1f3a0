/**
 * Accounts as a state machine over a log: payments are decided by the balances, answered when they are durable, and
 * forgotten by the log once they are in two snapshots.
 *
 *     node examples/state-machine.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NodeDisk, Wal } from "../src/index.ts"
import { StateMachine } from "../src/state/index.ts"

const Paid = Schema.Struct({ from: Schema.String, to: Schema.String, cents: Schema.Int })

class Payments extends Wal.Service<Payments>()("example/Payments", { event: Paid }) {}

const Balances = Schema.Record(Schema.String, Schema.Int)

const accounts = Effect.gen(function*() {
  return yield* StateMachine.make({
    log: yield* Payments,
    name: "accounts",
    state: Balances,
    initial: (): Record<string, number> => ({ bank: 1_000_000 }),
    apply: (balances, { cents, from, to }) =>
      Object.assign(balances, { [from]: (balances[from] ?? 0) - cents, [to]: (balances[to] ?? 0) + cents }),
    snapshotEvery: { events: 5000 }
  })
})

const program = Effect.gen(function*() {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-wal-state-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  // The log keeps little: what is older is in the snapshots.
  const limits = { maxSegments: 2, maxCompressedSegments: 2 }
  const payments = Payments.layer({ directory, segmentBytesMax: "128KiB", limits })

  const before = yield* Effect.scoped(Effect.gen(function*() {
    const machine = yield* accounts
    const pay = (from: string, to: string, cents: number) =>
      machine.update((balances) => (balances[from] ?? 0) < cents ? [false, []] : [true, [{ from, to, cents }]])
    // Many at once share a commit.
    const paid = yield* Effect.forEach(
      Array.from({ length: 20_000 }, (_, index) => index),
      (index) => index % 2 === 0 ? pay("bank", `client ${index % 100}`, 10) : pay(`client ${index % 7}`, "bank", 15),
      { concurrency: 256 }
    )
    yield* Console.log(`${paid.filter((isPaid) => isPaid).length} of ${paid.length} payments were covered`)
    yield* machine.snapshot
    return { ...yield* machine.get }
  })).pipe(Effect.provide(payments))

  yield* Effect.gen(function*() {
    const { positions } = yield* Payments
    const machine = yield* accounts
    const { foldedEvents, snapshotEventId } = machine.recovery
    yield* Console.log(
      `opened with the snapshot after event ${snapshotEventId} and ${foldedEvents} events; ` +
        `the log begins with event ${(yield* positions).deletedBefore}`
    )
    const after = yield* machine.get
    const sum = Object.values(after).reduce((total, balance) => total + balance, 0)
    const isSame = Object.entries(before).every(([name, balance]) => after[name] === balance)
    yield* Console.log(`the balances are ${isSame ? "the same" : "OTHERS"}, and sum up to ${sum}`)
    if (!isSame || sum !== 1_000_000) return yield* Effect.die(new Error("the state is another one"))
  }).pipe(Effect.scoped, Effect.provide(payments))
})

NodeRuntime.runMain(Effect.scoped(program).pipe(Effect.provide(NodeDisk.layer)))
