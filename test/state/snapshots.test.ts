/** The snapshots of a state machine: what it begins with, and what retention may delete. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Disk, openScoped, readFully, writeFully } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Replay from "../../src/reading/Replay.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import type { WalOptions } from "../../src/recorder/WalConfig.ts"
import * as StateMachine from "../../src/state/StateMachine.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { small, temporaryDirectory, threadModule } from "../recorder/fixtures.ts"
import type { Options } from "../recorder/fixtures.ts"

class Counts extends Wal.Service<Counts>()("test/Counts", { event: Schema.Struct({ by: Schema.Int }) }) {}

const State = Schema.Struct({ sum: Schema.Int, events: Schema.Int })
type State = typeof State.Type

/** Changes the state in place. */
const apply = (state: { -readonly [K in keyof State]: State[K] }, { by }: { readonly by: number }) => {
  state.sum += by
  state.events += 1
  return state
}

type Given = Pick<
  StateMachine.Options<unknown, unknown, unknown, typeof State>,
  "name" | "snapshotEvery" | "version" | "migrate"
>

const open = (given: Given = { snapshotEvery: {} }) =>
  Effect.flatMap(
    Counts,
    (log) => StateMachine.make({ log, state: State, initial: () => ({ sum: 0, events: 0 }), apply, ...given })
  )

const directory = "/wal"
const few = { maxSegments: 2, maxCompressedSegments: 4 }

/** A life of the machine's log, on the disk of the context. */
const living = <A, E>(
  program: Effect.Effect<A, E, Counts | Disk | Scope.Scope>,
  options: Partial<WalOptions> = {}
) => program.pipe(Effect.scoped, Effect.provide(Counts.layer({ ...small, directory, ...options })))

const onDisk = Effect.provide(SimulatedDisk.layer({ seed: 1 }))

/** Records so many events of 1. */
const record = (machine: StateMachine.StateMachine<State, { readonly by: number }>, count: number) =>
  machine.update(() => [undefined, Array.from({ length: count }, () => ({ by: 1 }))])

const filesOf = (name = "state") =>
  Effect.map(
    Disk.use((disk) => disk.list(directory)),
    (entries) => entries.map((entry) => entry.name).filter((file) => file.startsWith(`wal_state_${name}_`)).toSorted()
  )

const file = (eventId: number, name = "state") => `wal_state_${name}_${String(eventId).padStart(16, "0")}.json`

const rewrite = (name: string, change: (text: string) => string) =>
  Effect.scoped(Effect.gen(function*() {
    const opened = yield* openScoped(`${directory}/${name}`, "write")
    const bytes = new Uint8Array((yield* opened.stat).bytes)
    yield* readFully(opened, bytes, 0)
    const changed = Buffer.from(change(Buffer.from(bytes).toString()))
    yield* opened.truncate(changed.length)
    yield* writeFully(opened, [changed], 0)
    yield* opened.sync
  }))

/** With the lines that were logged meanwhile. */
const logging = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
  const lines: Array<string> = []
  const logger = Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])
  return Effect.map(Effect.provide(effect, logger), (value) => ({ value, lines }))
}

const reasonOf = <A>(exit: Exit.Exit<A, StateMachine.StateMachineError>): string =>
  Exit.isFailure(exit)
    ? exit.cause.reasons.map((reason) => reason._tag === "Fail" ? reason.error.reason._tag : reason._tag).join()
    : "success"

/** Snapshots of the states after events 100 and 200, and 250 events. */
const twoSnapshots = living(Effect.gen(function*() {
  const machine = yield* open()
  yield* record(machine, 100)
  assert.strictEqual((yield* machine.snapshot).eventId, 100)
  yield* record(machine, 100)
  const { bytes } = yield* machine.snapshot
  assert.strictEqual((yield* Disk.use((disk) => disk.stat(`${directory}/${file(200)}`))).bytes, bytes)
  yield* record(machine, 50)
}))

const ways = [
  ["fiber", (options: Options) => Counts.layer(options)],
  ["thread", (options: Options) => Counts.layerWorker({ ...options, threadModule })]
] as const

describe.each(ways)("a state machine with snapshots (%s)", (_, layer) => {
  it.live("begins with the newest one, and folds what comes after it, when retention has deleted the rest", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const options = { ...small, directory, limits: few }
      yield* Effect.gen(function*() {
        const machine = yield* open({ snapshotEvery: { events: 500 } })
        const log = yield* Counts
        for (let i = 0; i < 60; i++) yield* record(machine, 100)
        yield* Stream.runHead(Stream.filter(log.changes, ({ deletedBefore }) => deletedBefore > 1))
        assert.strictEqual((yield* machine.get).sum, 6000)
      }).pipe(Effect.scoped, Effect.provide(layer(options)))
      yield* Effect.gen(function*() {
        const machine = yield* open({ snapshotEvery: { events: 500 } })
        assert.deepStrictEqual(yield* machine.get, { sum: 6000, events: 6000 })
        const { foldedEvents, notUsed, snapshotEventId } = machine.recovery
        assert.isAbove(snapshotEventId, 0)
        assert.strictEqual(snapshotEventId + foldedEvents, 6000)
        assert.deepStrictEqual(notUsed, [])
        yield* record(machine, 1)
        assert.deepStrictEqual(yield* machine.get, { sum: 6001, events: 6001 })
      }).pipe(Effect.scoped, Effect.provide(layer(options)))
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))
})

describe("the snapshots of a state machine", () => {
  it.effect("are two: the older one bounds what retention may delete, also before the machine is opened again", () =>
    onDisk(Effect.gen(function*() {
      const more = Effect.gen(function*() {
        const log = yield* Counts
        for (let i = 0; i < 40; i++) {
          yield* log.appendEach(Array.from({ length: 50 }, () => ({ by: 1 })))
          yield* log.commit
        }
        yield* log.maintainer.drain
        return Option.getOrThrow(yield* Replay.firstAvailableId(directory))
      })
      yield* living(
        Effect.gen(function*() {
          const machine = yield* open()
          // Without a snapshot every event is needed.
          assert.strictEqual(yield* more, 1)
          const first = yield* machine.snapshot
          assert.strictEqual(yield* more, 1)
          const second = yield* machine.snapshot
          assert.deepStrictEqual(yield* filesOf(), [file(first.eventId), file(second.eventId)])
          const deletedBefore = yield* more
          assert.isAbove(deletedBefore, 1)
          assert.isAtMost(deletedBefore, first.eventId + 1)
          yield* machine.snapshot
          assert.deepStrictEqual(yield* filesOf(), [file(second.eventId), file(6000)])
        }),
        { limits: few }
      )
      // Retention runs without the machine.
      const deletedBefore = yield* living(more, { limits: few })
      assert.isAbove(deletedBefore, 2001)
      assert.isAtMost(deletedBefore, 4001)
      yield* living(Effect.gen(function*() {
        const machine = yield* open()
        assert.deepStrictEqual(yield* machine.get, { sum: 8000, events: 8000 })
      }))
    })))

  it.effect.each<readonly [string, (text: string) => string, string]>([
    ["is damaged", (text: string) => text.replace("\"sum\":200", "\"sum\":300"), "its checksum is wrong"],
    ["is cut", (text: string) => text.slice(0, 40), "its checksum is wrong"],
    ["is empty", () => "", "its checksum is wrong"]
  ])(
    "are left for the one before when the newest %s, which is reported",
    ([, change, why]) =>
      onDisk(Effect.gen(function*() {
        yield* twoSnapshots
        yield* rewrite(file(200), change)
        const { lines } = yield* logging(living(Effect.gen(function*() {
          const machine = yield* open()
          assert.deepStrictEqual(yield* machine.get, { sum: 250, events: 250 })
          const line = `the snapshot ${file(200)} of the state machine state is not used: ${why}`
          assert.deepStrictEqual(machine.recovery, { snapshotEventId: 100, foldedEvents: 150, notUsed: [line] })
          // The next one takes the place of the damaged one.
          yield* machine.snapshot
          assert.deepStrictEqual(yield* filesOf(), [file(100), file(250)])
        })))
        assert.isTrue(lines.some((line) => line.includes(file(200))))
      }))
  )

  it.effect("are not used of another name, another log, or events that the log has not; those are removed", () =>
    onDisk(Effect.gen(function*() {
      yield* twoSnapshots
      yield* Disk.use((disk) => disk.rename(`${directory}/${file(200)}`, `${directory}/${file(201)}`))
      yield* Disk.use((disk) => disk.rename(`${directory}/${file(100)}`, `${directory}/${file(300)}`))
      yield* living(Effect.gen(function*() {
        const machine = yield* open()
        assert.deepStrictEqual(yield* machine.get, { sum: 250, events: 250 })
        assert.deepStrictEqual(machine.recovery.notUsed.map((line) => line.slice(line.lastIndexOf(": ") + 2)), [
          "the log ends with event 250",
          "it was given another name"
        ])
        assert.deepStrictEqual(yield* filesOf(), [file(201)])
        yield* machine.snapshot
      }))
      // Another log in the same place.
      const disk = yield* Disk
      for (const { kind, name } of yield* disk.list(directory)) {
        if (kind === "file" && !name.startsWith("wal_state_")) yield* disk.unlink(`${directory}/${name}`)
      }
      yield* living(
        Effect.gen(function*() {
          const log = yield* Counts
          yield* log.appendEach(Array.from({ length: 260 }, () => ({ by: 2 })))
          yield* log.commit
          const machine = yield* open()
          assert.deepStrictEqual(yield* machine.get, { sum: 520, events: 260 })
          assert.include(machine.recovery.notUsed[0], "it is of another log")
        })
      )
    })))

  it.effect("of another version are migrated; without a migration the whole log is folded", () =>
    onDisk(Effect.gen(function*() {
      yield* twoSnapshots
      yield* living(Effect.gen(function*() {
        const machine = yield* open({ version: 2 })
        assert.deepStrictEqual(yield* machine.get, { sum: 250, events: 250 })
        assert.strictEqual(machine.recovery.snapshotEventId, 0)
        assert.strictEqual(machine.recovery.notUsed.length, 2)
      }))
      const migrate = (old: unknown, version: number) =>
        Effect.succeed({ ...old as State, sum: (old as State).sum * 10 * version })
      yield* living(Effect.gen(function*() {
        const machine = yield* open({ version: 3, migrate, snapshotEvery: {} })
        assert.deepStrictEqual(yield* machine.get, { sum: 2050, events: 250 })
        yield* machine.snapshot
      }))
      yield* living(Effect.gen(function*() {
        const machine = yield* open({ version: 3, snapshotEvery: {} })
        assert.deepStrictEqual(yield* machine.get, { sum: 2050, events: 250 })
        assert.strictEqual(machine.recovery.foldedEvents, 0)
      }))
    })))

  it.effect("are missed when both are gone and the log is trimmed: that is an error, and never another state", () =>
    onDisk(Effect.gen(function*() {
      yield* living(
        Effect.gen(function*() {
          const machine = yield* open({ snapshotEvery: { events: 300 } })
          for (let i = 0; i < 40; i++) yield* record(machine, 100)
          yield* (yield* Counts).maintainer.drain
          assert.isAbove((yield* (yield* Counts).positions).deletedBefore, 1)
        }),
        { limits: few }
      )
      for (const name of yield* filesOf()) yield* rewrite(name, () => "rotten")
      yield* living(Effect.gen(function*() {
        assert.strictEqual(reasonOf(yield* Effect.exit(open())), "EventsDeleted")
      }))
    })))

  it.effect("are tried again after a disk that was full, and hold up no update", () =>
    onDisk(Effect.gen(function*() {
      const disk = yield* SimulatedDisk.SimulatedDisk
      const { lines } = yield* logging(living(Effect.gen(function*() {
        const machine = yield* open({ snapshotEvery: { events: 10 } })
        yield* disk.failAlways("open", "Full", /wal_state/)
        yield* record(machine, 10)
        yield* record(machine, 10)
        assert.deepStrictEqual(yield* filesOf(), [])
        assert.strictEqual(reasonOf(yield* Effect.exit(machine.snapshot)), "DiskError")
        yield* disk.heal
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(yield* filesOf(), [file(20)])
        assert.strictEqual((yield* machine.get).sum, 20)
      })))
      assert.isTrue(lines.some((line) => line.startsWith("a snapshot was not written: state machine state: ")))
    })))

  it.effect("are refused for a state that does not fit its schema, and the machine continues", () =>
    onDisk(living(Effect.gen(function*() {
      const machine = yield* open()
      yield* machine.update(() => [undefined, [{ by: 1 }]])
      yield* machine.read((state) => Object.assign(state, { sum: 0.5 }))
      assert.strictEqual(reasonOf(yield* Effect.exit(machine.snapshot)), "StateUnencodable")
      yield* record(machine, 1)
      assert.strictEqual((yield* machine.get).sum, 1.5)
    }))))

  it.effect("of several machines over one log are apart", () =>
    onDisk(living(Effect.gen(function*() {
      const first = yield* open()
      const second = yield* open({ name: "state-2", snapshotEvery: {} })
      yield* record(first, 10)
      yield* second.snapshot
      yield* record(first, 10)
      yield* first.snapshot
      assert.deepStrictEqual(yield* filesOf(), [file(20)])
      assert.deepStrictEqual(yield* filesOf("state-2"), [file(10, "state-2")])
    }))))
})
