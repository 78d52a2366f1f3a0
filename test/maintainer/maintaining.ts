/**
 * A maintainer under test, in the words of the tests: segments are filled and handed over the way a recorder does it,
 * the directory is looked at from outside, and what was recorded is read back.
 */
import { assert } from "@effect/vitest"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { pathToFileURL } from "node:url"
import { Disk, openScoped, writeFully } from "../../src/disk/Disk.ts"
import type { DiskError } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { SegmentDirectory, segmentsOf } from "../../src/disk/SegmentDirectory.ts"
import { blocking, Compressor } from "../../src/maintainer/Compressor.ts"
import type { RawCompressor } from "../../src/maintainer/Compressor.ts"
import type { MaintainerOptions } from "../../src/maintainer/MaintainerOptions.ts"
import { layerAlone } from "../../src/maintainer/SegmentMaintainer.ts"
import type { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import * as SegmentMaintainerWorker from "../../src/maintainer/SegmentMaintainerWorker.ts"
import type { WorkerOptions } from "../../src/maintainer/SegmentMaintainerWorker.ts"
import type { StepOutcome } from "../../src/maintainer/steps/StepOutcome.ts"
import type { SegmentCorrupt } from "../../src/reading/segment/SegmentCorrupt.ts"
import { readSegment } from "../../src/reading/segment/SegmentReader.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import type { WalOptions } from "../../src/recorder/WalParts.ts"
import * as SegmentQueues from "../../src/shared/SegmentQueues.ts"
import * as Telemetry from "../../src/telemetry/Telemetry.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import * as formats from "../fixtures/formats.ts"
import { orderEvent } from "../fixtures/orders.ts"
import type { BuiltSegment } from "../fixtures/segments.ts"
import { program } from "../programs.ts"

/** Segments of 1 KiB hold some 40 events of 20 bytes, or 16 of format 1. */
export const segmentBytesMax = 1024

export const event = (id: number): Uint8Array => Buffer.from(`event number ${String(id).padStart(7, "0")}`)

/** A format, and events that are known by their ids. */
export interface Kind extends formats.Format {
  readonly event: (id: number) => Uint8Array
  /** More than twelve segments of them. */
  readonly count: number
}

export const format2: Kind = { ...formats.format2, event, count: 600 }
export const format1: Kind = { ...formats.format1, event: (id) => orderEvent(id), count: 240 }
export const kinds: ReadonlyArray<Kind> = [format2, format1]

/** A whole recorder; how its maintainer runs is what differs. */
export interface Subject {
  readonly name: string
  readonly executors: number
  readonly wal: (options: WalOptions & WorkerOptions) => Layer.Layer<Wal.Parts, Wal.WalError, Disk>
  readonly alone: (
    options: MaintainerOptions & WorkerOptions
  ) => Layer.Layer<SegmentMaintainer, DiskError, Disk | SegmentQueues.SegmentQueues | Telemetry.Telemetry>
}

/** Threads from the bundle, which begin in a third of the time; those with a proof, a module of the source, from the source. */
const threads = <O extends WorkerOptions>(options: O): O & WorkerOptions =>
  options.proofModule === undefined
    ? { threadModule: pathToFileURL(program("maintainerThread")), ...options }
    : options

export const subjects: ReadonlyArray<Subject> = [
  { name: "a fiber", executors: 1, wal: Wal.layer, alone: layerAlone },
  {
    name: "a worker",
    executors: 1,
    wal: (options) => Wal.layerWorker(threads(options)),
    alone: (options) => SegmentMaintainerWorker.layerAlone(threads(options))
  },
  {
    name: "a pool of two workers",
    executors: 2,
    wal: (options) => Wal.layerWorker({ ...threads(options), workers: 2 }),
    alone: (options) => SegmentMaintainerWorker.layerAlone({ ...threads(options), workers: 2 })
  }
]

/** Logs are not what these tests are about. */
export const quiet = Effect.provideService(References.MinimumLogLevel, "None")

/** The queues and counters that a maintainer alone needs. */
export const foundation = Layer.merge(SegmentQueues.layer, Telemetry.layer({ writersMax: 4 }))

/** The simulated disk, with a compressor that answers at once. */
export const simulated = (
  options: Partial<SimulatedDisk.Options> = {},
  compressor: RawCompressor = blocking
): Layer.Layer<Disk | SimulatedDisk.SimulatedDisk> =>
  Layer.merge(
    SimulatedDisk.layer({ seed: 1, logLength: 100_000, ...options }),
    Layer.succeed(Compressor, compressor)
  )

export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-wal-maintainer-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

/** How long a test waits for anything at all, in milliseconds of real time: not as long as the runner, which says nothing. */
const patienceMillis = 240_000

/** The effect, or a death that says what did not happen in time, whatever clock the test has. */
export const inTime = Effect.fnUntraced(function*<A, E, R>(what: string, effect: Effect.Effect<A, E, R>) {
  // Not a child: what hangs may be uninterruptible, and is left behind.
  const fiber = yield* Effect.forkDetach(effect)
  const gaveUp = new AbortController()
  const exit = yield* Effect.raceFirst(
    Fiber.await(fiber),
    Effect.as(Effect.promise(() => setTimeout(patienceMillis, undefined, gaveUp).catch(() => {})), undefined)
  ).pipe(Effect.onExit(() =>
    Effect.sync(() => {
      gaveUp.abort()
      fiber.interruptUnsafe()
    })
  ))
  return exit === undefined ? yield* Effect.die(new Error(`${what}: not done after ${patienceMillis} ms`)) : yield* exit
})

/** A built layer that the test closes when it wants; the enclosing scope closes it otherwise. */
export interface Opened<S> {
  readonly context: Context.Context<S>
  readonly close: Effect.Effect<void>
}

export const open = Effect.fnUntraced(function*<S, E, R>(layer: Layer.Layer<S, E, R>) {
  // A test that has failed half-way does not turn its clock any more, and a drain that waits for it is left behind.
  const scope = yield* Effect.acquireRelease(
    Scope.make(),
    (scope) =>
      Effect.flatMap(
        Effect.forkDetach(Scope.close(scope, Exit.void)),
        (closing) => Effect.raceFirst(Fiber.await(closing), Effect.promise(() => setTimeout(3000)))
      )
  )
  const context = yield* Layer.buildWithScope(Layer.fresh(layer), scope)
  const opened: Opened<S> = { context, close: inTime("closing", Scope.close(scope, Exit.void)) }
  return opened
})

/** Lets every fiber go as far as it can without a tick of the clock. */
export const settle = Effect.repeat(TestClock.adjust(0), { times: 200 })

/** What the test's clock may turn until an effect is done: ten minutes. */
const turnsMax = 6000

/** Turns the test's clock, 100 ms at a time, until the effect is done. Much more than it needs, and the test fails. */
export const whileClockTurns = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.forkDetach(effect)
  for (let turn = 0; turn < turnsMax; turn++) {
    // What needs no time is done without: a turn wakes every sleeper.
    for (let yields = 0; yields < 20; yields++) {
      yield* Effect.yieldNow
      if (fiber.pollUnsafe() !== undefined) return yield* Fiber.join(fiber)
    }
    yield* TestClock.adjust(100)
  }
  fiber.interruptUnsafe()
  return yield* Effect.die(new Error(`not done although the clock has turned ${turnsMax} times 100 ms`))
})

/** What a fiber comes to that needs no more time of the test's clock. */
export const done = <A, E>(fiber: Fiber.Fiber<A, E>) =>
  inTime("what needs no more time of the clock", Fiber.join(fiber))

/** Every event from now on, in an array that grows. */
export const watch = Effect.fnUntraced(function*(maintainer: SegmentMaintainer["Service"]) {
  const seen: Array<StepOutcome> = []
  yield* Effect.forkScoped(Stream.runForEach(maintainer.outcomes, (event) => Effect.sync(() => void seen.push(event))))
  yield* Effect.yieldNow
  return seen
})

/** Done when `isDone` says so; looks again whenever the maintainer reports something. */
export const until = (maintainer: SegmentMaintainer["Service"], isDone: Effect.Effect<boolean>) =>
  Effect.gen(function*() {
    const seen = yield* Effect.forkScoped(
      Stream.runDrain(Stream.takeUntilEffect(maintainer.outcomes, () => isDone))
    )
    yield* Effect.yieldNow
    if (yield* isDone) return yield* Fiber.interrupt(seen)
    yield* inTime("what was waited for", Fiber.join(seen))
  }).pipe(Effect.scoped)

/** What stands in a directory. */
export const look = Effect.fnUntraced(function*(directory: string) {
  const disk = yield* Disk
  const listing = yield* new SegmentDirectory(directory).scan
  const segments = segmentsOf(listing)
  const empty: Array<string> = []
  for (const segment of segments) {
    for (const file of new SegmentDirectory(directory).filesOf(segment)) {
      const stat = yield* Effect.result(disk.stat(file.path))
      // It may have gone since it was listed.
      if (Result.isSuccess(stat) && stat.success.bytes === 0) empty.push(file.path)
    }
  }
  return {
    hot: segments.filter((segment) => segment.hot).map((segment) => segment.segmentIndex),
    cold: segments.filter((segment) => !segment.hot).map((segment) => segment.segmentIndex),
    both: segments.filter((segment) => segment.hot && segment.cold.length > 0).map((segment) => segment.segmentIndex),
    leftovers: listing.entries.filter((entry) => entry.preparing || entry.freezing.length > 0).map((entry) =>
      entry.segmentIndex
    ),
    empty
  }
})

/** Every event in a directory, oldest first, each checked, the chain followed from segment to segment. */
export const recorded = (
  directory: string,
  { layout: { eventSize } }: Kind = format2
): Effect.Effect<Array<string>, DiskError | SegmentCorrupt, Disk> =>
  Effect.gen(function*() {
    const events: Array<string> = []
    let before: { readonly chainedChecksum: bigint; readonly lastEventId: number } | undefined
    for (const segment of segmentsOf(yield* new SegmentDirectory(directory).scan)) {
      const file = new SegmentDirectory(directory).filesOf(segment)[0]
      assert.isDefined(file)
      const summary = yield* readSegment(file, {
        segmentIndex: segment.segmentIndex,
        ...(before === undefined
          ? {}
          : { previousChainedChecksum: before.chainedChecksum, previousEventId: before.lastEventId })
      }, ({ payload }) => {
        const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
        for (let at = 0; at < payload.length;) {
          const begin = eventSize > 0 ? at : at + 4
          const end = begin + (eventSize > 0 ? eventSize : view.getUint32(at, true))
          events.push(Buffer.from(payload.subarray(begin, end)).toString("latin1"))
          at = end
        }
      })
      before = summary
    }
    return events
  })

/** The names of the events with these ids. */
export const named = (fromId: number, toId: number, kind: Kind = format2): Array<string> => {
  const names: Array<string> = []
  for (let id = fromId; id <= toId; id++) names.push(Buffer.from(kind.event(id)).toString("latin1"))
  return names
}

/** Puts a file where no maintainer has put one. */
export const put = (path: string, bytes: Uint8Array) =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* openScoped(path, "create")
    yield* writeFully(file, [bytes], 0)
    yield* file.sync
  }))

/** Closed segments as a recorder leaves them. */
export const writeHot = (
  directory: string,
  ...segments: ReadonlyArray<Pick<BuiltSegment, "bytes" | "segmentIndex">>
): void => {
  for (const { bytes, segmentIndex } of segments) writeFileSync(hotPath(directory, segmentIndex), bytes)
}

export const bytesOf = (path: string) =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* openScoped(path, "read")
    const bytes = new Uint8Array((yield* file.stat).bytes)
    yield* file.read(bytes, 0)
    return Buffer.from(bytes)
  }))

export const hotPath = (directory: string, segmentIndex: number) =>
  new SegmentDirectory(directory).hotPath(segmentIndex)

export const coldPath = (directory: string, segmentIndex: number) =>
  new SegmentDirectory(directory).coldPath(segmentIndex, "frame")

export { NodeDisk }
