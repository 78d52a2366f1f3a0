/**
 * Uses a log wherever the cluster has put it. It tries again while the log moves, and knows of each append whether it
 * was done before.
 */
import * as Cause from "effect/Cause"
import type {
  AlreadyProcessingMessage,
  EntityNotAssignedToRunner,
  MailboxFull,
  PersistenceError
} from "effect/cluster/ClusterError"
import * as Effect from "effect/Effect"
import type * as RpcClient from "effect/rpc/RpcClient"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import type * as EventCodec from "../format/EventCodec.ts"
import { requireList } from "../internal/arguments.ts"
import { elapsedMillis } from "../internal/elapsed.ts"
import { requireOptions } from "../internal/options.ts"
import type { KeyRefused } from "../many/LogKey.ts"
import type { EventsDeleted, EventsLost, SegmentMissing } from "../reading/ReplayError.ts"
import type { SegmentCorrupt } from "../reading/segment/SegmentCorrupt.ts"
import type { EventUndecodable } from "../recorder/EventUndecodable.ts"
import type { LogEvent } from "../recorder/Log.ts"
import type { Positions } from "../recorder/Positions.ts"
import { RecorderError } from "../recorder/RecorderError.ts"
import { Unencodable } from "../recorder/RecorderReason.ts"
import { decodeWith, Range, sentFrom } from "../rpc/EventBatches.ts"
import type { RemoteRange } from "../rpc/EventBatches.ts"
import type { RemoteDiskFailed } from "../rpc/LogRpcs.ts"
import type { LogNotOpened, logProtocol, Unanswered } from "./LogProtocol.ts"
import { safeId } from "./Opening.ts"

/**
 * How the cluster itself refuses a request.
 *
 * @since 0.1.0
 * @category errors
 */
export type ClusterRefusal = MailboxFull | AlreadyProcessingMessage | PersistenceError | EntityNotAssignedToRunner

/**
 * A log in a cluster. Each call waits while the log moves from one runner to another, or is opened: give it a timeout
 * where that may not be. What is not named here fails only where the cluster itself does (`ClusterRefusal`).
 *
 * @since 0.1.0
 * @category models
 */
export interface ClusterLog<in out Event, in out Encoding = never, in out Decoding = never> {
  /**
   * Appends the event, and returns its id when it is durable; with `acknowledge: "replicated"` when it is in the second
   * place too. It is recorded once, whatever happens to runners and connections meanwhile, or it fails with
   * {@link Unanswered}.
   *
   * There is no append that answers before: what is not durable does not move with the log.
   */
  readonly appendDurable: (event: Event) => Effect.Effect<
    number,
    RecorderError | Unanswered | LogNotOpened | KeyRefused | ClusterRefusal,
    Encoding
  >
  /** As `appendDurable`, for all of these events as one batch, or none of them; returns the id of the last one. */
  readonly appendAllDurable: (events: Iterable<Event>) => Effect.Effect<
    number,
    RecorderError | Unanswered | LogNotOpened | KeyRefused | ClusterRefusal,
    Encoding
  >
  /** The positions where the log is now. */
  readonly positions: Effect.Effect<Omit<Positions, "heldBack">, LogNotOpened | KeyRefused | ClusterRefusal>
  /**
   * Reads events, in order and once, decoded; a reader that follows goes on when the log has moved. Only what a loss of
   * the runner cannot take back is handed out: with failover, what is replicated.
   */
  readonly events: (range?: RemoteRange) => Stream.Stream<
    LogEvent<Event>,
    | EventsDeleted
    | EventsLost
    | SegmentMissing
    | SegmentCorrupt
    | RemoteDiskFailed
    | RecorderError
    | EventUndecodable
    | LogNotOpened
    | KeyRefused
    | ClusterRefusal,
    Decoding
  >
}

/** What the cluster gives for one log. */
type EntityClient = RpcClient.RpcClient.From<(typeof logProtocol)[number], ClusterRefusal>

/** What is known of the log when an append is sent for the first time. */
interface Contact {
  readonly opened: string
  readonly after: number
  readonly elapsed: number
}

/** What is known is asked for anew after so long, so that a later opening has little to look through. */
const freshMillis = 10_000

const retrying = Schedule.spaced("100 millis")

/** A request that was interrupted where the log was, as a runner does that ends. */
class Cut {
  readonly _tag = "Cut"
}

/** Whether the log has ended where it was, or is busy, so that the same request is right again. */
const isPassing = (error: unknown): boolean => {
  const { _tag, isRetryable, reason } = error as {
    readonly _tag: string
    readonly isRetryable?: boolean
    readonly reason?: { readonly _tag: string }
  }
  switch (_tag) {
    case "Cut":
    case "AlreadyProcessingMessage":
    case "MailboxFull":
      return true
    case "LogNotOpened":
      return isRetryable === true
    case "RecorderError":
      return reason?._tag === "Closed" || reason?._tag === "Fenced" || reason?._tag === "MaintainerDown"
    default:
      return false
  }
}

/** Sends a request until it has an answer of its own. */
const persistent = <A, E, R>(request: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  request.pipe(
    Effect.catchCause((cause): Effect.Effect<never, E | Cut> =>
      Cause.hasInterruptsOnly(cause) ? Effect.fail(new Cut()) : Effect.failCause(cause)
    ),
    // So no `Cut` is left.
    Effect.retry({ schedule: retrying, while: isPassing })
  ) as Effect.Effect<A, E, R>

export const make = <Event, Encoding, Decoding>(
  client: EntityClient,
  codec: EventCodec.EventCodec<Event, Encoding, Decoding>
): ClusterLog<Event, Encoding, Decoding> => {
  let contact: Contact | undefined

  const look = Effect.gen(function*() {
    const positions = yield* persistent(client.positions())
    contact = { opened: positions.opened, after: safeId(positions), elapsed: yield* elapsedMillis }
    return { contact, positions }
  })

  const fresh = Effect.flatMap(elapsedMillis, (now) =>
    contact !== undefined && now - contact.elapsed < freshMillis
      ? Effect.succeed(contact)
      : Effect.map(look, ({ contact }) => contact))

  const encode = (event: Event) =>
    Effect.mapError(
      codec.encode(event),
      (error) => new RecorderError({ reason: new Unencodable({ detail: error.message }) })
    )

  const append = Effect.fnUntraced(function*(events: ReadonlyArray<Uint8Array>) {
    const { after, opened } = yield* fresh
    const answer = yield* persistent(client.append({ token: randomUUID(), opened, after, events }))
    // Ids go on from opening to opening, so the highest one is of the latest that has answered.
    if (contact === undefined || answer.id > contact.after) {
      contact = { opened: answer.opened, after: answer.id, elapsed: yield* elapsedMillis }
    }
    return answer.id
  })

  const positions = Effect.map(look, ({ positions: { appended, compressed, deletedBefore, durable, replicated } }) => ({
    appended,
    durable,
    ...(replicated === null ? {} : { replicated }),
    compressed,
    deletedBefore
  }))

  const events = ({ follow = false, from = "oldest", name = "cluster", toId }: RemoteRange) =>
    Stream.unwrap(Effect.gen(function*() {
      // What is the newest event now is another one after a move.
      const begin = from === "latest" ? { id: (yield* fresh).after + 1 } : from
      let last = 0
      const isAtEnd = () => !follow || (toId !== undefined && last >= toId)
      return Stream.suspend(() =>
        client.events({ from: sentFrom(last === 0 ? begin : { id: last + 1 }), toId: toId ?? null, follow, name })
      ).pipe(
        Stream.flattenIterable,
        // The cluster sends a request again that a runner did not end, and then it comes from its beginning on.
        Stream.filter(({ id }) => id > last),
        Stream.tap(({ id }) => Effect.sync(() => last = id)),
        Stream.concat(Stream.suspend(() => isAtEnd() ? Stream.empty : Stream.fail(new Cut()))),
        Stream.catchCause((cause) => Cause.hasInterruptsOnly(cause) ? Stream.fail(new Cut()) : Stream.failCause(cause)),
        Stream.retry(retrying.pipe(Schedule.while(({ input }) => Effect.succeed(isPassing(input))))),
        Stream.mapEffect(decodeWith(codec))
      )
    }))

  return {
    appendDurable: (event) => Effect.flatMap(encode(event), (bytes) => append([bytes])),
    appendAllDurable: (events) =>
      Effect.suspend(() => {
        requireList("events", events)
        return Effect.flatMap(Effect.forEach(events, encode), append)
      }),
    positions,
    events: (range = {}) =>
      Stream.suspend(() => {
        requireOptions("range", Range, range)
        return events(range)
      })
  } as ClusterLog<Event, Encoding, Decoding>
}
