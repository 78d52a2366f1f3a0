/** The logger over a log: what it records, when that is durable, and what becomes of lines that are not recorded. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as WalLogger from "../../src/buffer/WalLogger.ts"
import type { Disk } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import type { WalOptions } from "../../src/recorder/Wal.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { settle } from "../maintainer/maintaining.ts"
import { temporaryDirectory, threadModule } from "../recorder/fixtures.ts"
import { counted, otherLogger, ownMetrics } from "./buffering.ts"

class AppLog extends Wal.Service<AppLog>()("test/AppLog", { event: WalLogger.LogLine }) {}
class Bytes extends Wal.Service<Bytes>()("test/Bytes") {}

const directory = "/app-log"
const small = { segmentBytesMax: 64 * 1024, blockBytesMax: 16 * 1024, slots: 3 } as const

/** A program whose lines are recorded: the log outlives the logger. `others` are the lines of the other loggers. */
const logging = <A, E>(
  program: (log: AppLog["Service"]) => Effect.Effect<A, E, Scope.Scope>,
  { level, options = {}, others = [] }: {
    readonly options?: WalLogger.Options
    readonly others?: Array<string>
    readonly level?: "All"
  } = {}
): Effect.Effect<A, E | Wal.WalError, Disk> =>
  Effect.flatMap(AppLog, (log) => Effect.scoped(program(log)).pipe(Effect.provide(WalLogger.layer(AppLog, options))))
    .pipe(
      Effect.provide(Layer.fresh(AppLog.layer({ directory, ...small }))),
      Effect.provide(otherLogger(others, level)),
      ownMetrics
    )

const recorded = Stream.runCollect(AppLog.reader({ directory }).events()).pipe(
  Effect.map((events) => events.map(({ event }) => event))
)

const messages = Effect.map(recorded, (lines) => lines.map(({ message }) => message))

const onDisk = <A, E>(effect: Effect.Effect<A, E, Disk | SimulatedDisk.SimulatedDisk>) =>
  Effect.provide(effect, SimulatedDisk.layer({ seed: 1 }))

const lost = counted("effect_wal_buffer_lines_lost_total")

const layers: ReadonlyArray<
  readonly [string, (options: WalOptions) => Layer.Layer<AppLog, Wal.WalError, Disk>]
> = [
  ["fiber", (options) => AppLog.layer(options)],
  ["thread", (options) => AppLog.layerWorker({ ...options, threadModule })]
]

describe.each(layers)("a logger over a log (%s)", (_, layer) => {
  it.live("has recorded every line, in order, when its layer has closed", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const lines = 2000
      yield* Effect.gen(function*() {
        for (let line = 0; line < lines; line++) yield* Effect.logInfo(line)
      }).pipe(
        Effect.provide(WalLogger.layer(AppLog).pipe(Layer.provide(layer({ directory, ...small })))),
        Effect.provide(otherLogger([]))
      )
      const found = yield* Stream.runCollect(AppLog.reader({ directory }).events())
      assert.deepStrictEqual(found.map(({ event }) => event.message), Array.from({ length: lines }, (_, line) => line))
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))
})

describe("a line", () => {
  it.effect("is recorded with its level, cause, annotations and spans, and other loggers have it too", () =>
    onDisk(Effect.gen(function*() {
      const others: Array<string> = []
      yield* TestClock.adjust("5 seconds")
      yield* logging(() =>
        Effect.gen(function*() {
          yield* Effect.logInfo("started")
          yield* Effect.logError("failed", { code: 7 }, Cause.fail("no such thing")).pipe(
            Effect.annotateLogs({ user: "ada" }),
            Effect.withLogSpan("request")
          )
        }), { others })
      const [started, failed] = yield* recorded
      assert.deepInclude(started, { level: "INFO", message: "started", annotations: {}, spans: {} })
      assert.strictEqual(DateTime.toEpochMillis(started!.timestamp), 5000)
      assert.deepInclude(failed, {
        level: "ERROR",
        message: ["failed", { code: 7 }],
        annotations: { user: "ada" },
        spans: { request: 0 }
      })
      assert.include(failed?.cause, "no such thing")
      assert.deepStrictEqual(others.map((line) => line.split(" ")[0]), ["started", "failed"])
    })))

  it.effect("may say what JSON cannot: it is recorded without that, and the program goes on", () =>
    onDisk(Effect.gen(function*() {
      const circular: Record<string, unknown> = { name: "circle" }
      circular["self"] = circular
      const throwing = {
        within: {
          get value() {
            throw new Error("not me")
          }
        }
      }
      yield* logging(() =>
        Effect.gen(function*() {
          yield* Effect.logInfo(circular)
          yield* Effect.logInfo(throwing)
          yield* Effect.logInfo(10n)
          yield* Effect.logInfo(undefined)
          yield* Effect.logInfo(() => 1)
          yield* Effect.logInfo(Symbol.for("s"), Number.NaN)
          yield* Effect.logInfo("\u0000\ud800")
          yield* Effect.logInfo("last").pipe(Effect.annotateLogs({ nothing: undefined, many: 1n }))
        })
      )
      const found = yield* messages
      assert.strictEqual(found.length, 8)
      assert.deepStrictEqual(found[0], { name: "circle" })
      assert.include(String(found[1]), "not me")
      assert.deepStrictEqual(found.at(-1), "last")
    })))

  it.effect("is durable at most `within` after it was logged, although nobody commits", () =>
    onDisk(logging((log) =>
      Effect.gen(function*() {
        const durable = Effect.map(log.positions, (positions) => positions.durable)
        yield* Effect.logInfo("one")
        yield* Effect.logInfo("two")
        yield* TestClock.adjust("49 millis")
        yield* settle
        assert.strictEqual(yield* durable, 0)
        yield* TestClock.adjust("1 millis")
        yield* settle
        assert.strictEqual(yield* durable, 2)
        yield* Effect.logInfo("three")
        yield* TestClock.adjust("50 millis")
        yield* settle
        assert.strictEqual(yield* durable, 3)
      }), { options: { within: "50 millis" } })))

  it.effect("that is larger than a block is counted and told once, by other loggers, and stops none after it", () =>
    onDisk(Effect.gen(function*() {
      const others: Array<string> = []
      yield* logging(() =>
        Effect.gen(function*() {
          for (let line = 0; line < 3; line++) {
            yield* Effect.logDebug("not logged")
            yield* Effect.logInfo("x".repeat(20_000))
            yield* Effect.logInfo(line)
            yield* TestClock.adjust("1 second")
          }
          assert.strictEqual(yield* lost, 3)
        }), { others })
      assert.deepStrictEqual(yield* messages, [0, 1, 2])
      const told = others.filter((line) => line.length < 1000 && !/^\d$/.test(line))
      assert.strictEqual(told.length, 2, told.join("\n"))
      assert.match(told[0]!, /^log lines are not recorded.*larger than a block can hold/)
      assert.match(told[1]!, /^3 log lines were not recorded/)
    })))
})

describe("a logger whose disk is full", () => {
  it.effect("stops no program; its lines wait, and are recorded in order when there is room", () =>
    onDisk(Effect.gen(function*() {
      const disk = yield* SimulatedDisk.SimulatedDisk
      const others: Array<string> = []
      // More than three segments of 64 KiB.
      const lines = 600
      yield* logging(() =>
        Effect.gen(function*() {
          yield* Effect.logInfo(-1)
          yield* TestClock.adjust("1 second")
          yield* disk.failAlways("write", "Full")
          // A short line would still find room where a long one finds none.
          for (let line = 0; line < lines; line++) yield* Effect.logInfo(line, "x".repeat(line % 2 === 0 ? 900 : 3))
          yield* TestClock.adjust("10 seconds")
          assert.strictEqual(yield* lost, 0)
          yield* disk.heal
          yield* TestClock.adjust("10 seconds")
        }), { others, level: "All" })
      const found = (yield* messages).slice(1).map((message) => Array.isArray(message) ? message[0] : message)
      assert.deepStrictEqual(found, Array.from({ length: lines }, (_, line) => line))
      // What the log says about itself goes to the others, and not into itself.
      assert.isAbove(others.filter((line) => !line.includes("xxx")).length, 1)
      assert.isEmpty((yield* recorded).filter(({ annotations }) => "module" in annotations))
    })))

  it.effect("keeps at most 4 MiB of lines waiting, counts the others, and ends when there is room", () =>
    onDisk(Effect.gen(function*() {
      const disk = yield* SimulatedDisk.SimulatedDisk
      const others: Array<string> = []
      const lines = 6000
      const ending = yield* Effect.forkChild(logging(() =>
        Effect.gen(function*() {
          yield* disk.failAlways("write", "Full")
          for (let line = 0; line < lines; line++) yield* Effect.logInfo(line, "x".repeat(1000))
          yield* TestClock.adjust("1 second")
          const count = yield* lost
          assert.isAbove(count, 1000)
          return count
        }), { others }))
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(ending.pollUnsafe(), "the last lines wait for room")
      yield* disk.heal
      while (ending.pollUnsafe() === undefined) yield* TestClock.adjust("1 second")
      const count = yield* Fiber.join(ending)
      // On a slow machine the test clock logs a line of its own.
      const own = (yield* messages).filter((message) => Array.isArray(message))
      assert.strictEqual(own.length, lines - count)
      assert.strictEqual(others.filter((line) => line.startsWith("log lines are not recorded")).length, 1)
    })))
})

describe("a logger whose log has ended", () => {
  it.effect("counts every line, tells that once, and stops no program", () =>
    onDisk(Effect.gen(function*() {
      const others: Array<string> = []
      const exit = yield* Effect.exit(
        Effect.gen(function*() {
          const services = yield* Layer.build(Layer.fresh(AppLog.layer({ directory, ...small }))).pipe(Effect.scoped)
          // The scope of the log has closed: its owner is wrong, and this must not matter.
          yield* Effect.gen(function*() {
            for (let line = 0; line < 5; line++) {
              yield* Effect.logInfo(line)
              yield* TestClock.adjust("1 second")
            }
            assert.strictEqual(yield* lost, 5)
          }).pipe(Effect.provide(WalLogger.layer(AppLog)), Effect.provideContext(services))
        }).pipe(Effect.provide(otherLogger(others)), ownMetrics)
      )
      assert.isTrue(Exit.isSuccess(exit), String(exit))
      const told = others.filter((line) => line.includes("not recorded"))
      assert.strictEqual(told.length, 2, others.join("\n"))
      assert.deepStrictEqual(yield* messages, [])
    })))
})

describe("a logger over a log, from JavaScript,", () => {
  it.effect("refuses what it does not understand, and names it", () =>
    onDisk(Effect.gen(function*() {
      const defectOf = (make: () => Layer.Layer<never, unknown, never>) =>
        Effect.map(
          Effect.exit(Effect.suspend(() => Effect.provide(Effect.void, make()))),
          (exit) => Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "none"
        )
      const withLog = (options: unknown) => () =>
        Layer.provide(
          WalLogger.layer(AppLog, options as never),
          Layer.fresh(AppLog.layer({ directory, ...small }))
        ) as Layer.Layer<never, unknown, never>
      const disk = yield* Effect.context<Disk>()
      const on = (make: () => Layer.Layer<never, unknown, never>) => Effect.provideContext(defectOf(make), disk)
      assert.include(yield* on(withLog({ within: "soon" })), "options.within is a string of 4 characters")
      assert.include(yield* on(withLog({ mergeWithExisting: 1 })), "options.mergeWithExisting is 1")
      assert.include(yield* on(withLog({ windows: 1 })), "options.windows is 1")
      assert.include(yield* on(() => WalLogger.layer({} as never)), "log is an Object, expected the class of a log")
      const overBytes = () =>
        Layer.provide(
          WalLogger.layer(Bytes as never),
          Layer.fresh(Bytes.layer({ directory: "/bytes", ...small }))
        ) as Layer.Layer<never, unknown, never>
      assert.include(yield* on(overBytes), "expected one whose events are log lines: { event: WalLogger.LogLine }")
    })))
})
