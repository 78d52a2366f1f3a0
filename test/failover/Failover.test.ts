/** What a recorder with a second place tells, and what it does when it is not alone. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as Archive from "../../src/archive/Archive.ts"
import * as ArchiveDisk from "../../src/archive/ArchiveDisk.ts"
import { manifestKey } from "../../src/archive/Manifest.ts"
import type { HoleRow } from "../../src/archive/Manifest.ts"
import * as ManifestStore from "../../src/archive/ManifestStore.ts"
import { Disk } from "../../src/disk/Disk.ts"
import * as HoleStore from "../../src/disk/HoleStore.ts"
import * as Failover from "../../src/failover/Failover.ts"
import type { FailoverOptions } from "../../src/failover/Failover.ts"
import * as Standby from "../../src/failover/Standby.ts"
import { blocking, Compressor } from "../../src/maintainer/Compressor.ts"
import * as Repair from "../../src/reading/recovery/Repair.ts"
import * as Replay from "../../src/reading/Replay.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import type { WalOptions } from "../../src/recorder/WalParts.ts"
import { ObjectStore } from "../../src/store/ObjectStore.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import * as SimulatedStore from "../../src/testing/SimulatedStore.ts"
import { open, whileClockTurns } from "../maintainer/maintaining.ts"

const directory = "/wal"
const log = "orders"

interface Machine {
  readonly simulated: SimulatedDisk.SimulatedDisk["Service"]
  readonly store: SimulatedStore.SimulatedStore["Service"]
}

const makeMachine = Effect.fnUntraced(function*(store: SimulatedStore.SimulatedStore["Service"]) {
  const machine: Machine = { simulated: yield* SimulatedDisk.make({ seed: 1 }), store }
  return machine
})

const foundationOf = ({ simulated, store }: Machine) =>
  Layer.mergeAll(
    Layer.succeed(Disk, simulated.disk),
    Layer.succeed(ObjectStore, store.store),
    Layer.succeed(Compressor, blocking)
  )

const layerOf = (machine: Machine, wal: Partial<WalOptions> = {}, failover: Partial<FailoverOptions> = {}) =>
  Archive.layer({ log, settleMax: 0 }).pipe(
    Layer.provideMerge(Wal.layer({ directory, onArchiveBehind: "keep", acknowledge: "replicated", ...wal })),
    Layer.provideMerge(Failover.layer({ log, directory, settleMax: "2 seconds", ...failover })),
    Layer.provide(foundationOf(machine))
  )

const start = Effect.fnUntraced(function*(
  machine: Machine,
  wal: Partial<WalOptions> = {},
  failover: Partial<FailoverOptions> = {}
) {
  const { close, context } = yield* whileClockTurns(open(layerOf(machine, wal, failover)))
  return {
    recorder: Context.get(context, Recorder),
    archive: Context.get(context, Archive.Archive),
    failover: Context.get(context, Failover.Failover),
    close: whileClockTurns(close)
  }
})

const append = (recorder: Recorder["Service"], event: string) =>
  whileClockTurns(recorder.appendDurable(Buffer.from(event)))

/** What a reader of this machine gets. */
const eventsOf = (machine: Machine) =>
  Stream.runCollect(Replay.events({ directory })).pipe(
    Effect.map((events) => events.map(({ bytes, id }) => `${id} ${Buffer.from(bytes).toString()}`)),
    Effect.provide(Layer.provide(ArchiveDisk.layer({ log, directory }), foundationOf(machine)))
  )

const reasonOf = <A>(exit: Exit.Exit<A, { readonly reason: { readonly _tag: string } }>): string => {
  if (Exit.isSuccess(exit)) return "success"
  const error = exit.cause.reasons.find((reason) => reason._tag === "Fail")
  return error === undefined ? "defect" : error.error.reason._tag
}

describe("a recorder whose log another machine has opened", () => {
  it.effect("acknowledges nothing more, and fails with Fenced to whoever waits, appends or watches", () =>
    Effect.gen(function*() {
      const store = yield* SimulatedStore.make({ seed: 1 })
      const first = yield* start(yield* makeMachine(store))
      assert.strictEqual(yield* append(first.recorder, "one"), 1)
      const second = yield* start(yield* makeMachine(store))
      assert.strictEqual(second.recorder.recovery.lastEventId, 1)

      const late = yield* Effect.exit(append(first.recorder, "of a sleeper"))
      assert.strictEqual(reasonOf(late), "Fenced")
      assert.strictEqual(reasonOf(yield* Effect.exit(first.recorder.append(Buffer.from("more")))), "Fenced")
      assert.strictEqual(reasonOf(yield* Effect.exit(first.recorder.commitTo(1))), "Fenced")
      assert.strictEqual(reasonOf(yield* Effect.exit(whileClockTurns(first.failover.fenced))), "Fenced")
      assert.strictEqual((yield* first.failover.status).state, "fenced")

      assert.strictEqual(yield* append(second.recorder, "two"), 2)
      yield* first.close
      yield* second.close
    }))

  it.effect("finds that out without recording anything, and with local commits too", () =>
    Effect.gen(function*() {
      const store = yield* SimulatedStore.make({ seed: 1 })
      const first = yield* start(yield* makeMachine(store), { acknowledge: "local" }, { renewEvery: "1 second" })
      assert.strictEqual(yield* append(first.recorder, "one"), 1)
      const second = yield* start(yield* makeMachine(store))
      assert.strictEqual(reasonOf(yield* Effect.exit(whileClockTurns(first.failover.fenced))), "Fenced")
      assert.strictEqual(reasonOf(yield* Effect.exit(append(first.recorder, "two"))), "Fenced")
      yield* first.close
      yield* second.close
    }))
})

describe("a machine that takes over", () => {
  it.effect("has every event that was acknowledged, from the archive and the tail, and goes on with the next id", () =>
    Effect.gen(function*() {
      const store = yield* SimulatedStore.make({ seed: 1 })
      const small = { segmentBytesMax: 256, blockBytesMax: 256, limits: { maxSegments: 2, maxCompressedSegments: 2 } }
      const first = yield* start(yield* makeMachine(store), small, { tailObjects: 4 })
      const wanted: Array<string> = []
      for (let id = 1; id <= 40; id++) {
        assert.strictEqual(yield* append(first.recorder, `event ${id}`), id)
        wanted.push(`${id} event ${id}`)
      }
      const machine = yield* makeMachine(store)
      const second = yield* start(machine, small)
      assert.isAbove((yield* second.failover.status).changes.restored.length, 0)
      assert.strictEqual(yield* append(second.recorder, "the next"), 41)
      assert.deepStrictEqual(yield* eventsOf(machine), [...wanted, "41 the next"])
      yield* first.close
      yield* second.close
    }))

  it.effect("gets it from an owner that writes the manifest again and again", () =>
    Effect.gen(function*() {
      const store = yield* SimulatedStore.make({ seed: 1 })
      const first = yield* start(yield* makeMachine(store))
      yield* append(first.recorder, "one")
      const owner = yield* Effect.provideService(ManifestStore.make(log), ObjectStore, store.store)
      let writes = 50
      const writeAgain = Effect.gen(function*() {
        if (writes === 0) return
        writes -= 1
        const before = (yield* owner.read)!
        yield* owner.write(before.manifest, before)
      }).pipe(Effect.orDie)
      const busy = ObjectStore.of({
        ...store.store,
        // Between what the other machine reads and what it writes.
        get: (key, options) =>
          Effect.tap(store.store.get(key, options), () => key === manifestKey(log) ? writeAgain : Effect.void)
      })
      const machine = yield* makeMachine({ ...store, store: busy })
      const second = yield* start(machine)
      assert.strictEqual(yield* append(second.recorder, "two"), 2)
      assert.strictEqual(writes, 0)
      yield* first.close
      yield* second.close
    }))

  it.effect("reads a tail that is begun anew after so many objects, whatever was recorded", () =>
    Effect.gen(function*() {
      const store = yield* SimulatedStore.make({ seed: 1 })
      const first = yield* start(yield* makeMachine(store), {}, { tailObjects: 8 })
      for (let id = 1; id <= 100; id++) yield* append(first.recorder, `event ${id}`)
      const tail = [...(yield* store.contents).keys()].filter((key) => key.startsWith(`${log}/tail/`))
      assert.isBelow(tail.length, 20)
      yield* first.close
    }))
})

describe("a machine that returns", () => {
  it.effect("keeps what only it has in quarantine, with a report, and records on from where the log is", () =>
    Effect.gen(function*() {
      const store = yield* SimulatedStore.make({ seed: 1 })
      const machine = yield* makeMachine(store)
      const first = yield* start(machine, { acknowledge: "local" })
      yield* append(first.recorder, "one")
      yield* whileClockTurns(Effect.repeat(Effect.yieldNow, {
        until: () => first.failover.status.pipe(Effect.map(({ replicatedId }) => replicatedId === 1), Effect.runSync)
      }))
      yield* store.setAway(true)
      assert.strictEqual(yield* append(first.recorder, "only here"), 2)
      yield* first.close
      yield* store.setAway(false)
      const second = yield* start(yield* makeMachine(store))
      assert.strictEqual(yield* append(second.recorder, "in its place"), 2)
      yield* second.close

      const third = yield* start(machine)
      const { changes } = yield* third.failover.status
      assert.strictEqual(changes.quarantine, "/wal/quarantine/diverged-3")
      const files = [...(yield* machine.simulated.files).keys()].filter((path) => path.startsWith(changes.quarantine!))
      assert.deepStrictEqual(files.sort(), [
        "/wal/quarantine/diverged-3/FS.00000000.wal.lz4",
        "/wal/quarantine/diverged-3/report.json"
      ])
      assert.strictEqual(yield* append(third.recorder, "three"), 3)
      assert.deepStrictEqual(yield* eventsOf(machine), ["1 one", "2 in its place", "3 three"])
      yield* third.close
    }))

  it.effect("goes on with what only it has, when nobody has recorded anything in its place", () =>
    Effect.gen(function*() {
      const store = yield* SimulatedStore.make({ seed: 1 })
      const machine = yield* makeMachine(store)
      const first = yield* start(machine, { acknowledge: "local" })
      yield* append(first.recorder, "one")
      yield* store.setAway(true)
      yield* append(first.recorder, "only here")
      yield* first.close
      yield* store.setAway(false)
      const second = yield* start(machine)
      assert.strictEqual((yield* second.failover.status).changes.quarantine, undefined)
      assert.strictEqual(yield* append(second.recorder, "three"), 3)
      assert.deepStrictEqual(yield* eventsOf(machine), ["1 one", "2 only here", "3 three"])
      yield* second.close
    }))
})

describe("an archive that ends with an acknowledged hole", () => {
  /** A log whose newest archived segment is lost, with events 2 to 4. A machine has what was archived before. */
  const makeLoss = Effect.fnUntraced(function*() {
    const store = yield* SimulatedStore.make({ seed: 1 })
    const [owner, old] = [yield* makeMachine(store), yield* makeMachine(store)]
    const first = yield* start(owner, { acknowledge: "local" })
    yield* append(first.recorder, "one")
    yield* whileClockTurns(first.archive.settle)
    yield* first.close
    yield* (yield* start(old)).close
    const again = yield* start(owner, { acknowledge: "local" })
    yield* store.setAway(true)
    for (const event of ["two", "three", "four"]) yield* append(again.recorder, event)
    yield* again.close
    yield* store.setAway(false)
    yield* Effect.gen(function*() {
      yield* owner.simulated.rotBits(`${directory}/FS.00000001.wal.lz4`, 1, { from: 40, to: 60 })
      yield* Repair.repair({ directory, apply: true })
      const { holes } = yield* HoleStore.read(directory)
      const manifests = yield* ManifestStore.make(log)
      const before = (yield* manifests.read)!
      const row: HoleRow = { index: 1, form: "none", livedSeconds: 0, hole: holes[0]! }
      yield* manifests.write({ ...yield* manifests.append(before.manifest, [row]), chain: null }, before)
    }).pipe(Effect.provide(foundationOf(owner)))
    return { owner, old, fresh: yield* makeMachine(store) }
  })

  for (const which of ["owner", "old", "fresh"] as const) {
    it.effect(`is opened on the ${which} machine, which gives no lost id again and keeps the hole`, () =>
      Effect.gen(function*() {
        const loss = yield* makeLoss()
        const machine = loss[which]
        const { close, recorder } = yield* start(machine)
        assert.strictEqual(yield* append(recorder, "five"), 5)
        yield* close
        const lost: Array<number> = []
        const events = yield* Stream.runCollect(Replay.events({
          directory: ArchiveDisk.shownDirectory(log),
          onLost: ({ firstEventId, lastEventId }) => Effect.sync(() => lost.push(firstEventId, lastEventId))
        })).pipe(Effect.provide(Layer.provide(ArchiveDisk.layer({ log }), foundationOf(machine))))
        assert.deepStrictEqual(
          events.map(({ bytes, id }) => `${id} ${Buffer.from(bytes).toString()}`),
          ["1 one", "5 five"]
        )
        assert.deepStrictEqual(lost, [2, 4])
        const next = yield* start(loss.fresh)
        assert.strictEqual(yield* append(next.recorder, "six"), 6)
        yield* next.close
      }))
  }
})

describe("a reader elsewhere", () => {
  it.effect("has every event that was acknowledged as replicated, from the store alone, while they are recorded", () =>
    Effect.gen(function*() {
      const store = yield* SimulatedStore.make({ seed: 1 })
      const small = { segmentBytesMax: 256, blockBytesMax: 256, limits: { maxSegments: 2, maxCompressedSegments: 2 } }
      const machine = yield* makeMachine(store)
      const { close, recorder } = yield* start(machine, small, { tailObjects: 4 })
      const disk = yield* Layer.build(Layer.provide(ArchiveDisk.layer({ log }), foundationOf(machine)))
      const wanted: Array<string> = []
      const read = (from: number) =>
        Stream.runCollect(Replay.events({ directory: ArchiveDisk.shownDirectory(log), from: { id: from } })).pipe(
          Effect.map((events) => events.map(({ bytes, id }) => `${id} ${Buffer.from(bytes).toString()}`)),
          Effect.provide(disk)
        )
      const followed: Array<string> = []
      const following = yield* Effect.forkChild(
        Replay.events({ directory: ArchiveDisk.shownDirectory(log), follow: "poll" }).pipe(
          Stream.take(60),
          Stream.runForEach(({ bytes, id }) =>
            Effect.sync(() => followed.push(`${id} ${Buffer.from(bytes).toString()}`))
          ),
          Effect.provide(disk)
        )
      )
      for (let id = 1; id <= 60; id++) {
        assert.strictEqual(yield* append(recorder, `event ${id}`), id)
        wanted.push(`${id} event ${id}`)
        if (id % 3 !== 0) continue
        // A manifest and a tail are a second old at most.
        yield* whileClockTurns(Effect.sleep("1 second"))
        const from = Math.max(1, id - 10)
        assert.deepStrictEqual(yield* read(from), wanted.slice(from - 1))
      }
      assert.deepStrictEqual(yield* read(1), wanted)
      yield* whileClockTurns(Fiber.join(following))
      assert.deepStrictEqual(followed, wanted)
      yield* close
    }).pipe(Effect.scoped))
})

describe("a recorder that was not opened for failover", () => {
  it.effect("does not archive a log that is replicated: it may lack what the tail has", () =>
    Effect.gen(function*() {
      const store = yield* SimulatedStore.make({ seed: 1 })
      const machine = yield* makeMachine(store)
      const first = yield* start(machine)
      yield* append(first.recorder, "one")
      yield* first.close
      const plain = Archive.layer({ log, settleMax: 0 }).pipe(
        Layer.provideMerge(Wal.layer({ directory, onArchiveBehind: "keep" })),
        Layer.provide(foundationOf(machine))
      )
      const { close, context } = yield* whileClockTurns(open(plain))
      yield* append(Context.get(context, Recorder), "another")
      const archive = Context.get(context, Archive.Archive)
      yield* whileClockTurns(Effect.exit(archive.settle))
      const { problem, state } = yield* archive.status
      assert.strictEqual(state, "fenced", problem)
      yield* whileClockTurns(close)
    }))
})

describe("a store that is away", () => {
  it.effect("holds replicated commits back and says so, while the local disk goes on", () =>
    Effect.gen(function*() {
      const store = yield* SimulatedStore.make({ seed: 1 })
      const { close, recorder } = yield* start(yield* makeMachine(store))
      yield* append(recorder, "one")
      yield* store.setAway(true)
      const waiting = yield* Effect.forkChild(append(recorder, "two"))
      yield* whileClockTurns(Stream.runHead(Stream.filter(recorder.changes, ({ durable, heldBack }) =>
        durable === 2 && heldBack?.reason === "StoreAway")))
      const { durable, replicated } = yield* recorder.positions
      assert.deepStrictEqual({ durable, replicated }, { durable: 2, replicated: 1 })
      assert.isUndefined(waiting.pollUnsafe())
      yield* store.setAway(false)
      assert.strictEqual(yield* Fiber.join(waiting), 2)
      assert.isUndefined((yield* recorder.positions).heldBack)
      yield* close
    }))
})

describe("a standby", () => {
  it.effect("waits while the owner shows that it lives, and opens the log when it does not", () =>
    Effect.gen(function*() {
      const store = yield* SimulatedStore.make({ seed: 1 })
      const first = yield* start(yield* makeMachine(store), {}, { renewEvery: "1 second" })
      yield* append(first.recorder, "one")
      const machine = yield* makeMachine(store)
      const standby = Standby.layer({ log, after: "5 seconds" }, layerOf(machine)).pipe(
        Layer.provide(foundationOf(machine))
      )
      const opening = yield* Effect.forkChild(whileClockTurns(open(standby)))
      yield* whileClockTurns(Effect.sleep("1 minute"))
      assert.isUndefined(opening.pollUnsafe())
      yield* first.close
      const { close, context } = yield* Fiber.join(opening)
      assert.strictEqual(yield* append(Context.get(context, Recorder), "two"), 2)
      yield* whileClockTurns(close)
    }))
})

describe("a log that is to be replicated", () => {
  it.effect("is refused without a second place, without an archive, and in another directory", () =>
    Effect.gen(function*() {
      const store = yield* SimulatedStore.make({ seed: 1 })
      const machine = yield* makeMachine(store)
      const alone = Wal.layer({ directory, acknowledge: "replicated" }).pipe(Layer.provide(foundationOf(machine)))
      const failover = Failover.layer({ log, directory: "/elsewhere" })
      const elsewhere = Wal.layer({ directory, onArchiveBehind: "keep", acknowledge: "replicated" }).pipe(
        Layer.provide(failover),
        Layer.provide(foundationOf(machine))
      )
      const without = Wal.layer({ directory }).pipe(
        Layer.provide(Failover.layer({ log, directory })),
        Layer.provide(foundationOf(machine))
      )
      for (
        const [layer, words] of [[alone, /provide Failover/], [elsewhere, /provide Failover\.layer of/], [
          without,
          /onArchiveBehind/
        ]] as const
      ) {
        const exit = yield* Effect.exit(whileClockTurns(Effect.scoped(Layer.build(layer))))
        assert.isTrue(Exit.isFailure(exit) && words.test(String(exit.cause)), String(words))
      }
    }))

  it.effect("of another log is not taken: a log beside it has one place", () =>
    Effect.gen(function*() {
      const machine = yield* makeMachine(yield* SimulatedStore.make({ seed: 1 }))
      const beside = Wal.layer({ directory }).pipe(
        Layer.provide(Failover.layer({ log, directory: "/elsewhere" })),
        Layer.provide(foundationOf(machine))
      )
      const positions = yield* whileClockTurns(
        Effect.scoped(Effect.flatMap(Layer.build(beside), (context) =>
          Effect.gen(function*() {
            const { append, commit, positions } = Context.get(context, Recorder)
            yield* append(Buffer.from("beside"))
            yield* commit
            return yield* positions
          })))
      )
      assert.deepStrictEqual([positions.durable, positions.replicated], [1, undefined])
    }))

  it.effect("of another log is not taken by an archive either: that claims its own log", () =>
    Effect.gen(function*() {
      const machine = yield* makeMachine(yield* SimulatedStore.make({ seed: 1 }))
      const beside = Archive.layer({ log: "beside" }).pipe(
        Layer.provideMerge(Wal.layer({ directory, onArchiveBehind: "keep" })),
        Layer.provide(Failover.layer({ log, directory: "/elsewhere" })),
        Layer.provide(foundationOf(machine))
      )
      const status = yield* whileClockTurns(
        Effect.scoped(Effect.flatMap(Layer.build(beside), (context) =>
          Effect.gen(function*() {
            yield* Context.get(context, Recorder).append(Buffer.from("beside"))
            const { settle, status } = Context.get(context, Archive.Archive)
            yield* settle
            return yield* status
          })))
      )
      assert.deepStrictEqual([status.log, status.epoch, status.archivedBefore], ["beside", 1, 1])
    }))
})
