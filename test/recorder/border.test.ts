/**
 * What JavaScript hands over although the types forbid it: refused with a defect that names the argument, before
 * anything changes, so the next event is recorded as if nothing had happened.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { runInNewContext } from "node:vm"
import type { Disk } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as ReadRate from "../../src/disk/ReadRate.ts"
import * as EventCodec from "../../src/format/EventCodec.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import * as SegmentMaintainerWorker from "../../src/maintainer/SegmentMaintainerWorker.ts"
import * as Backup from "../../src/reading/recovery/Backup.ts"
import * as Repair from "../../src/reading/recovery/Repair.ts"
import * as Verify from "../../src/reading/recovery/Verify.ts"
import * as Replay from "../../src/reading/Replay.ts"
import * as Follow from "../../src/recorder/Follow.ts"
import { makeLog } from "../../src/recorder/makeLog.ts"
import * as Monitor from "../../src/recorder/monitor/Monitor.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as ThreadAppender from "../../src/recorder/ThreadAppender.ts"
import { Service } from "../../src/recorder/Wal.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { layers, small, temporaryDirectory } from "./fixtures.ts"

/** A value that the types forbid. */
const given = <A>(value: unknown): A => value as A

const transferred = () => {
  const bytes = new Uint8Array(8)
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  return bytes
}

const shrunk = () => {
  const buffer = new ArrayBuffer(64, { maxByteLength: 64 })
  const bytes = new Uint8Array(buffer, 32, 16)
  buffer.resize(16)
  return bytes
}

const noBytes: ReadonlyArray<readonly [string, () => unknown]> = [
  ["a string", () => "hello"],
  ["an empty string", () => ""],
  ["an ArrayBuffer", () => new ArrayBuffer(8)],
  ["a DataView", () => new DataView(new ArrayBuffer(8))],
  ["an array of numbers of eight bytes", () => new Float64Array(2)],
  ["a number", () => 5],
  ["an object", () => ({ a: 1 })],
  ["an object with a length", () => ({ length: 3 })],
  ["an array of bytes", () => [1, 2, 3]],
  ["null", () => null],
  ["nothing", () => undefined],
  ["a Uint8Array whose buffer was transferred", transferred],
  ["a Uint8Array whose buffer shrank", shrunk]
]

const bytesOfAKind: ReadonlyArray<readonly [string, () => Uint8Array]> = [
  ["another realm", () => runInNewContext("new Uint8Array([104, 105])")],
  ["Node's pool", () => Buffer.from("hi")],
  ["shared memory", () => {
    const bytes = new Uint8Array(new SharedArrayBuffer(2))
    bytes.set([104, 105])
    return bytes
  }],
  [
    "shared memory of another realm",
    () => runInNewContext("const bytes = new Uint8Array(new SharedArrayBuffer(2)); bytes.set([104, 105]); bytes")
  ],
  ["a buffer that may grow and shrink", () => {
    const bytes = new Uint8Array(new ArrayBuffer(2, { maxByteLength: 8 }))
    bytes.set([104, 105])
    return bytes
  }]
]

/** The message of the defect with which an effect dies; `undefined` when it does not die. */
const defectOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(effect), (exit) => {
    if (Exit.isSuccess(exit)) return undefined
    const defect = exit.cause.reasons.find(Cause.isDieReason)?.defect
    return defect === undefined ? undefined : String(defect)
  })

const diesNaming = <A, E, R>(argument: string, effect: Effect.Effect<A, E, R>) =>
  Effect.map(defectOf(effect), (message) => {
    const [, names = ""] = /^(?:WrongArgument|WrongOptions): (\S+) is /.exec(message ?? "") ?? []
    assert.isTrue(names === argument || names.startsWith(`${argument}.`), `${argument}: ${message}`)
  })

const directory = "/log"

describe.each(layers)("A recorder at the border, maintainer in a %s", (_layer, walLayer) => {
  it.live("refuses as an event what is no Uint8Array, and records the next one under the next id", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* Effect.gen(function*() {
        const { append, appendAll, appendDurable, appendEach, commit, writer } = yield* Recorder
        for (const [, make] of noBytes) {
          yield* diesNaming("event", append(given(make())))
          yield* diesNaming("event", appendDurable(given(make())))
          yield* diesNaming("event", Effect.sync(() => writer.appendUnsafe(given(make()))))
          yield* diesNaming("events[1]", appendAll([Buffer.from("before it"), given(make())]))
          yield* diesNaming("events[0]", appendAll(new Set([given(make())])))
          yield* diesNaming("event", appendEach(new Set([given(make())])))
        }
        for (const events of ["hello", Buffer.from("hello"), 5, undefined, {}, new ArrayBuffer(8)]) {
          yield* diesNaming("events", appendAll(given(events)))
          yield* diesNaming("events", appendEach(given(events)))
        }
        for (const [, make] of bytesOfAKind) yield* append(make())
        assert.strictEqual(yield* commit, bytesOfAKind.length)
      }).pipe(Effect.provide(walLayer({ directory, ...small })))
      const texts = yield* Stream.runCollect(Replay.events({ directory }))
      assert.deepStrictEqual(texts.map(({ bytes }) => Buffer.from(bytes).toString()), bytesOfAKind.map(() => "hi"))
    }).pipe(Effect.provide(NodeDisk.layer)))
})

describe("A public function", () => {
  const wal = Wal.layer({ directory, ...small }).pipe(Layer.provideMerge(SimulatedDisk.layer({ seed: 1 })))
  const ruling = (name: string, body: Effect.Effect<void, unknown, Wal.Parts | Disk | Scope.Scope>) =>
    it.effect(name, () => Effect.provide(Effect.scoped(body), wal))

  ruling(
    "refuses lengths that are none and publishes nothing that was not reserved",
    Effect.gen(function*() {
      const { commit, writer } = yield* Recorder
      for (const length of [Number.NaN, -1, 1.5, Infinity, "5", undefined]) {
        yield* diesNaming("length", Effect.sync(() => writer.reserveUnsafe(given(length))))
      }
      const publish = Effect.sync(() => writer.publishUnsafe())
      yield* diesNaming("reservation", publish)
      writer.reserveUnsafe(10)
      writer.appendUnsafe(Buffer.from("ends the reservation"))
      yield* diesNaming("reservation", publish)
      writer.reserveUnsafe(10)
      writer.rotateUnsafe()
      yield* diesNaming("reservation", publish)
      assert.strictEqual(yield* commit, 1)
    })
  )

  ruling(
    "refuses ids and indices that are none",
    Effect.gen(function*() {
      const { appendDurable, commitTo } = yield* Recorder
      const maintainer = yield* SegmentMaintainer
      const hold = yield* maintainer.hold({ name: "a hold", fromSegmentIndex: 0 })
      for (const value of [Number.NaN, -1, 0.5, Infinity, 2 ** 53, "1", null, 1n]) {
        yield* diesNaming("eventId", commitTo(given(value)))
        yield* diesNaming("segmentIndex", hold.advanceTo(given(value)))
        yield* diesNaming("segmentIndex", maintainer.closed(given(value)))
        yield* diesNaming("segmentIndex", maintainer.removed(given(value)))
        yield* diesNaming("hold.fromSegmentIndex", maintainer.hold({ name: "a", fromSegmentIndex: given(value) }))
      }
      assert.strictEqual(yield* appendDurable(Buffer.from("goes on")), 1)
      assert.deepStrictEqual((yield* maintainer.status).holds.map((each) => each.fromSegmentIndex), [0])
    })
  )

  ruling(
    "refuses options that it does not understand, misspelt ones too",
    Effect.gen(function*() {
      const maintainer = yield* SegmentMaintainer
      const replay = (options: unknown) => Stream.runDrain(Replay.events(given(options)))
      yield* diesNaming("options.directory", replay({ directory: 5 }))
      yield* diesNaming("options.directory", replay({ directory: "a\0b" }))
      yield* diesNaming("options.from", replay({ directory, from: { idd: 1 } }))
      yield* diesNaming("options.from", replay({ directory, from: { id: Number.NaN } }))
      yield* diesNaming("options.from", replay({ directory, from: 7 }))
      yield* diesNaming("options.to.id", replay({ directory, to: { id: "9" } }))
      yield* diesNaming("options.follow", replay({ directory, follow: "pol" }))
      yield* diesNaming("options.onHole", replay({ directory, onHole: true }))
      yield* diesNaming("options.form", replay({ directory, form: { id: 1 } }))
      yield* diesNaming("options.naming", replay({ directory, naming: { prefix: "../x", suffix: ".wal", digits: 8 } }))
      yield* diesNaming("options.naming", replay({ directory, naming: { prefix: "FS", suffix: "0.wal", digits: 8 } }))
      yield* diesNaming("options.from", Stream.runDrain(Follow.events({ name: "a", from: given({ ID: 1 }) })))
      yield* diesNaming("hold.name", Stream.runDrain(Follow.events(given({}))))
      yield* diesNaming("options.incremental", Verify.verify({ directory, incremental: given("onlynew") }))
      yield* diesNaming("options.to", Backup.backup(given({ directory })))
      yield* diesNaming("options.apply", Repair.repair({ directory, apply: given("false") }))
      yield* diesNaming("arguments.directory", Replay.firstAvailableId(given(undefined)))
      yield* diesNaming("arguments.directory", Monitor.read(given({})))
      yield* diesNaming("bytesPerSecond", ReadRate.withReadRate(Effect.void, Number.NaN))
      yield* diesNaming(
        "hold.timeToLive",
        maintainer.hold(given({ name: "a", fromSegmentIndex: 0, timeToLive: NaN }))
      )
      yield* diesNaming("maxSegments", maintainer.setLimits(given({ maxSegments: NaN, maxCompressedSegments: 4 })))
      yield* diesNaming("options.ringBytes", ThreadAppender.open({ ringBytes: Number.NaN }))
      yield* diesNaming(
        "writer",
        Layer.build(SegmentMaintainerWorker.layerAlone({ directory: "/b", writer: given("others") }))
      )
      yield* diesNaming(
        "proofModule",
        Layer.build(Wal.layerWorker({ directory: "/c", proofModule: given("./proof.js") }))
      )
    })
  )

  ruling(
    "refuses a schema that is none, a list that is text, and bytes that are none",
    Effect.gen(function*() {
      const event = given<typeof Schema.String>({ type: "object" })
      yield* diesNaming("schema", Effect.sync(() => Service()("test/None", { event })))
      yield* diesNaming("schema", Effect.sync(() => EventCodec.make(given<typeof Schema.String>(undefined))))
      const words = yield* makeLog("test/Words", EventCodec.make(Schema.String))
      yield* diesNaming("events", words.appendAll("hello"))
      yield* diesNaming("events", words.appendEach("hello"))
      yield* diesNaming("options.form", Stream.runDrain(words.events(given({ form: { id: 1 } }))))
      const { decode } = EventCodec.make(Schema.String)
      yield* diesNaming("bytes", decode(given("\"hello\"")))
      const foreign = runInNewContext("const b = new Uint8Array(new SharedArrayBuffer(3)); b.set([34, 97, 34]); b")
      assert.strictEqual(yield* decode(foreign), "a")
      assert.strictEqual((yield* (yield* Recorder).positions).appended, 0)
    })
  )

  ruling(
    "of an appender in another thread refuses what the recorder would refuse",
    Effect.gen(function*() {
      yield* diesNaming(
        "memory.buffer",
        Effect.sync(() => ThreadAppender.attach(given({ buffer: new ArrayBuffer(8) })))
      )
      const appender = ThreadAppender.attach(yield* ThreadAppender.open({ ringBytes: 4096 }))
      for (const [, make] of noBytes) {
        yield* diesNaming("event", appender.append(given(make())))
        yield* diesNaming("event", Effect.sync(() => appender.appendUnsafe(given(make()))))
      }
    })
  )
})
