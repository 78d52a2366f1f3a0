/** Each error has a reason, and each reason is a tagged error: what Effect offers for reasons works on all of them. */
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import { Disk, DiskError } from "../../src/disk/Disk.ts"
import { diskReason, diskReasonTags } from "../../src/disk/DiskReason.ts"
import type { DiskReason, Held } from "../../src/disk/DiskReason.ts"
import { segmentFault, segmentFaultKinds } from "../../src/format/SegmentFault.ts"
import { Compressor } from "../../src/index.ts"
import { StepError } from "../../src/maintainer/steps/StepError.ts"
import { failed } from "../../src/maintainer/steps/StepOutcome.ts"
import * as StepReasons from "../../src/maintainer/steps/StepReason.ts"
import { corrupt, SegmentCorrupt } from "../../src/reading/segment/SegmentCorrupt.ts"
import type { SegmentCorruptReason } from "../../src/reading/segment/SegmentCorruptReason.ts"
import { MonitorError } from "../../src/recorder/monitor/MonitorError.ts"
import * as MonitorReasons from "../../src/recorder/monitor/MonitorReason.ts"
import { RecorderError } from "../../src/recorder/RecorderError.ts"
import * as RecorderReasons from "../../src/recorder/RecorderReason.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { fieldsOf } from "../fixtures/errors.ts"
import { small } from "./fixtures.ts"

class Raw extends Wal.Service<Raw>()("test/Raw") {}

/** An error of each kind, for every reason that it may have. */
const diskErrors = diskReasonTags.map((tag) =>
  new DiskError({ operation: "open", path: "/log", reason: diskReason(tag, "told") })
)
const stepErrors = [
  StepReasons.NotFound,
  StepReasons.DiskFull,
  StepReasons.Denied,
  StepReasons.SyncFailed,
  StepReasons.WriteFailed,
  StepReasons.ReadFailed,
  StepReasons.NameFailed,
  StepReasons.CompressFailed,
  StepReasons.VerifyFailed,
  StepReasons.Corrupt,
  StepReasons.Unsafe
].map((Reason) =>
  new StepError({ step: "freeze", segmentIndex: 3, path: "/log/a.wal", reason: new Reason({ detail: "told" }) })
)
const corruptErrors = segmentFaultKinds.map((kind) =>
  corrupt({ path: "/log/a.wal", segmentIndex: 3 }, segmentFault(kind, 7, "1", "2"))
)
const monitorErrors = [
  new MonitorReasons.Denied({ detail: "told" }),
  new MonitorReasons.NoAnswer({ detail: "told" }),
  new MonitorReasons.Unreadable({ detail: "told" }),
  new MonitorReasons.Io({ detail: "told" })
].map((reason) => new MonitorError({ path: "/log/wal.monitor", reason }))
const recorderErrors = [
  new RecorderReasons.TooLarge({ bytes: 9, bytesMax: 8, option: "blockBytesMax" }),
  new RecorderReasons.TooLarge({ bytes: 9, bytesMax: 8, option: "ringBytes" }),
  new RecorderReasons.TooLarge({ bytes: 9, bytesMax: 8, option: "blockBytesMax", batch: { events: 2, eventsMax: 1 } }),
  new RecorderReasons.WrongSize({ bytes: 9, eventSize: 8 }),
  new RecorderReasons.Backpressure(),
  new RecorderReasons.DiskFull(),
  new RecorderReasons.DiskFailing(),
  new RecorderReasons.MaintainerDown(),
  new RecorderReasons.Closed(),
  new RecorderReasons.LogExhausted(),
  new RecorderReasons.Unencodable({ detail: "told" })
].map((reason) => new RecorderError({ eventId: 5, reason }))

type AnyError =
  | DiskError
  | StepError
  | SegmentCorrupt
  | MonitorError
  | RecorderError

/** What each error becomes: what a handler made of it, or itself when no handler took it. */
const becomes = <E extends AnyError>(
  errors: ReadonlyArray<E>,
  handled: (effect: Effect.Effect<never, E>) => Effect.Effect<string, E>
) => Effect.forEach(errors, (error) => Effect.catch(handled(Effect.fail(error)), Effect.succeed))

const except = <E extends AnyError>(errors: ReadonlyArray<E>, tag: string, caught: string) =>
  errors.map((error) => error.reason._tag === tag ? caught : error)

describe("a reason that a program catches", () => {
  it("has the tag that stands for it everywhere", () => {
    const tagsOf = (errors: ReadonlyArray<AnyError>) => errors.map(({ reason }) => reason._tag)
    assert.deepStrictEqual(tagsOf(diskErrors), [...diskReasonTags])
    assert.deepStrictEqual(tagsOf(stepErrors), [...StepReasons.stepReasonTags])
    assert.deepStrictEqual(tagsOf(corruptErrors), [...segmentFaultKinds])
  })

  it.effect("is that of a disk; every other error of a disk passes as it was", () =>
    Effect.gen(function*() {
      const outcomes = yield* becomes(
        diskErrors,
        Effect.catchReason("DiskError", "Held", (reason, error) => {
          expectTypeOf(reason).toEqualTypeOf<Held>()
          expectTypeOf(error.reason).toEqualTypeOf<Held>()
          return Effect.succeed(`${error.path} is held by ${reason.holder}`)
        })
      )
      assert.deepStrictEqual(outcomes, except(diskErrors, "Held", "/log is held by told"))
    }))

  it.effect("is that of a step; every other error of a step passes as it was", () =>
    Effect.gen(function*() {
      const outcomes = yield* becomes(
        stepErrors,
        Effect.catchReason("StepError", "SyncFailed", (reason, error) => {
          expectTypeOf(reason).toEqualTypeOf<StepReasons.SyncFailed>()
          return Effect.succeed(`${error.step} ${error.segmentIndex}: ${reason.detail}`)
        })
      )
      assert.deepStrictEqual(outcomes, except(stepErrors, "SyncFailed", "freeze 3: told"))
    }))

  it.effect("is that of a damaged segment; other damage passes as it was", () =>
    Effect.gen(function*() {
      const outcomes = yield* becomes(
        corruptErrors,
        Effect.catchReason("SegmentCorrupt", "BrokenChain", ({ expected, found, offset }) =>
          Effect.succeed(`${offset}: ${expected}, ${found}`))
      )
      assert.deepStrictEqual(outcomes, except(corruptErrors, "BrokenChain", "7: 1, 2"))
    }))

  it.effect("is that of a monitor; every other error of a monitor passes as it was", () =>
    Effect.gen(function*() {
      const outcomes = yield* becomes(
        monitorErrors,
        Effect.catchReason("MonitorError", "NoAnswer", ({ detail }) => Effect.succeed(detail))
      )
      assert.deepStrictEqual(outcomes, except(monitorErrors, "NoAnswer", "told"))
    }))

  it.effect("is that of a recorder; every other error of a recorder passes as it was", () =>
    Effect.gen(function*() {
      const outcomes = yield* becomes(
        recorderErrors,
        Effect.catchReason("RecorderError", "DiskFull", (reason, error) => {
          expectTypeOf(reason).toEqualTypeOf<RecorderReasons.DiskFull>()
          expectTypeOf(error.eventId).toEqualTypeOf<number | undefined>()
          return Effect.succeed(`event ${error.eventId} waits`)
        })
      )
      assert.deepStrictEqual(outcomes, except(recorderErrors, "DiskFull", "event 5 waits"))
    }))

  it.effect("is one of several, each with its own fields", () =>
    Effect.gen(function*() {
      const outcomes = yield* becomes(
        recorderErrors,
        Effect.catchReasons("RecorderError", {
          TooLarge: ({ batch, bytesMax }) => Effect.succeed(`at most ${batch?.eventsMax ?? 1} with ${bytesMax}`),
          WrongSize: ({ eventSize }) => Effect.succeed(`${eventSize}`)
        })
      )
      assert.deepStrictEqual(outcomes.slice(0, 4), ["at most 1 with 8", "at most 1 with 8", "at most 1 with 8", "8"])
      assert.deepStrictEqual(outcomes.slice(4), recorderErrors.slice(4))
    }))

  it.effect("stands in the place of its error after unwrapReason, with the advice for a person", () =>
    Effect.gen(function*() {
      const [full] = recorderErrors.filter(({ reason }) => reason._tag === "DiskFull")
      const unwrapped = Effect.unwrapReason(Effect.fail(full!), "RecorderError")
      expectTypeOf(unwrapped).toEqualTypeOf<Effect.Effect<never, RecorderReasons.RecorderReason>>()
      const told = yield* Effect.catchTag(unwrapped, "DiskFull", ({ message }) => Effect.succeed(message))
      assert.match(told, /no disk space .* left; free some/)
    }))

  it("has a type for each error, and no word beside it", () => {
    expectTypeOf<DiskError["reason"]>().toEqualTypeOf<DiskReason>()
    expectTypeOf<StepError["reason"]>().toEqualTypeOf<StepReasons.StepReason>()
    expectTypeOf<SegmentCorrupt["reason"]>().toEqualTypeOf<SegmentCorruptReason>()
    expectTypeOf<MonitorError["reason"]>().toEqualTypeOf<MonitorReasons.MonitorReason>()
    expectTypeOf<RecorderError["reason"]>().toEqualTypeOf<RecorderReasons.RecorderReason>()
    expectTypeOf<Extract<AnyError["reason"], string>>().toBeNever()
  })

  it.effect("is caught where a log refuses an event", () =>
    Effect.gen(function*() {
      const { append, rotate } = yield* Effect.map(Raw, ({ append, recorder }) => ({ append, rotate: recorder.rotate }))
      const most = yield* Effect.catchReason(
        append(new Uint8Array(100_000)),
        "RecorderError",
        "TooLarge",
        ({ bytes, bytesMax, option }) => Effect.succeed([bytes, bytesMax, option])
      )
      assert.deepStrictEqual(most, [100_000, 8188, "blockBytesMax"])
      yield* rotate
    }).pipe(Effect.provide(Raw.layer({ ...small, directory: "/raw" })), Effect.provide(simulated)))
})

const simulated = Layer.merge(
  SimulatedDisk.layer({ seed: 5 }),
  Layer.succeed(Compressor.Compressor, Compressor.blocking)
)

describe("an error's isRetryable", () => {
  const retryable = (errors: ReadonlyArray<AnyError>) =>
    errors.filter(({ isRetryable }) => isRetryable).map(({ reason }) => reason._tag)

  it("is that of its reason: what may pass with nothing else changed", () => {
    assert.deepStrictEqual(retryable(diskErrors), ["Full", "TooManyFiles", "Away", "Io"])
    assert.deepStrictEqual(
      stepErrors.filter(({ isRetryable }) => !isRetryable).map(({ reason }) => reason._tag).sort(),
      ["Corrupt", "NotFound", "Unsafe"]
    )
    assert.deepStrictEqual(retryable(corruptErrors), [])
    assert.deepStrictEqual(retryable(monitorErrors), ["NoAnswer", "Io"])
    assert.deepStrictEqual(retryable(recorderErrors), ["Backpressure", "DiskFull", "DiskFailing"])
  })

  const habit = <A>(effect: Effect.Effect<A, AnyError>) =>
    Effect.retry(effect, { while: (error) => error.isRetryable, schedule: Schedule.spaced("1 second"), times: 5 })

  /** How often an operation is tried that fails with these errors, one after the other, and how it ends. */
  const triedOn = Effect.fnUntraced(function*(errors: ReadonlyArray<AnyError>) {
    let attempts = 0
    const operation = Effect.suspend(() => {
      const error = errors[attempts++]
      return error === undefined ? Effect.succeed("done") : Effect.fail(error)
    })
    const end = yield* Effect.forkChild(Effect.result(habit(operation)))
    yield* TestClock.adjust("10 seconds")
    const result = yield* Fiber.join(end)
    return [attempts, result._tag === "Success" ? result.success : result.failure]
  })

  for (const errors of [diskErrors, stepErrors, corruptErrors, monitorErrors, recorderErrors]) {
    it.effect(`ends a habitual retry, or lets it continue (${errors[0]!._tag})`, () =>
      Effect.gen(function*() {
        for (const error of errors as ReadonlyArray<AnyError>) {
          assert.deepStrictEqual(
            yield* triedOn([error]),
            error.isRetryable ? [2, "done"] : [1, error],
            error.reason._tag
          )
        }
      }))
  }

  it.effect("retries a commit on a full disk until there is room, and does not retry a name that is taken", () =>
    Effect.gen(function*() {
      const log = yield* Raw
      const disk = yield* SimulatedDisk.SimulatedDisk
      yield* disk.setCapacityBytes(0)
      const id = yield* log.append(Buffer.from("a"))
      const waiting = yield* Effect.forkChild(
        Effect.retry(log.commitTo(id), { while: (error) => error.isRetryable, schedule: Schedule.spaced("1 second") })
      )
      yield* TestClock.adjust("10 seconds")
      assert.isUndefined(waiting.pollUnsafe())
      yield* disk.setCapacityBytes(1 << 20)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(waiting), id)
      const { open } = yield* Disk
      const create = Effect.scoped(open("/raw/x", "create"))
      yield* create
      const again = yield* Effect.flip(
        Effect.retry(create, { while: (error) => error.isRetryable, schedule: Schedule.spaced("1 second") })
      )
      assert.deepInclude(fieldsOf(again), { operation: "open", path: "/raw/x", reason: "Exists" })
    }).pipe(
      Effect.provide(Raw.layer({ ...small, directory: "/raw", onDiskFailure: "fail" })),
      Effect.provide(simulated)
    ))
})

describe("an error that leaves its thread or its process", () => {
  const comesBack = <A extends AnyError, I>(schema: Schema.Codec<A, I>, errors: ReadonlyArray<A>) =>
    it.effect(`comes back from JSON with its reason (${errors[0]!._tag})`, () =>
      Effect.gen(function*() {
        const json = Schema.fromJsonString(schema)
        for (const error of errors) {
          const back = yield* Schema.decodeEffect(json)(yield* Schema.encodeEffect(json)(error))
          assert.strictEqual(back.constructor, error.constructor)
          assert.strictEqual(back.reason.constructor, error.reason.constructor)
          assert.strictEqual(back.message, error.message)
        }
      }))
  comesBack(RecorderError, recorderErrors)
  comesBack(MonitorError, monitorErrors)
  comesBack(SegmentCorrupt, corruptErrors)

  it("is the outcome of a step as plain data", () => {
    for (const error of stepErrors) {
      const outcome = failed(error, 1, true, 2)
      assert.deepStrictEqual(structuredClone(outcome), outcome)
      assert.include(outcome, { reason: error.reason._tag, message: error.message, isRetryable: error.isRetryable })
    }
  })
})
