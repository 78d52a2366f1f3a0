/**
 * `effect-wal record`: records standard input as events. When the command ends, by the end of the input or by a signal,
 * everything that was read is recorded and durable. While the disk cannot keep up, the input waits. With `--offer`
 * other processes append as well, and only a signal ends the command.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Archive from "../../archive/Archive.ts"
import { workersMax } from "../../maintainer/MaintainerOptions.ts"
import { reportWaiting } from "../../maintainer/Waiting.ts"
import * as Recovery from "../../reading/recovery/Recovery.ts"
import * as Monitor from "../../recorder/monitor/Monitor.ts"
import { eventBytesMax } from "../../recorder/SegmentWriter.ts"
import * as Wal from "../../recorder/WalParts.ts"
import * as Arena from "../../shared/Arena.ts"
import * as Doorbell from "../../shared/Doorbell.ts"
import { makeSplitter } from "../events/EventFraming.ts"
import { checkSplit } from "../events/SplitFault.ts"
import type { LogAddress } from "../flags/addressFlag.ts"
import type { ArchiveAddress } from "../flags/archiveFlag.ts"
import type { Framing, LongLineRule } from "../flags/framingFlags.ts"
import { clamp, maintainerOptions } from "../flags/maintainerFlags.ts"
import type { GivenMaintenance } from "../flags/maintainerFlags.ts"
import { layerMetrics } from "../flags/metricsFlag.ts"
import { refuseFile } from "../flags/requireDirectory.ts"
import { layerOffer, requireToken } from "../remote/offering.ts"
import { storeOf } from "../stores/storeOf.ts"
import { UsageFailure } from "../terminal/CliFailure.ts"
import { withProgress } from "../terminal/Progress.ts"
import { say, standardInput, writeJson, writeOutput } from "../terminal/StandardStreams.ts"
import type { StandardInput } from "../terminal/StandardStreams.ts"
import { formatSummary, progressOf, requireDurable, servicesOf, summarize } from "../views/Recording.ts"
import type { Counts, Recording } from "../views/Recording.ts"

/** What its flags give. */
interface Given extends GivenMaintenance {
  readonly dir: string
  readonly segmentBytes: number
  readonly archive: Option.Option<ArchiveAddress>
  readonly framing: Framing
  readonly onLongLine: LongLineRule
  readonly commit: CommitPolicy
  readonly acks: boolean
  readonly threads: number
  readonly metrics: Option.Option<number>
  readonly offer: Option.Option<LogAddress>
  readonly token: Option.Option<Redacted.Redacted<string>>
  readonly json: boolean
}

/** Runs the command. */
export const record = Effect.fnUntraced(function*(given: Given) {
  if (given.framing !== "lines" && given.onLongLine !== "fail") {
    return yield* new UsageFailure({ message: "--on-long-line is for --framing lines" })
  }
  if (Option.isSome(given.offer)) yield* requireToken(given.offer.value, given.token)
  yield* refuseFile(given.dir)
  const maintenance = yield* maintainerOptions(given)
  const threads = yield* clamp("--threads", given.threads, 0, workersMax)
  const { commit } = given
  const options: Wal.WalOptions = {
    directory: given.dir,
    segmentBytesMax: given.segmentBytes,
    ...maintenance,
    ...(Option.isSome(given.archive) ? { onArchiveBehind: "keep" as const } : {}),
    flushEvery: typeof commit === "object" ? commit.everyMillis : 0,
    commit: commit === "every" ? "onCommit" : commit === "rotate" ? "onRotate" : "onTimer"
  }
  const wal = threads === 0 ? Wal.layer(options) : Wal.layerWorker({ ...options, workers: threads })
  const metrics = Option.match(given.metrics, { onNone: () => Layer.empty, onSome: layerMetrics })
  const archive = Option.match(given.archive, {
    onNone: () => Layer.empty,
    onSome: (address) => Layer.provide(Archive.layer({ log: address.log }), storeOf(address))
  })
  const offer = Option.match(given.offer, {
    onNone: () => Layer.empty,
    onSome: (address) => layerOffer(address, given.token)
  })
  const layer = Layer.provideMerge(Layer.mergeAll(Monitor.layer, metrics, archive, offer), wal)
  const summary = yield* recordInput(layer, {
    ...given,
    asksFlush: commit === "every",
    isOffered: Option.isSome(given.offer)
  })
  yield* given.json ? writeJson(summary) : say(formatSummary(summary))
})

/** When events become durable: as soon as possible, at this interval, or when their segment is full. */
export type CommitPolicy = "every" | "rotate" | { readonly everyMillis: number }

interface RecordingOptions {
  readonly dir: string
  readonly framing: Framing
  readonly onLongLine: LongLineRule
  readonly acks: boolean
  readonly json: boolean
  readonly asksFlush: boolean
  /** Other processes append too, so the end of the input does not end the recording. */
  readonly isOffered: boolean
}

const recordInput = Effect.fnUntraced(function*<E, R>(layer: Layer.Layer<Wal.Parts, E, R>, options: RecordingOptions) {
  const input = yield* standardInput
  const counts: Counts = { bytes: 0, longLines: 0, startMillis: performance.now(), drainStartMillis: 0 }
  let running: Recording | undefined

  // Closing the layer's scope drains the recorder, so what reports and counts around the drain is outside of this
  // scope.
  const recording = Effect.scoped(Effect.gen(function*() {
    const context = yield* Layer.build(layer)
    const services = servicesOf(context)
    running = services
    yield* sayRecovery(services)
    const background = [yield* Effect.forkChild(sayFailures(services))]
    const acks = options.acks ? makeAcks(services) : undefined
    if (acks !== undefined) background.push(yield* Effect.forkChild(acks.run))
    counts.startMillis = performance.now()
    // After a signal the events that were read must still find room, which the drain does not know of.
    const reporting = yield* Effect.forkChild(Effect.andThen(input.signalled, reportWaiting(waitingOf(services))))
    // Without a maintainer nothing more becomes durable, so the recording ends now and the writer of the input sees it.
    const recorded = pump(input, services, options, counts)
    const exit = yield* Effect.exit(
      Effect.raceFirst(
        options.isOffered ? Effect.andThen(recorded, input.signalled) : recorded,
        services.maintainer.down
      )
    )
    yield* Fiber.interrupt(reporting)
    counts.drainStartMillis = performance.now()
    return { services, exit, acks, background }
  }))
  const { acks, background, exit, services } = yield* withProgress(
    recording,
    () => progressOf(running, counts, input.bytes),
    // Not between the lines that the command itself prints.
    !options.json && !options.acks
  )
  yield* Effect.forEach(background, Fiber.interrupt, { discard: true })
  if (acks !== undefined) yield* Effect.catchTag(acks.print, "BrokenPipe", () => Effect.void)
  yield* requireDurable(services)
  yield* exit
  return yield* summarize(options.dir, services, counts, input.endedBy() ?? "input")
}, Effect.scoped)

const waitingOf = ({ maintainer }: Recording) =>
  Effect.map(maintainer.status, ({ heldBack, pending }) => ({ directory: maintainer.directory, heldBack, pending }))

/** Moves the input into the recorder until the input ends. It runs effects per chunk, none per event. */
const pump = Effect.fnUntraced(function*(
  input: StandardInput,
  { arena, recorder }: Recording,
  options: RecordingOptions,
  counts: Counts
) {
  const bytesMax = eventBytesMax(arena.layout)
  const splitter = makeSplitter(options.framing, bytesMax, options.onLongLine)
  while (true) {
    const chunk = yield* input.next
    yield* recorder.appendEach(chunk === undefined ? splitter.end() : splitter.push(chunk))
    counts.bytes += chunk?.length ?? 0
    yield* checkSplit(splitter, options.framing, bytesMax, input.endedBy())
    const { count, first } = splitter.longLines()
    // Once: the summary has their number.
    if (count > 0 && counts.longLines === 0) {
      const done = options.onLongLine === "skip" ? "it is left out" : "it becomes several"
      yield* say(`warning: line ${first} is longer than ${bytesMax} bytes, the most an event can have; ${done}`)
    }
    counts.longLines = count
    if (chunk === undefined) return
    if (options.asksFlush) {
      recorder.writer.shareUnsafe()
      Arena.askFlushUnsafe(arena)
    }
  }
})

/** Reports the recovery at the start if it closed a segment or found segments missing. */
const sayRecovery = ({ recorder }: Recording): Effect.Effect<void> => {
  const { recovery } = recorder
  const isRemarkable = recovery.closedSegmentIndex !== undefined || recovery.missingSegmentCount > 0
  return isRemarkable ? say(`recovered ${Recovery.formatReport(recovery)}`) : Effect.void
}

/** Reports steps that failed. A step that fails is tried again, so a repeated message is reported once. */
const sayFailures = ({ maintainer }: Recording): Effect.Effect<void> => {
  let last = ""
  return Stream.runForEach(maintainer.outcomes, (outcome) => {
    if (outcome._tag !== "Failed" || outcome.message === last) return Effect.void
    last = outcome.message
    return say(`warning: ${outcome.message}`)
  })
}

/**
 * Acknowledges durable events on standard output: `print` does it once if there are more than before, `run` for ever. A
 * reader that goes away does not stop the recording.
 */
const makeAcks = ({ arena }: Recording) => {
  let printed = Arena.durableEventId(arena)
  const print = Effect.uninterruptible(Effect.suspend(() => {
    const durable = Arena.durableEventId(arena)
    if (durable === printed) return Effect.void
    printed = durable
    return writeOutput(`durable ${durable}\n`)
  }))
  const run = Effect.forever(Effect.suspend(() => {
    const seen = Doorbell.readUnsafe(arena.durable)
    return Effect.andThen(print, Doorbell.wait(arena.durable, seen))
  }))
  return { print, run: Effect.ignore(run) }
}
