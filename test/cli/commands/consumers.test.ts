/** `effect-wal consumers`: what it tells and changes, beside a running recorder and without one. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as NodeDisk from "../../../src/disk/NodeDisk.ts"
import * as Monitor from "../../../src/recorder/monitor/Monitor.ts"
import * as Wal from "../../../src/recorder/Wal.ts"
import { here, place } from "../commandLine.ts"

class Events extends Wal.Service<Events>()("test/Events") {}

const limits = { maxSegments: 4, maxCompressedSegments: 4 }

const opened = <A, E, R>(directory: string, use: (log: Events["Service"]) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(Events, use).pipe(
    Effect.scoped,
    Effect.provide(
      Monitor.layer.pipe(
        Layer.provide(Events.parts),
        Layer.provideMerge(Events.layer({ directory, segmentBytesMax: 1024, limits })),
        Layer.provideMerge(NodeDisk.layer),
        Layer.fresh
      )
    ),
    Effect.provideService(References.MinimumLogLevel, "None")
  )

const record = (log: Events["Service"], events: number) =>
  Effect.gen(function*() {
    for (let event = 0; event < events; event++) yield* log.append(Buffer.from(`an event with some words, ${event}`))
    yield* log.commit
  })

describe("consumers", () => {
  it.live("are listed and shown as they are, whether a recorder runs or not", () =>
    Effect.gen(function*() {
      const log = (yield* place)("log")
      const list = Effect.map(here("consumers", "list", "--dir", log, "--json"), ({ stdout }) => JSON.parse(stdout))
      yield* opened(log, (events) =>
        Effect.gen(function*() {
          assert.include((yield* here("consumers", "list", "--dir", log)).stdout, "has no consumers")
          yield* record(events, 300)
          const billing = yield* events.consumer("billing")
          yield* Effect.scoped(events.consumer("mail", { from: { id: 201 }, maxLag: { bytes: "1MiB", age: "1 hour" } }))
          yield* billing.acknowledge(120)
          const { consumers, isRecorded } = yield* list
          assert.isTrue(isRecorded)
          assert.deepInclude(consumers[0], { name: "billing", eventId: 120, behindEvents: 180, problem: null })
          assert.include(consumers[0].readBy, `process ${process.pid}`)
          assert.isAbove(consumers[0].behindBytes, 0)
          assert.deepInclude(consumers[1], {
            eventId: 200,
            maxLagBytes: 1 << 20,
            maxLagMillis: 3_600_000,
            readBy: null
          })
          const stats = yield* here("stats", "--dir", log)
          assert.match(
            stats.stdout,
            /^consumer +billing is at event 120, 180 events behind \(.*\), the oldest for .*, and reads$/m
          )
          assert.match(stats.stdout, /^consumer +mail is at event 200, .* and does not read here$/m)
          const top = yield* here("top", "--dir", log)
          assert.match(top.stdout, /^consumer +billing is at event 120/m)
          const metrics = (yield* here("stats", "--dir", log, "--prometheus")).stdout
          assert.match(metrics, /^effect_wal_consumer_lag_events\{.*\} 180$/m)
          assert.match(metrics, /^effect_wal_consumers\{.*\} 2$/m)
        }))
      const { consumers, isRecorded } = yield* list
      assert.isFalse(isRecorded)
      assert.deepInclude(consumers[0], { name: "billing", eventId: 120, behindEvents: 180, readBy: null })
      assert.include((yield* here("consumers", "show", "mail", "--dir", log)).stdout, "at most 1.00 MiB, or 1.00 h")
      assert.match((yield* here("consumers", "list", "--dir", log)).stdout, /^billing +120 +180 events, .* nobody$/m)
    }))

  it.live(
    "are moved and forgotten while nobody reads, and a recorder keeps what it is told to keep",
    () =>
      Effect.gen(function*() {
        const log = (yield* place)("log")
        const reset = (to: number) => here("consumers", "reset", "billing", "--to", String(to), "--dir", log)
        const remove = here("consumers", "remove", "billing", "--dir", log)
        yield* opened(log, (events) =>
          Effect.gen(function*() {
            yield* Effect.scoped(Effect.gen(function*() {
              const billing = yield* events.consumer("billing")
              yield* record(events, 400)
              yield* billing.acknowledge(399)
              assert.include((yield* reset(1)).stderr, "is being read")
              assert.include((yield* remove).stderr, "is being read")
            }))
            yield* events.maintainer.drain
            const { deletedBefore } = yield* events.positions
            assert.isAbove(deletedBefore, 1)
            assert.strictEqual((yield* reset(1)).code, 1)
            assert.strictEqual((yield* reset(402)).code, 1)
            const { code, stdout } = yield* reset(deletedBefore)
            assert.deepStrictEqual([code, stdout], [
              0,
              `the consumer billing of ${log} continues with event ${deletedBefore}\n`
            ])
            assert.strictEqual((yield* events.maintainer.status).durableHolds[0]?.eventId, deletedBefore - 1)
            yield* record(events, 400)
            yield* events.maintainer.drain
            assert.strictEqual((yield* events.positions).deletedBefore, deletedBefore)
          }))
        assert.strictEqual((yield* reset(801)).code, 0)
        assert.strictEqual((yield* remove).code, 0)
        assert.strictEqual((yield* remove).code, 1)
        yield* opened(log, (events) =>
          Effect.gen(function*() {
            assert.deepStrictEqual((yield* events.maintainer.status).durableHolds, [])
          }))
      })
  )
})
