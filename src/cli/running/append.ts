/**
 * `effect-wal append`: sends standard input to a recorder that another process runs, as events. When the command ends,
 * by the end of the input or by a signal, everything that was read is durable there. While the recorder has no room,
 * the input waits. When the recorder goes away, the command tells what is durable.
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import type { RecorderError } from "../../recorder/RecorderError.ts"
import * as WalConfig from "../../recorder/WalConfig.ts"
import type { RemoteLog } from "../../rpc/LogClient.ts"
import { formatBytes } from "../../telemetry/TelemetryDump.ts"
import { makeSplitter } from "../events/EventFraming.ts"
import { checkSplit } from "../events/SplitFault.ts"
import type { LogAddress } from "../flags/addressFlag.ts"
import type { Framing } from "../flags/framingFlags.ts"
import type { Output } from "../outputs/outputs.ts"
import { connectTo, unansweredOf } from "../remote/RemoteLog.ts"
import { OperatingFailure } from "../terminal/CliFailure.ts"
import { say, standardInput, writeJson, writeOutput } from "../terminal/StandardStreams.ts"
import type { StandardInput } from "../terminal/StandardStreams.ts"

/** What its flags give. */
interface Given {
  readonly to: LogAddress
  readonly token: Option.Option<Redacted.Redacted<string>>
  readonly framing: Framing
  readonly acks: boolean
  readonly json: boolean
}

/** The largest event of a recorder whose segments are large enough for it. */
const eventBytesMax = WalConfig.defaults.blockBytesMax - 4

/** Runs the command. */
export const append = Effect.fnUntraced(function*({ acks, framing, json, to, token }: Given) {
  const { at, log } = yield* connectTo(to, token)
  const input = yield* standardInput
  const startMillis = performance.now()
  const sent = yield* makeSent
  const committing = Effect.forever(
    Effect.andThen(sent.pending, Effect.andThen(commit(log, sent), acks ? printAck(sent) : Effect.void))
  )
  const appending = pump(input, log, framing, sent)
  const exit = yield* Effect.exit(
    Effect.raceFirst(appending, committing).pipe(
      // What was appended before the input had a fault, or was refused, is durable when that is reported.
      Effect.catchTags({
        OperatingFailure: (fault) => Effect.andThen(commit(log, sent), Effect.fail(fault)),
        RecorderError: (error) => Effect.andThen(Effect.ignore(commit(log, sent)), Effect.fail(error))
      }),
      Effect.andThen(commit(log, sent)),
      Effect.catchTags({
        RpcClientError: (error) => Effect.fail(gone(at, error, framing, sent)),
        RecorderError: (error) => Effect.fail(refused(at, error, framing, sent))
      })
    )
  )
  if (acks) yield* printAck(sent)
  yield* exit
  const summary: Output<"append"> = {
    address: at,
    endedBy: input.endedBy() ?? "input",
    events: sent.events,
    bytes: sent.bytes,
    firstEventId: sent.firstEventId,
    lastEventId: sent.lastEventId,
    durableEventId: sent.durableEventId,
    millis: Math.round(performance.now() - startMillis)
  }
  yield* json ? writeJson(summary) : say(formatSummary(summary))
}, Effect.scoped)

/** How far the input has come, in events. */
interface Sent {
  /** Read from standard input. */
  bytes: number
  /** Handed to the recorder, answered or not. */
  sent: number
  /** Appended, with these ids. */
  events: number
  firstEventId: number
  lastEventId: number
  /** The newest durable event of the log that is known, and the last one that was printed. */
  durableEventId: number
  printedEventId: number
  /** How many of the events are durable, and the last of them. */
  durable: number
  lastDurableId: number
  /** Batches that are not durable yet: the id of the last event of each, and how many events there are up to it. */
  readonly batches: Array<{ readonly lastEventId: number; readonly events: number }>
  /** Waits until there is one. */
  readonly pending: Effect.Effect<void>
  readonly note: Latch.Latch
}

const makeSent = Effect.map(Latch.make(false), (note): Sent => ({
  bytes: 0,
  sent: 0,
  events: 0,
  firstEventId: 0,
  lastEventId: 0,
  durableEventId: 0,
  printedEventId: 0,
  durable: 0,
  lastDurableId: 0,
  batches: [],
  pending: Effect.andThen(note.await, note.close),
  note
}))

/** Moves the input to the recorder until the input ends. */
const pump = Effect.fnUntraced(function*(
  input: StandardInput,
  log: RemoteLog<Uint8Array>,
  framing: Framing,
  sent: Sent
) {
  const splitter = makeSplitter(framing, eventBytesMax, "fail")
  while (true) {
    const chunk = yield* input.next
    const events = Array.from(
      chunk === undefined ? splitter.end() : splitter.push(chunk),
      (event) => new Uint8Array(event)
    )
    sent.bytes += chunk?.length ?? 0
    yield* appendAll(log, events, sent)
    yield* checkSplit(splitter, framing, eventBytesMax, input.endedBy())
    if (chunk === undefined) return
  }
})

/** Appends events as one batch, or in parts if the recorder says that they are too large for a block of its. */
const appendAll = (
  log: RemoteLog<Uint8Array>,
  events: ReadonlyArray<Uint8Array>,
  sent: Sent
): Effect.Effect<void, RecorderError | RpcClientError> =>
  Effect.suspend(() => {
    if (events.length === 0) return Effect.void
    sent.sent = sent.events + events.length
    return Effect.matchEffect(log.appendAll(events), {
      onFailure: (error) => {
        // What is refused was not recorded.
        if (error._tag === "RecorderError") sent.sent = sent.events
        if (error._tag !== "RecorderError" || error.reason._tag !== "TooLarge" || events.length === 1) {
          return Effect.fail(error)
        }
        const half = events.length >> 1
        return Effect.andThen(appendAll(log, events.slice(0, half), sent), appendAll(log, events.slice(half), sent))
      },
      onSuccess: (lastEventId) => {
        sent.firstEventId ||= lastEventId - events.length + 1
        sent.events += events.length
        sent.lastEventId = lastEventId
        sent.batches.push({ lastEventId, events: sent.events })
        return Effect.asVoid(sent.note.open)
      }
    })
  })

/** Waits until all that was appended so far is durable. */
const commit = (log: RemoteLog<Uint8Array>, sent: Sent) =>
  Effect.suspend(() => {
    const last = sent.batches.at(-1)
    if (last === undefined) return Effect.void
    return Effect.map(log.commitTo(last.lastEventId), (durableEventId) => {
      sent.durableEventId = durableEventId
      while (sent.batches[0] !== undefined && sent.batches[0].lastEventId <= durableEventId) {
        const { events, lastEventId } = sent.batches.shift()!
        sent.durable = events
        sent.lastDurableId = lastEventId
      }
    })
  })

/** Acknowledges what is durable. A reader that goes away does not stop the appending. */
const printAck = (sent: Sent): Effect.Effect<void, OperatingFailure> =>
  Effect.suspend(() => {
    if (sent.lastDurableId === sent.printedEventId) return Effect.void
    sent.printedEventId = sent.lastDurableId
    return Effect.catchTag(writeOutput(`durable ${sent.lastDurableId}\n`), "BrokenPipe", () => Effect.void)
  })

/** Tells which part of the input is durable, when no more can be known. */
const restText = (framing: Framing, { durable, lastDurableId, sent }: Sent): string => {
  const name = framing === "lines" ? "line" : "message"
  const known = durable === 0
    ? `no ${name} is known to be durable`
    : `${name}s up to ${durable} are durable (the last is event ${lastDurableId})`
  return sent === durable
    ? `${known}, and no other was recorded`
    : `${known}, ${name}s ${durable + 1} to ${sent} may have been recorded, and no other was`
}

const gone = (at: string, error: RpcClientError, framing: Framing, sent: Sent) =>
  new OperatingFailure({
    message: `${at}: the recorder went away (${unansweredOf(error).text}); ${restText(framing, sent)}`
  })

const refused = (at: string, { reason }: RecorderError, framing: Framing, sent: Sent) =>
  new OperatingFailure({ message: `${at}: the recorder says: ${reason.message}; ${restText(framing, sent)}` })

const formatSummary = (
  { address, bytes, endedBy, events, firstEventId, lastEventId, millis }: Output<"append">
): string =>
  `${address}: ` +
  (events === 0
    ? "nothing to append"
    : `${events} events are durable (${firstEventId} to ${lastEventId}), ${formatBytes(bytes)}, ` +
      `in ${(millis / 1000).toFixed(2)} s`) +
  (endedBy === "input" ? "" : `; ended by ${endedBy}`)
