/**
 * `effect-wal maintain`: runs the maintainer alone, for a directory that another program writes. It makes finished
 * segments durable, compresses them, and deletes those past the limits. It leaves the newest segment alone, and those
 * that are still open. At a signal it finishes what it has begun, and ends. A second signal ends it at once,
 * and nothing is lost either.
 *
 * A recorder maintains its own directory and holds its lock, so `maintain` refuses to work beside one.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { lockName } from "../../disk/FileNames.ts"
import type { AloneOptions } from "../../maintainer/MaintainerOptions.ts"
import { layerAlone, SegmentMaintainer } from "../../maintainer/SegmentMaintainer.ts"
import * as SegmentWatcher from "../../maintainer/SegmentWatcher.ts"
import type { StepOutcome } from "../../maintainer/steps/StepOutcome.ts"
import { formatHole } from "../../reading/ReplayError.ts"
import * as SegmentQueues from "../../shared/SegmentQueues.ts"
import * as Telemetry from "../../telemetry/Telemetry.ts"
import { maintainerOptions } from "../flags/maintainerFlags.ts"
import type { GivenMaintenance } from "../flags/maintainerFlags.ts"
import { requireDirectory } from "../flags/requireDirectory.ts"
import type { Output } from "../outputs/outputs.ts"
import { OperatingFailure } from "../terminal/CliFailure.ts"
import { firstSignal } from "../terminal/Signals.ts"
import { say, writeJson, writeLines } from "../terminal/StandardStreams.ts"
import { formatReceipt } from "../views/Receipt.ts"

/** What its flags give. */
interface Given extends GivenMaintenance {
  readonly dir: string
  readonly json: boolean
}

/** Runs the command. */
export const maintain = Effect.fnUntraced(function*({ dir, json, ...given }: Given) {
  yield* requireDirectory(dir)
  const options = yield* maintainerOptions(given)
  const receipt = yield* runMaintainer({ directory: dir, ...options, writer: "other" }, json)
  yield* json
    ? writeJson({ action: "drained", ...receipt } satisfies Output<"maintain">)
    : say(`${dir}: ${formatReceipt(receipt)}`)
})

const runMaintainer = Effect.fnUntraced(function*(options: AloneOptions, json: boolean) {
  const { directory } = options
  const stopped = yield* firstSignal
  const layer = layerAlone(options).pipe(
    Layer.provideMerge(Layer.merge(SegmentQueues.layer, Telemetry.layer({ writersMax: 1 })))
  )
  // The stream of outcomes ends after the maintainer has closed, so the last one is awaited outside of its scope.
  const { printing, receipt } = yield* Effect.scoped(Effect.gen(function*() {
    const services = yield* Layer.build(layer).pipe(
      Effect.catchReason("DiskError", "Held", ({ holder }) => Effect.fail(refusal(directory, holder)))
    )
    const maintainer = Context.get(services, SegmentMaintainer)
    const printing = yield* Effect.forkChild(Stream.runForEach(maintainer.outcomes, (outcome) => print(outcome, json)))
    const watching = yield* Effect.forkChild(
      Effect.provideContext(SegmentWatcher.watch({ directory }), services)
    )
    yield* Effect.raceFirst(Effect.raceFirst(stopped, maintainer.down), Fiber.join(printing))
    yield* Fiber.interrupt(watching)
    return { printing, receipt: yield* maintainer.drain }
  }))
  yield* Fiber.join(printing)
  return receipt
}, Effect.scoped)

const refusal = (directory: string, holder: string): OperatingFailure =>
  new OperatingFailure({
    message: `${directory} is held by ${holder} (${lockName}); a recorder maintains its own directory, ` +
      `and only one maintainer at a time may work on one`
  })

const print = (outcome: StepOutcome, json: boolean) =>
  json ? writeJson(actionOf(outcome)) : writeLines([lineOf(outcome)])

/** Gives one action as data. */
const actionOf = (outcome: StepOutcome): Output<"maintain"> => {
  const { _tag, ...rest } = outcome
  return { action: _tag.toLowerCase(), ...rest } as Output<"maintain">
}

const lineOf = (outcome: StepOutcome): string => {
  switch (outcome._tag) {
    case "Opened":
      return `opened segment ${outcome.segmentIndex}`
    case "Persisted":
      return `persisted segment ${outcome.segmentIndex}: ${outcome.bytes} bytes`
    case "Frozen": {
      const events = outcome.firstEventId === undefined
        ? "no events"
        : `events ${outcome.firstEventId} to ${outcome.lastEventId}`
      return `froze segment ${outcome.segmentIndex}: ${outcome.hotBytes} to ${outcome.coldBytes} bytes, ${events}`
    }
    case "Freed":
      return `deleted segment ${outcome.segmentIndex}`
    case "Quarantined": {
      const lost = outcome.hole === undefined ? "no event is lost" : formatHole(outcome.hole)
      return `quarantined segment ${outcome.segmentIndex}: ${outcome.kept} kept; ${lost}`
    }
    case "Failed":
      return `failed${outcome.isFinal ? "" : ", will be tried again"}: ${outcome.message}`
  }
}
