/** Describes a recording: its progress, whether everything became durable, and a summary at its end. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { SegmentMaintainer } from "../../maintainer/SegmentMaintainer.ts"
import { Recorder } from "../../recorder/Recorder.ts"
import type * as Wal from "../../recorder/WalParts.ts"
import * as Arena from "../../shared/Arena.ts"
import { SegmentArena } from "../../shared/SegmentArena.ts"
import { Telemetry } from "../../telemetry/Telemetry.ts"
import { formatBytes } from "../../telemetry/TelemetryDump.ts"
import type { Output } from "../outputs/outputs.ts"
import { OperatingFailure } from "../terminal/CliFailure.ts"
import type { Progress } from "../terminal/Progress.ts"
import { formatReceipt } from "./Receipt.ts"

/** The services of a recording. */
export interface Recording {
  readonly recorder: Recorder["Service"]
  readonly maintainer: SegmentMaintainer["Service"]
  readonly telemetry: Telemetry["Service"]
  readonly arena: Arena.Arena
}

/** Takes the services out of the context of a recorder's layer. */
export const servicesOf = (context: Context.Context<Wal.Parts>): Recording => ({
  recorder: Context.get(context, Recorder),
  maintainer: Context.get(context, SegmentMaintainer),
  telemetry: Context.get(context, Telemetry),
  arena: Context.get(context, SegmentArena)
})

/** What was recorded so far. The recording changes these numbers as it proceeds. */
export interface Counts {
  /** Read from standard input. */
  bytes: number
  /** Lines longer than an event may be, which were skipped or split. */
  longLines: number
  startMillis: number
  /** 0 before the drain. */
  drainStartMillis: number
}

/** The events that were recorded since the directory was opened, by other processes too. */
const eventsOf = ({ recorder }: Recording): number => recorder.writer.lastEventId - recorder.recovery.lastGivenId

/**
 * Gives the progress of a recording: in bytes of the input, or in events if the length of the input (`bytes`) is
 * unknown.
 */
export const progressOf = (running: Recording | undefined, counts: Counts, bytes: number | undefined): Progress => {
  const label = running === undefined ? "opening" : counts.drainStartMillis > 0 ? "draining" : "recording"
  const lag = running === undefined
    ? 0
    : running.recorder.writer.lastEventId - Arena.durableEventId(running.arena)
  const events = running === undefined ? 0 : eventsOf(running)
  return bytes === undefined
    ? { label, unit: "events", done: events, total: undefined, note: `${lag} not durable yet` }
    : {
      label,
      unit: "bytes",
      done: counts.bytes,
      total: bytes,
      note: `${events} events, ${lag} not durable yet`
    }
}

/** Fails if there are events that the drain could not make durable. */
export const requireDurable = ({ arena, maintainer, recorder }: Recording): Effect.Effect<void, OperatingFailure> => {
  const durable = Arena.durableEventId(arena)
  const missing = recorder.writer.lastEventId - durable
  return missing === 0 ? Effect.void : Effect.fail(
    new OperatingFailure({
      message: `the last ${missing} events could not be made durable in ${maintainer.directory}; ` +
        `record again from event ${durable + 1}`
    })
  )
}

/** Summarizes a recording, after its drain. */
export const summarize = Effect.fnUntraced(function*(
  directory: string,
  recording: Recording,
  counts: Counts,
  endedBy: string
) {
  const { arena, maintainer, recorder, telemetry } = recording
  const events = eventsOf(recording)
  const status = yield* maintainer.status
  const drain = yield* maintainer.drained
  const { counters, operations } = yield* telemetry.snapshot
  const now = performance.now()
  const millis = now - counts.startMillis
  const summary: Output<"record"> = {
    directory,
    endedBy,
    events,
    bytes: counts.bytes,
    longLines: counts.longLines,
    firstEventId: events === 0 ? 0 : recorder.recovery.lastGivenId + 1,
    lastEventId: events === 0 ? 0 : recorder.writer.lastEventId,
    durableEventId: Arena.durableEventId(arena),
    hotSegments: status.hotSegments,
    hotBytes: status.hotBytes,
    coldSegments: status.coldSegments,
    coldBytes: status.coldBytes,
    deletedSegments: operations.deletion.success,
    ratio: counters.compressionBytesOut === 0
      ? 0
      : Number((counters.compressionBytesIn / counters.compressionBytesOut).toFixed(3)),
    failures: status.failures,
    millis: Math.round(millis),
    drain,
    eventsPerSecond: Math.round(events * 1000 / Math.max(1, millis))
  }
  return summary
})

/** Formats the summary as one line for people. */
export const formatSummary = (summary: Output<"record">): string => {
  const events = summary.events === 0
    ? "nothing to record"
    : `${summary.events} events (${summary.firstEventId} to ${summary.lastEventId}), ${formatBytes(summary.bytes)}, ` +
      `in ${(summary.millis / 1000).toFixed(2)} s, ${summary.eventsPerSecond} events/s`
  const ratio = summary.ratio === 0 ? "" : `, compressed ${summary.ratio.toFixed(2)} to 1`
  return `${summary.directory}: ${events}; ${summary.hotSegments} hot, ${summary.coldSegments} cold, ` +
    `${summary.deletedSegments} deleted segments${ratio}` +
    (summary.longLines === 0 ? "" : `; ${summary.longLines} long lines`) +
    (summary.endedBy === "input" ? "" : `; ended by ${summary.endedBy}`) + `; ${formatReceipt(summary.drain)}`
}
