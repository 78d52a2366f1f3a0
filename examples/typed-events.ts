/**
 * Events with a Schema: a union of what can happen is encoded on its way in, decoded on its way out, and folded into a
 * state. What does not fit the schema is refused before anything is written.
 *
 *     node examples/typed-events.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NodeDisk, Wal } from "../src/index.ts"

class Opened extends Schema.TaggedClass<Opened>()("Opened", {
  account: Schema.NonEmptyString,
  at: Schema.DateTimeUtc
}) {}

class Deposited extends Schema.TaggedClass<Deposited>()("Deposited", {
  account: Schema.NonEmptyString,
  cents: Schema.Int.check(Schema.isGreaterThan(0))
}) {}

class Accounts extends Wal.Service<Accounts>()("example/Accounts", { event: Schema.Union([Opened, Deposited]) }) {}

const directory = mkdtempSync(join(tmpdir(), "effect-wal-typed-"))

const record = Effect.gen(function*() {
  const accounts = yield* Accounts
  yield* accounts.append(new Opened({ account: "ada", at: yield* DateTime.now }))
  yield* accounts.append(new Opened({ account: "grace", at: yield* DateTime.now }))
  for (let cents = 1; cents <= 1000; cents++) {
    yield* accounts.append(new Deposited({ account: cents % 2 === 0 ? "ada" : "grace", cents }))
  }
  const wrong = Object.assign(new Deposited({ account: "ada", cents: 1 }), { cents: -5 })
  yield* accounts.append(wrong).pipe(
    Effect.catchReason("RecorderError", "Unencodable", ({ _tag }) => Console.log(`refused: ${_tag}`))
  )
  yield* Console.log(`${yield* accounts.commit} events are durable`)
}).pipe(Effect.provide(Accounts.layer({ directory })))

const balances = Accounts.reader({ directory }).events().pipe(
  Stream.runFold(() => new Map<string, number>(), (balances, { event }) => {
    const before = balances.get(event.account) ?? 0
    return balances.set(event.account, event._tag === "Deposited" ? before + event.cents : before)
  })
)

NodeRuntime.runMain(
  Effect.gen(function*() {
    yield* record
    const found = yield* balances
    yield* Console.log("balances after the replay:", Object.fromEntries(found))
    if (found.get("ada") !== 250_500 || found.get("grace") !== 250_000) {
      return yield* Effect.die(new Error("the balances are wrong"))
    }
  }).pipe(
    Effect.provide(NodeDisk.layer),
    Effect.ensuring(Effect.sync(() => rmSync(directory, { recursive: true })))
  )
)
