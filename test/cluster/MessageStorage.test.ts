/** What the interface of `MessageStorage` tells of every storage, run over Effect's own and ours. */
import { assert, describe, it } from "@effect/vitest"
import * as EntityAddress from "effect/cluster/EntityAddress"
import * as EntityId from "effect/cluster/EntityId"
import * as EntityType from "effect/cluster/EntityType"
import type * as Envelope from "effect/cluster/Envelope"
import type * as MessageStorage from "effect/cluster/MessageStorage"
import * as ShardId from "effect/cluster/ShardId"
import * as Snowflake from "effect/cluster/Snowflake"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { ackOf, address, chunkOf, exitOf, interruptOf, keyOf, nextId, request, subjects } from "./subjects.ts"
import type { Lack } from "./subjects.ts"

const shards: [string] = ["default:1"]
const at = ({ entityId, entityType, shardId: { group, id } }: ReturnType<typeof address>) =>
  EntityAddress.make({
    shardId: ShardId.make(group, id),
    entityType: EntityType.make(entityType),
    entityId: EntityId.make(entityId)
  })
const id = ({ requestId }: Envelope.PartialRequestEncoded) => Snowflake.Snowflake(requestId)

const idsOf = (messages: ReadonlyArray<{ readonly envelope: Envelope.Encoded }>) =>
  messages.map(({ envelope }) => envelope._tag === "Request" ? envelope.requestId : envelope.id)

for (const { lacks, losesClaims, name, open } of subjects) {
  const withStorage = (work: (storage: MessageStorage.Encoded) => Effect.Effect<void, unknown>) =>
    Effect.scoped(Effect.flatMap(open, work))
  /** A ruling, except for storages that lack something. */
  const rule = (what: string, lack: Lack | undefined, work: Parameters<typeof withStorage>[0]) =>
    (lack !== undefined && lacks.has(lack) ? it.effect.skip : it.effect)(what, () => withStorage(work))
  /** A ruling on what is claimed. */
  const ruleOfClaims = (what: string, lack: Lack | undefined, work: Parameters<typeof withStorage>[0]) =>
    losesClaims === true ? it.effect.skip(what, () => Effect.void) : rule(what, lack, work)

  const save = (storage: MessageStorage.Encoded, envelope: Envelope.Encoded, primaryKey: string | null = null) =>
    storage.saveEnvelope({ envelope, primaryKey, deliverAt: null })

  describe(name, () => {
    describe("a request", () => {
      rule("is handed out as it was saved", undefined, (storage) =>
        Effect.gen(function*() {
          const saved = request({
            payload: { text: "ä\n\"😀", list: [1, null, { deep: true }], empty: {} },
            headers: { trace: "yes" },
            traceId: "0af7651916cd43dd8448eb211c80319c",
            spanId: "b7ad6b7169203331",
            sampled: true
          })
          assert.strictEqual((yield* save(storage, saved))._tag, "Success")
          const [handedOut] = yield* storage.unprocessedMessages(shards, 0)
          assert.deepStrictEqual(handedOut?.envelope, saved)
          assert.deepStrictEqual(handedOut?.lastSentReply, Option.none())
        }))

      rule("is not changed by what its sender does to it later", undefined, (storage) =>
        Effect.gen(function*() {
          const payload = { by: 1 }
          yield* save(storage, request({ payload }))
          payload.by = 2
          const [handedOut] = yield* storage.unprocessedMessages(shards, 0)
          assert.deepStrictEqual((handedOut!.envelope as Envelope.PartialRequestEncoded).payload, { by: 1 })
        }))

      rule(
        "with a key is saved once: another one is a duplicate, with the id of the first",
        undefined,
        (storage) =>
          Effect.gen(function*() {
            const first = request()
            const key = keyOf(first, "a")
            assert.deepStrictEqual(yield* storage.requestIdForPrimaryKey(key), Option.none())
            assert.strictEqual((yield* save(storage, first, key))._tag, "Success")
            const again = yield* save(storage, request({ payload: { by: 2 } }), key)
            assert.deepInclude(again, { _tag: "Duplicate", originalId: id(first), lastReceivedReply: Option.none() })
            assert.deepStrictEqual(yield* storage.requestIdForPrimaryKey(key), Option.some(id(first)))
            assert.deepStrictEqual(idsOf(yield* storage.unprocessedMessages(shards, 0)), [first.requestId])
            assert.strictEqual((yield* save(storage, request(), keyOf(first, "b")))._tag, "Success")
          })
      )

      rule(
        "with a key that was answered is a duplicate, with the answer",
        undefined,
        (storage) =>
          Effect.gen(function*() {
            const first = request()
            const answer = exitOf(first, { count: 3 })
            yield* save(storage, first, keyOf(first, "a"))
            yield* storage.saveReply(answer)
            const again = yield* save(storage, request(), keyOf(first, "a"))
            assert.deepInclude(again, { _tag: "Duplicate", lastReceivedReply: Option.some(answer) })
          })
      )

      rule(
        "with a key whose stream is under way is a duplicate, with the last chunk that was acknowledged",
        undefined,
        (storage) =>
          Effect.gen(function*() {
            const first = request()
            const chunk = chunkOf(first, 0)
            yield* save(storage, first, keyOf(first, "a"))
            yield* storage.saveReply(chunk)
            yield* save(storage, ackOf(first, chunk))
            const again = yield* save(storage, request(), keyOf(first, "a"))
            assert.deepInclude(again, { _tag: "Duplicate", lastReceivedReply: Option.some(chunk) })
          })
      )

      rule(
        "that is saved again is a duplicate of itself, and another one under its id is refused",
        "retries",
        (storage) =>
          Effect.gen(function*() {
            const first = request()
            yield* save(storage, first)
            assert.deepInclude(yield* save(storage, first), { _tag: "Duplicate", originalId: id(first) })
            if (name.startsWith("Wal")) {
              const other = yield* Effect.exit(save(storage, { ...first, payload: { by: 2 } }))
              assert.isTrue(Exit.isFailure(other))
              const keyed = yield* Effect.exit(save(storage, first, keyOf(first, "a")))
              assert.isTrue(Exit.isFailure(keyed))
            }
            assert.deepStrictEqual(idsOf(yield* storage.unprocessedMessages(shards, 0)), [first.requestId])
          })
      )
    })

    describe("what is unprocessed", () => {
      ruleOfClaims(
        "is handed out once, in the order in which it came, and not more than was asked for",
        undefined,
        (storage) =>
          Effect.gen(function*() {
            const requests = [request(), request({ address: address("two", 2) }), request(), request()]
            for (const each of requests) yield* save(storage, each)
            const expected = requests.map(({ requestId }) => requestId)
            assert.deepStrictEqual(
              idsOf(yield* storage.unprocessedMessages(["default:1", "default:2"], 0, { limit: 3 })),
              expected.slice(0, 3)
            )
            assert.deepStrictEqual(
              idsOf(yield* storage.unprocessedMessages(["default:1", "default:2"], 0)),
              expected.slice(3)
            )
            assert.deepStrictEqual(yield* storage.unprocessedMessages(["default:1", "default:2"], 0), [])
          })
      )

      rule(
        "is handed out to the shards and the addresses that are asked for",
        undefined,
        (storage) =>
          Effect.gen(function*() {
            const one = request()
            const two = request({ address: address("two", 2) })
            const three = request({ address: address("three") })
            for (const each of [one, two, three]) yield* save(storage, each)
            assert.deepStrictEqual(yield* storage.unprocessedMessages(["default:3"], 0), [])
            assert.deepStrictEqual(yield* storage.unprocessedMessages(shards, 0, { addresses: [] }), [])
            const addresses = [at(address("three")), at(address("three", 2))]
            assert.deepStrictEqual(idsOf(yield* storage.unprocessedMessages(shards, 0, { addresses })), [
              three.requestId
            ])
            assert.deepStrictEqual(idsOf(yield* storage.unprocessedMessages(["default:2"], 0)), [two.requestId])
          })
      )

      rule("is no request before its time", undefined, (storage) =>
        Effect.gen(function*() {
          const [late, early] = [request(), request()]
          yield* storage.saveEnvelope({ envelope: late, primaryKey: null, deliverAt: 200 })
          yield* storage.saveEnvelope({ envelope: early, primaryKey: null, deliverAt: 100 })
          assert.deepStrictEqual(yield* storage.unprocessedMessages(shards, 99), [])
          assert.deepStrictEqual(yield* storage.unprocessedMessagesById([id(early)], 99), [])
          assert.deepStrictEqual(idsOf(yield* storage.unprocessedMessages(shards, 100)), [early.requestId])
          yield* storage.saveReply(exitOf(early))
          assert.deepStrictEqual(idsOf(yield* storage.unprocessedMessages(shards, 200)), [late.requestId])
        }))

      rule("is no request with an answer, not even after a reset", undefined, (storage) =>
        Effect.gen(function*() {
          const [answered, other] = [request(), request()]
          yield* save(storage, answered)
          yield* save(storage, other)
          yield* storage.saveReply(exitOf(answered))
          yield* storage.resetShards(shards)
          yield* storage.resetRequests([id(answered)])
          assert.deepStrictEqual(idsOf(yield* storage.unprocessedMessages(shards, 0)), [other.requestId])
          assert.deepStrictEqual(yield* storage.unprocessedMessagesById([id(answered)], 0), [])
        }))

      rule(
        "is no stream whose last chunk is not acknowledged",
        "streams that wait",
        (storage) =>
          Effect.gen(function*() {
            const stream = request()
            const chunk = chunkOf(stream, 0)
            yield* save(storage, stream)
            yield* storage.saveReply(chunk)
            assert.deepStrictEqual(yield* storage.unprocessedMessages(shards, 0), [])
            assert.deepStrictEqual(yield* storage.unprocessedMessagesById([id(stream)], 0), [])
            const ack = ackOf(stream, chunk)
            yield* save(storage, ack)
            const [again, acked] = yield* storage.unprocessedMessages(shards, 0)
            assert.deepStrictEqual(again, { envelope: stream, lastSentReply: Option.some(chunk) })
            assert.deepStrictEqual(acked, { envelope: ack, lastSentReply: Option.none() })
          })
      )

      rule("is the newest acknowledgement of a stream alone", "claimed signals", (storage) =>
        Effect.gen(function*() {
          const stream = request()
          const [first, second] = [chunkOf(stream, 0), chunkOf(stream, 1)]
          yield* save(storage, stream)
          const acks: Array<Envelope.Encoded> = []
          for (const chunk of [first, second]) {
            yield* storage.saveReply(chunk)
            acks.push(ackOf(stream, chunk))
            yield* save(storage, acks.at(-1)!)
          }
          const messages = yield* storage.unprocessedMessages(shards, 0)
          assert.deepStrictEqual(messages.map(({ envelope }) => envelope), [stream, acks[1]])
          yield* storage.saveReply(exitOf(stream))
          yield* storage.resetShards(shards)
          assert.deepStrictEqual(yield* storage.unprocessedMessages(shards, 0), [])
        }))

      rule("is every interrupt of a request without an answer", undefined, (storage) =>
        Effect.gen(function*() {
          const [one, two] = [request(), request()]
          yield* save(storage, one)
          yield* save(storage, two)
          const interrupts = [interruptOf(one), interruptOf(two)]
          for (const each of interrupts) yield* save(storage, each)
          yield* storage.saveReply(exitOf(one))
          const messages = yield* storage.unprocessedMessages(shards, 0)
          const expected = lacks.has("claimed signals") ? [two, ...interrupts] : [two, interrupts[1]]
          assert.deepStrictEqual(messages.map(({ envelope }) => envelope), expected)
        }))

      rule("is given by id, without a claim", undefined, (storage) =>
        Effect.gen(function*() {
          const [one, two] = [request(), request()]
          yield* save(storage, one)
          yield* save(storage, two)
          for (const _ of [1, 2]) {
            assert.deepStrictEqual(idsOf(yield* storage.unprocessedMessagesById([id(two)], 0)), [two.requestId])
          }
          assert.lengthOf(yield* storage.unprocessedMessages(shards, 0), 2)
        }))
    })

    describe("a claim", () => {
      ruleOfClaims(
        "ends with a reset of its shard, its address or its request",
        undefined,
        (storage) =>
          Effect.gen(function*() {
            const here = request()
            const there = request({ address: address("two", 2) })
            yield* save(storage, here)
            yield* save(storage, there)
            const all = Effect.map(storage.unprocessedMessages(["default:1", "default:2"], 0), idsOf)
            assert.lengthOf(yield* all, 2)
            yield* storage.resetShards(["default:2"])
            assert.deepStrictEqual(yield* all, [there.requestId])
            yield* storage.resetAddresses([at(address("one"))])
            assert.deepStrictEqual(yield* all, [here.requestId])
            yield* storage.resetAddresses([])
            yield* storage.resetRequests([id(there), id(here)])
            // In the order in which they came, whatever was reset first.
            assert.deepStrictEqual(yield* all, [here.requestId, there.requestId])
          })
      )

      ruleOfClaims(
        "ends after ten minutes",
        "claims that follow the reader's time",
        (storage) =>
          Effect.gen(function*() {
            const saved = request()
            yield* save(storage, saved)
            const tenMinutes = 600_000
            assert.lengthOf(yield* storage.unprocessedMessages(shards, 1), 1)
            assert.lengthOf(yield* storage.unprocessedMessages(shards, tenMinutes), 0)
            assert.lengthOf(yield* storage.unprocessedMessages(shards, tenMinutes + 1), 1)
          })
      )

      ruleOfClaims("does not hold other messages back", undefined, (storage) =>
        Effect.gen(function*() {
          yield* save(storage, request())
          yield* storage.unprocessedMessages(shards, 0)
          const later = request()
          yield* save(storage, later)
          assert.deepStrictEqual(idsOf(yield* storage.unprocessedMessages(shards, 0)), [later.requestId])
        }))
    })

    describe("the replies of a request", () => {
      rule("are the chunks that are not acknowledged, and the answer", undefined, (storage) =>
        Effect.gen(function*() {
          const stream = request()
          const other = request()
          const [first, second, end] = [chunkOf(stream, 0), chunkOf(stream, 1), exitOf(stream)]
          yield* save(storage, stream)
          yield* save(storage, other)
          assert.deepStrictEqual(yield* storage.repliesFor([stream.requestId]), [])
          yield* storage.saveReply(first)
          assert.deepStrictEqual(yield* storage.repliesFor([stream.requestId]), [first])
          yield* save(storage, ackOf(stream, first))
          assert.deepStrictEqual(yield* storage.repliesFor([stream.requestId]), [])
          yield* storage.saveReply(second)
          yield* storage.saveReply(end)
          assert.deepStrictEqual(yield* storage.repliesFor([other.requestId, stream.requestId]), [second, end])
          // The chunk that was acknowledged last is among them.
          assert.deepStrictEqual(yield* storage.repliesForUnfiltered([stream.requestId]), [first, second, end])
          assert.deepStrictEqual(yield* storage.repliesFor([nextId()]), [])
        }))

      rule("are saved once, when one is saved again", "retries", (storage) =>
        Effect.gen(function*() {
          const saved = request()
          const [chunk, answer] = [chunkOf(saved, 0), exitOf(saved)]
          yield* save(storage, saved)
          for (const reply of [chunk, chunk, answer, answer, chunk]) yield* storage.saveReply(reply)
          assert.deepStrictEqual(yield* storage.repliesFor([saved.requestId]), [chunk, answer])
        }))

      rule(
        "have one answer, and one chunk of a sequence: another one is refused",
        "one answer",
        (storage) =>
          Effect.gen(function*() {
            const saved = request()
            const [chunk, answer] = [chunkOf(saved, 0), exitOf(saved)]
            yield* save(storage, saved)
            yield* storage.saveReply(chunk)
            assert.isTrue(Exit.isFailure(yield* Effect.exit(storage.saveReply(chunkOf(saved, 0)))))
            yield* storage.saveReply(answer)
            assert.isTrue(Exit.isFailure(yield* Effect.exit(storage.saveReply(exitOf(saved, 2)))))
            assert.deepStrictEqual(yield* storage.repliesForUnfiltered([saved.requestId]), [chunk, answer])
          })
      )

      rule("can be cleared: then the request is handed out again", undefined, (storage) =>
        Effect.gen(function*() {
          const saved = request()
          yield* save(storage, saved)
          yield* storage.unprocessedMessages(shards, 0)
          yield* save(storage, interruptOf(saved))
          yield* storage.saveReply(exitOf(saved))
          yield* storage.clearReplies(id(saved))
          assert.deepStrictEqual(yield* storage.repliesFor([saved.requestId]), [])
          const messages = yield* storage.unprocessedMessages(shards, 0)
          assert.deepStrictEqual(messages.filter(({ envelope }) => envelope._tag === "Request"), [
            { envelope: saved, lastSentReply: Option.none() }
          ])
          if (!lacks.has("claimed signals")) assert.lengthOf(messages, 1)
          const answer = exitOf(saved, 2)
          yield* storage.saveReply(answer)
          assert.deepStrictEqual(yield* storage.repliesFor([saved.requestId]), [answer])
        }))

      rule(
        "can be cleared with the chunks of a stream, which then begins anew",
        "cleared chunks",
        (storage) =>
          Effect.gen(function*() {
            const stream = request()
            const chunk = chunkOf(stream, 0)
            yield* save(storage, stream)
            yield* storage.saveReply(chunk)
            yield* save(storage, ackOf(stream, chunk))
            yield* storage.saveReply(exitOf(stream))
            yield* storage.clearReplies(id(stream))
            assert.deepStrictEqual(yield* storage.repliesForUnfiltered([stream.requestId]), [])
            const again = chunkOf(stream, 0)
            yield* storage.saveReply(again)
            assert.deepStrictEqual(yield* storage.repliesFor([stream.requestId]), [again])
          })
      )

      rule(
        "are cleared only when the latest is the one that is expected",
        undefined,
        (storage) =>
          Effect.gen(function*() {
            const saved = request()
            const answer = exitOf(saved)
            yield* save(storage, saved)
            yield* storage.unprocessedMessages(shards, 0)
            yield* storage.saveReply(answer)
            yield* storage.clearReplies(id(saved), { expectedReplyId: Snowflake.Snowflake(nextId()) })
            assert.deepStrictEqual(yield* storage.repliesFor([saved.requestId]), [answer])
            assert.deepStrictEqual(yield* storage.unprocessedMessages(shards, 0), [])
            yield* storage.clearReplies(id(saved), { expectedReplyId: Snowflake.Snowflake(answer.id) })
            assert.deepStrictEqual(yield* storage.repliesFor([saved.requestId]), [])
            assert.deepStrictEqual(idsOf(yield* storage.unprocessedMessages(shards, 0)), [saved.requestId])
          })
      )

      rule("that nobody asked for change nothing", undefined, (storage) =>
        Effect.gen(function*() {
          const unknown = request()
          yield* storage.clearReplies(id(unknown))
          yield* storage.clearAddress(at(address("one")))
          yield* storage.resetRequests([id(unknown)])
          assert.deepStrictEqual(yield* storage.unprocessedMessages(shards, 0), [])
        }))
    })

    describe("an entity", () => {
      rule(
        "is cleared with its requests, their replies and their keys, and no other is",
        undefined,
        (storage) =>
          Effect.gen(function*() {
            const [answered, open, other] = [request(), request(), request({ address: address("two") })]
            yield* save(storage, answered, keyOf(answered, "a"))
            yield* save(storage, open)
            yield* save(storage, interruptOf(open))
            yield* save(storage, other, keyOf(other, "a"))
            yield* storage.saveReply(exitOf(answered))
            yield* storage.clearAddress(at(address("one")))
            assert.deepStrictEqual(yield* storage.repliesFor([answered.requestId]), [])
            assert.deepStrictEqual(yield* storage.requestIdForPrimaryKey(keyOf(answered, "a")), Option.none())
            assert.deepStrictEqual(yield* storage.requestIdForPrimaryKey(keyOf(other, "a")), Option.some(id(other)))
            assert.deepStrictEqual(idsOf(yield* storage.unprocessedMessages(shards, 0)), [other.requestId])
            const anew = request()
            assert.strictEqual((yield* save(storage, anew, keyOf(anew, "a")))._tag, "Success")
          })
      )
    })

    describe("a transaction", () => {
      rule("keeps all that is saved within it, and sees it", undefined, (storage) =>
        Effect.gen(function*() {
          const [outer, inner] = [request(), request({ address: address("two") })]
          yield* save(storage, outer, keyOf(outer, "a"))
          const answer = exitOf(outer)
          yield* storage.withTransaction(Effect.gen(function*() {
            yield* save(storage, inner, keyOf(inner, "a"))
            const again = yield* save(storage, request(), keyOf(inner, "a"))
            assert.deepInclude(again, { _tag: "Duplicate", originalId: id(inner) })
            yield* storage.saveReply(answer)
            if (!lacks.has("transactions")) {
              assert.deepStrictEqual(yield* storage.repliesFor([outer.requestId]), [answer])
            }
          }))
          assert.deepStrictEqual(yield* storage.repliesFor([outer.requestId]), [answer])
          assert.deepStrictEqual(idsOf(yield* storage.unprocessedMessages(shards, 0)), [inner.requestId])
        }))

      rule(
        "keeps nothing when it fails, and fails with its own error",
        "transactions",
        (storage) =>
          Effect.gen(function*() {
            const [outer, inner] = [request(), request({ address: address("two") })]
            yield* save(storage, outer, keyOf(outer, "a"))
            const exit = yield* Effect.exit(storage.withTransaction(Effect.gen(function*() {
              yield* save(storage, inner, keyOf(inner, "a"))
              yield* storage.saveReply(exitOf(outer))
              yield* storage.clearAddress(at(address("one")))
              assert.deepStrictEqual(yield* storage.requestIdForPrimaryKey(keyOf(outer, "a")), Option.none())
              return yield* Effect.fail("its own")
            })))
            assert.deepStrictEqual(exit, Exit.fail("its own"))
            assert.deepStrictEqual(yield* storage.requestIdForPrimaryKey(keyOf(inner, "a")), Option.none())
            assert.deepStrictEqual(yield* storage.requestIdForPrimaryKey(keyOf(outer, "a")), Option.some(id(outer)))
            assert.deepStrictEqual(yield* storage.repliesFor([outer.requestId]), [])
            assert.deepStrictEqual(idsOf(yield* storage.unprocessedMessages(shards, 0)), [outer.requestId])
          })
      )

      rule(
        "within another keeps nothing of its own when it fails",
        "transactions",
        (storage) =>
          Effect.gen(function*() {
            const [kept, dropped, third] = [request(), request(), request()]
            yield* storage.withTransaction(Effect.gen(function*() {
              yield* save(storage, kept)
              yield* Effect.exit(storage.withTransaction(Effect.andThen(save(storage, dropped), Effect.fail("no"))))
              yield* storage.withTransaction(save(storage, third))
            }))
            const messages = yield* storage.unprocessedMessages(shards, 0)
            assert.deepStrictEqual(idsOf(messages), [kept.requestId, third.requestId])
          })
      )
    })
  })
}
