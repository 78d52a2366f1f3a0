/** What is promised of our storage beyond the interface: what survives, what goes, and what stays small. */
import { assert, describe, it } from "@effect/vitest"
import type * as Envelope from "effect/cluster/Envelope"
import type * as MessageStorage from "effect/cluster/MessageStorage"
import * as Snowflake from "effect/cluster/Snowflake"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { lineOfEnvelope, lineOfReply, parse } from "../../src/cluster-storage/Change.ts"
import { answersMax, Messages } from "../../src/cluster-storage/Messages.ts"
import * as WalMessageStorage from "../../src/cluster-storage/WalMessageStorage.ts"
import type { Disk } from "../../src/disk/Disk.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { whileClockTurns } from "../maintainer/maintaining.ts"
import { sweepStep, swept } from "../sweep.ts"
import { ackOf, address, chunkOf, exitOf, interruptOf, keyOf, Mailbox, openOurs, request } from "./subjects.ts"

type Storage = MessageStorage.Encoded
type Request = Envelope.PartialRequestEncoded

const shards: [string] = ["default:1"]
const quiet = Layer.succeed(References.MinimumLogLevel, "None")

const withStorage = <E>(
  work: (storage: Storage) => Effect.Effect<void, E, SimulatedDisk.SimulatedDisk | Disk | Scope.Scope>
) =>
  Effect.flatMap(openOurs, work).pipe(
    // A ruling that fails leaves a disk that fails, on which no log closes.
    Effect.ensuring(
      Effect.andThen(SimulatedDisk.SimulatedDisk.use((disk) => disk.heal), TestClock.adjust("2 seconds"))
    ),
    Effect.scoped,
    Effect.provide(SimulatedDisk.layer({ seed: 1 })),
    Effect.provide(quiet)
  )

const save = (storage: Storage, envelope: Envelope.Encoded, primaryKey: string | null = null) =>
  storage.saveEnvelope({ envelope, primaryKey, deliverAt: null })

const idsOf = (messages: ReadonlyArray<{ readonly envelope: Envelope.Encoded }>) =>
  messages.map(({ envelope }) => envelope._tag === "Request" ? envelope.requestId : envelope.id)

/** What the storage has told callers, and what they have asked for. */
class Witness {
  readonly accepted = new Map<string, string>()
  readonly answered = new Map<string, string>()
  readonly asked = new Set<string>()
  readonly pairs: Array<readonly [Request, Request]> = []
  readonly acceptedPairs = new Set<string>()
}

/** A caller that saves requests with keys, answers them as they are handed out, and saves some in transactions. */
const caller = Effect.fnUntraced(function*(storage: Storage, witness: Witness, name: string) {
  for (let number = 0; number < 6; number++) {
    const one = request({ address: address(name) })
    const key = keyOf(one, String(number))
    yield* save(storage, one, key)
    witness.accepted.set(one.requestId, key)
    const pair = [request({ address: address(name) }), request({ address: address(name) })] as const
    witness.pairs.push(pair)
    yield* storage.withTransaction(Effect.forEach(pair, (each) => save(storage, each)))
    witness.acceptedPairs.add(pair[0].requestId)
    const messages = yield* storage.unprocessedMessages(shards, 0, { limit: 2 })
    for (const { envelope } of messages) {
      const answer = exitOf(envelope as Request, name)
      witness.asked.add(answer.id)
      yield* storage.saveReply(answer)
      witness.answered.set(envelope.requestId, answer.id)
    }
  }
})

/** Holds a storage to what its witness has seen. */
const check = Effect.fnUntraced(function*(storage: Storage, witness: Witness, words: string) {
  const handedOut = new Set(idsOf(yield* storage.unprocessedMessages(shards, 0)))
  for (const [id, key] of witness.accepted) {
    assert.deepStrictEqual(yield* storage.requestIdForPrimaryKey(key), Option.some(Snowflake.Snowflake(id)), words)
    const replies = yield* storage.repliesFor([id])
    assert.isTrue(replies.every((reply) => witness.asked.has(reply.id)), words)
    assert.strictEqual(
      handedOut.has(id),
      replies.length === 0,
      `${words}: request ${id} has an answer or is handed out`
    )
  }
  for (const [id, replyId] of witness.answered) {
    assert.isFalse(handedOut.has(id), `${words}: request ${id} was answered`)
    assert.deepStrictEqual((yield* storage.repliesFor([id])).map((reply) => reply.id), [replyId], words)
  }
  for (const [first, second] of witness.pairs) {
    const [one, other] = yield* Effect.forEach(
      [first, second],
      ({ requestId }) =>
        Effect.map(storage.repliesFor([requestId]), (replies) => handedOut.has(requestId) || replies.length > 0)
    )
    assert.strictEqual(one, other, `${words}: a transaction is there as a whole or not at all`)
    if (witness.acceptedPairs.has(first.requestId)) assert.isTrue(one, words)
  }
})

describe("a power failure", () => {
  it.effect("at any operation loses no message that was accepted, and hands out none whose answer was acknowledged", () =>
    Effect.gen(function*() {
      let crashes = 0
      for (const operation of swept(8)) {
        const services = yield* Layer.build(Layer.fresh(SimulatedDisk.layer({ seed: operation })))
        const simulated = Context.get(services, SimulatedDisk.SimulatedDisk)
        const witness = new Witness()
        const live = Effect.gen(function*() {
          const scope = yield* Scope.make()
          return { scope, storage: yield* Scope.provide(openOurs, scope) }
        }).pipe(Effect.provideContext(services))
        const { scope, storage } = yield* whileClockTurns(live)
        yield* simulated.crashAt((yield* simulated.operationCount) + operation)
        const work = Effect.forEach(
          ["one", "two", "three"],
          (name) => Effect.exit(caller(storage, witness, name)),
          { concurrency: "unbounded" }
        )
        const exits = yield* whileClockTurns(work)
        yield* whileClockTurns(Effect.exit(Scope.close(scope, Exit.void)))
        const words = `operation ${operation}`
        const isOver = exits.every(Exit.isSuccess)
        yield* simulated.crash
        yield* simulated.heal
        const again = yield* whileClockTurns(live)
        yield* check(again.storage, witness, words)
        yield* whileClockTurns(Scope.close(again.scope, Exit.void))
        if (isOver) break
        crashes += 1
      }
      assert.isAbove(crashes, 20 / sweepStep)
    }).pipe(Effect.scoped, Effect.provide(quiet)))
})

describe("what is saved", () => {
  it.effect("is not acknowledged, and not handed out, before it is durable", () =>
    withStorage((storage) =>
      Effect.gen(function*() {
        const disk = yield* SimulatedDisk.SimulatedDisk
        const first = request()
        yield* save(storage, first)
        yield* disk.failAlways("sync", "Io")
        const second = request()
        const calls = yield* Effect.forEach([
          save(storage, second),
          save(storage, request(), keyOf(second, "a")),
          storage.saveReply(exitOf(first)),
          storage.requestIdForPrimaryKey(keyOf(second, "a"))
        ], (call: Effect.Effect<unknown, unknown>) => Effect.forkChild(call))
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(calls.map((call) => call.pollUnsafe()), calls.map(() => undefined))
        assert.deepStrictEqual(yield* storage.unprocessedMessages(shards, 0), [])
        yield* disk.heal
        yield* TestClock.adjust("2 seconds")
        yield* Effect.forEach(calls, Fiber.join)
        assert.lengthOf(yield* storage.unprocessedMessages(shards, 0), 2)
      })
    ))

  it.effect("is read without a wait for what is under way about others", () =>
    withStorage((storage) =>
      Effect.gen(function*() {
        const disk = yield* SimulatedDisk.SimulatedDisk
        const first = request()
        const answer = exitOf(first)
        yield* save(storage, first, keyOf(first, "a"))
        yield* storage.saveReply(answer)
        yield* disk.failAlways("sync", "Io")
        const other = yield* Effect.forkChild(save(storage, request()))
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(yield* storage.repliesFor([first.requestId]), [answer])
        assert.isTrue(Option.isSome(yield* storage.requestIdForPrimaryKey(keyOf(first, "a"))))
        assert.isUndefined(other.pollUnsafe())
        yield* disk.heal
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(other)
      })
    ))

  it.effect("is handed out when it is durable, although its sender no longer waits", () =>
    withStorage((storage) =>
      Effect.gen(function*() {
        const disk = yield* SimulatedDisk.SimulatedDisk
        yield* disk.failAlways("sync", "Io")
        const saved = request()
        const sender = yield* Effect.forkChild(save(storage, saved))
        yield* TestClock.adjust(0)
        yield* Fiber.interrupt(sender)
        yield* disk.heal
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(idsOf(yield* storage.unprocessedMessages(shards, 0)), [saved.requestId])
      })
    ))

  it.effect("after a transaction's end, by a fiber of it, is no part of it", () =>
    withStorage((storage) =>
      Effect.gen(function*() {
        const saved = request()
        const late = yield* storage.withTransaction(
          Effect.forkDetach(Effect.andThen(Effect.sleep("1 second"), save(storage, saved)))
        )
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(late)
        assert.deepStrictEqual(idsOf(yield* storage.unprocessedMessages(shards, 0)), [saved.requestId])
      })
    ))

  it.effect("in a transaction under a key that was taken meanwhile is the duplicate", () =>
    withStorage((storage) =>
      Effect.gen(function*() {
        const [ours, theirs] = [request(), request()]
        const key = keyOf(ours, "a")
        yield* storage.withTransaction(Effect.gen(function*() {
          yield* save(storage, ours, key)
          // Another fiber is in no transaction.
          yield* Fiber.join(yield* Effect.forkDetach(outside(save(storage, theirs, key))))
        }))
        assert.deepStrictEqual(
          yield* storage.requestIdForPrimaryKey(key),
          Option.some(Snowflake.Snowflake(theirs.requestId))
        )
        assert.deepStrictEqual(idsOf(yield* storage.unprocessedMessages(shards, 0)), [theirs.requestId])
      })
    ))
})

/** Without the context of a transaction. */
const outside = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> => Effect.setContext(effect, Context.empty())

describe("a storage whose commit has failed", () => {
  it.effect("fails every call, and hands out nothing more", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(Mailbox.layer({
        directory: "/mailbox",
        segmentBytesMax: "64KiB",
        blockBytesMax: "16KiB",
        onDiskFailure: "fail"
      }))
      const storage = yield* Effect.provideContext(WalMessageStorage.makeEncoded({ log: Mailbox }), context)
      yield* save(storage, request())
      const disk = yield* SimulatedDisk.SimulatedDisk
      yield* disk.failAlways("sync", "Io")
      const failing = yield* Effect.forkChild(Effect.flip(save(storage, request())))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(failing))._tag, "PersistenceError")
      yield* disk.heal
      yield* TestClock.adjust("2 seconds")
      for (
        const call of [storage.unprocessedMessages(shards, 0), save(storage, request()), storage.repliesFor(["1"])]
      ) {
        const error = yield* Effect.flip(call as Effect.Effect<unknown, { readonly _tag: string }>)
        assert.strictEqual(error._tag, "PersistenceError")
      }
    }).pipe(Effect.scoped, Effect.provide(SimulatedDisk.layer({ seed: 1 })), Effect.provide(quiet)))
})

describe("a request that is too large for a block", () => {
  it.effect("is refused, and the storage continues", () =>
    withStorage((storage) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(save(storage, request({ payload: "x".repeat(20_000) })))
        assert.include(String((error.cause as Error).message), "blockBytesMax")
        const small = request()
        yield* save(storage, small)
        assert.deepStrictEqual(idsOf(yield* storage.unprocessedMessages(shards, 0)), [small.requestId])
      })
    ))
})

describe("answers to requests with a key", () => {
  const open = (keepAnswered: WalMessageStorage.Options<Mailbox>["keepAnswered"]) =>
    Effect.gen(function*() {
      const context = yield* Layer.build(
        Layer.fresh(Mailbox.layer({ directory: "/mailbox", segmentBytesMax: "64KiB" }))
      )
      const options = { log: Mailbox, ...keepAnswered === undefined ? {} : { keepAnswered } }
      return yield* Effect.provideContext(WalMessageStorage.makeEncoded(options), context)
    }).pipe(Effect.orDie)

  const answered = Effect.fnUntraced(function*(storage: Storage, name: string, value: unknown = 1) {
    const saved = request({ address: address(name) })
    yield* save(storage, saved, keyOf(saved, "a"))
    yield* storage.saveReply(exitOf(saved, value))
    return keyOf(saved, "a")
  })

  const onDisk = <A, E>(effect: Effect.Effect<A, E, Disk | Scope.Scope>) =>
    effect.pipe(Effect.scoped, Effect.provide(SimulatedDisk.layer({ seed: 1 })), Effect.provide(quiet))

  it.effect("are kept for ever, unless the storage is told otherwise", () =>
    onDisk(Effect.gen(function*() {
      const storage = yield* open(undefined)
      const key = yield* answered(storage, "one")
      yield* TestClock.adjust("100 seconds")
      assert.isTrue(Option.isSome(yield* storage.requestIdForPrimaryKey(key)))
    })))

  it.effect("are kept for the time that is asked for, in which a process runs, and not much longer", () =>
    onDisk(Effect.gen(function*() {
      let key = ""
      yield* Effect.scoped(Effect.gen(function*() {
        const storage = yield* open("16 seconds")
        key = yield* answered(storage, "one")
        yield* TestClock.adjust("8500 millis")
      }))
      // Nobody runs.
      yield* TestClock.adjust("10 days")
      const storage = yield* open("16 seconds")
      yield* TestClock.adjust("7 seconds")
      assert.isTrue(Option.isSome(yield* storage.requestIdForPrimaryKey(key)))
      // A sixteenth more, and what the first life had not recorded.
      yield* TestClock.adjust("3 seconds")
      assert.isTrue(Option.isNone(yield* storage.requestIdForPrimaryKey(key)))
    })))

  it.effect("stay while an earlier request of the entity is open, or was answered as suspended", () =>
    onDisk(Effect.gen(function*() {
      const storage = yield* open("16 seconds")
      const run = request({ address: address("workflow") })
      yield* save(storage, run, keyOf(run, "run"))
      const step = yield* answered(storage, "workflow")
      yield* storage.saveReply(exitOf(run, { _tag: "Suspended" }))
      const other = yield* answered(storage, "other")
      yield* TestClock.adjust("100 seconds")
      assert.isTrue(Option.isNone(yield* storage.requestIdForPrimaryKey(other)))
      assert.isTrue(Option.isSome(yield* storage.requestIdForPrimaryKey(step)))
      assert.isTrue(Option.isSome(yield* storage.requestIdForPrimaryKey(keyOf(run, "run"))))
      // The workflow continues, and ends.
      yield* storage.clearReplies(Snowflake.Snowflake(run.requestId))
      yield* TestClock.adjust("32 seconds")
      assert.isTrue(Option.isSome(yield* storage.requestIdForPrimaryKey(step)))
      yield* storage.saveReply(exitOf(run, { _tag: "Complete" }))
      yield* TestClock.adjust("32 seconds")
      for (const key of [step, keyOf(run, "run")]) {
        assert.isTrue(Option.isNone(yield* storage.requestIdForPrimaryKey(key)))
      }
    })))
})

describe("the state", () => {
  const apply = (messages: Messages, line: Parameters<typeof JSON.stringify>[0]) => messages.apply(JSON.stringify(line))
  const saved = (messages: Messages, envelope: Envelope.Encoded, key: string | null = null) =>
    apply(messages, lineOfEnvelope(envelope, key, null))

  it("keeps the newest answers to requests without a key, and fewer when they are large", () => {
    const messages = new Messages()
    const ids: Array<string> = []
    for (let number = 0; number < answersMax + 100; number++) {
      const one = request()
      ids.push(one.requestId)
      saved(messages, one)
      apply(messages, lineOfReply(exitOf(one)))
    }
    assert.strictEqual(messages.size, answersMax)
    assert.isUndefined(messages.request(ids[99]!))
    assert.isDefined(messages.request(ids[100]!))
    for (let number = 0; number < 400; number++) {
      const one = request({ payload: "x".repeat(100_000) })
      saved(messages, one)
      apply(messages, lineOfReply(exitOf(one)))
    }
    assert.strictEqual(messages.size, 256)
  })

  it("keeps no chunk of a stream but the last one that was acknowledged, and those after it", () => {
    const messages = new Messages()
    const stream = request()
    saved(messages, stream)
    for (let sequence = 0; sequence < 100; sequence++) {
      const chunk = chunkOf(stream, sequence)
      apply(messages, lineOfReply(chunk))
      if (sequence < 98) saved(messages, ackOf(stream, chunk))
    }
    // The request, the chunk that was acknowledged with what tells so, two more, and the last acknowledgement.
    assert.lengthOf(messages.lines(), 6)
  })

  it("is the same after its lines were folded again, whatever has happened", () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = new SeededRandom(seed)
      const messages = new Messages()
      const requests: Array<Request> = []
      const chunks: Array<ReturnType<typeof chunkOf>> = []
      const some = <A>(values: ReadonlyArray<A>): A | undefined => values[random.below(Math.max(1, values.length))]
      for (let step = 0; step < 60; step++) {
        const known = some(requests)
        const draw = random.below(9)
        if (known === undefined || draw < 3) {
          const one = request({ address: address(`entity ${random.below(3)}`) })
          requests.push(one)
          saved(messages, one, random.chance(0.6) ? keyOf(one, one.requestId) : null)
        } else if (draw === 3) {
          const chunk = chunkOf(known, step)
          chunks.push(chunk)
          if (messages.request(known.requestId)?.exit === undefined) apply(messages, lineOfReply(chunk))
        } else if (draw === 4) {
          const chunk = some(chunks)
          const stream = requests.find(({ requestId }) => requestId === chunk?.requestId)
          if (chunk !== undefined && stream !== undefined) saved(messages, ackOf(stream, chunk))
        } else if (draw === 5) {
          const value = random.chance(0.2) ? { _tag: "Suspended" } : 1
          if (messages.request(known.requestId)?.exit === undefined) apply(messages, lineOfReply(exitOf(known, value)))
        } else if (draw === 6) saved(messages, interruptOf(known))
        else if (draw === 7) apply(messages, ["clearReplies", known.requestId, random.chance(0.5)])
        else if (random.chance(0.2)) apply(messages, ["clearAddress", "Counter", known.address.entityId])
        else {apply(
            messages,
            ["age", 1 + random.below(50), random.chance(0.5) ? 100 : undefined].filter((part) => part !== undefined)
          )}
      }
      const again = new Messages()
      for (const line of messages.lines()) again.apply(line)
      assert.deepStrictEqual(again.lines(), messages.lines(), `seed ${seed}`)
      assert.strictEqual(again.ageMillis, messages.ageMillis, `seed ${seed}`)
      for (const { requestId } of requests) {
        assert.deepStrictEqual(plain(again.request(requestId)), plain(messages.request(requestId)), `seed ${seed}`)
      }
      // What is forgotten later is the same too.
      for (const each of [messages, again]) apply(each, ["age", 60, 100])
      assert.deepStrictEqual(again.lines(), messages.lines(), `seed ${seed}`)
    }
  })

  it("is a view that a transaction can spoil without a trace", () => {
    const messages = new Messages()
    const [one, two] = [request(), request()]
    saved(messages, one, keyOf(one, "a"))
    const before = messages.lines()
    const view = new Messages(messages)
    saved(view, two, keyOf(two, "b"))
    apply(view, lineOfReply(exitOf(one)))
    saved(view, interruptOf(two))
    assert.strictEqual(view.idOfKey(keyOf(two, "b")), two.requestId)
    apply(view, ["clearAddress", "Counter", "one"])
    assert.isUndefined(view.request(one.requestId))
    assert.isUndefined(view.idOfKey(keyOf(one, "a")))
    assert.isFalse(view.hasEntity("Counter", "one"))
    assert.deepStrictEqual(messages.lines(), before)
    assert.isTrue(messages.request(one.requestId)?.isOpen)
  })

  it("is made of lines of its own, and of no others", () => {
    for (const text of ["", "null", "{}", "[]", "[\"other\"]", "[1]"]) {
      assert.throws(() => parse(text), "events of its own", text)
    }
  })
})

/** What can be compared of a request. */
const plain = (stored: ReturnType<Messages["request"]>) =>
  stored === undefined ? undefined : {
    text: stored.text,
    key: stored.key,
    replies: [stored.ackedChunk, ...stored.chunks, stored.exit].map((reply) => reply?.text),
    signals: [stored.ack, ...stored.interrupts].map((signal) => signal?.text),
    isSuspended: stored.isSuspended,
    answeredAt: stored.exit === undefined || stored.key === null ? 0 : stored.answeredAt
  }

describe("options", () => {
  it.effect("that are none are refused before anything is opened", () =>
    Effect.gen(function*() {
      for (
        const wrong of [{}, { log: {} }, { log: Mailbox, keepAnswered: "soon" }, { log: Mailbox, keepAnswered: -1 }]
      ) {
        const exit = yield* Effect.exit(WalMessageStorage.makeEncoded<Mailbox>(wrong as never))
        assert.isTrue(Exit.isFailure(exit) && exit.cause.reasons[0]?._tag === "Die", JSON.stringify(wrong))
        assert.match(String(Exit.isFailure(exit) && exit.cause.reasons[0]), /log|keepAnswered/)
      }
    }).pipe(
      Effect.scoped,
      Effect.provide(Mailbox.layer({ directory: "/mailbox" })),
      Effect.provide(SimulatedDisk.layer({ seed: 1 }))
    ))
})
