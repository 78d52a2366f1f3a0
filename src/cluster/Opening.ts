/**
 * One opening of a log, and what was appended in it. The cluster sends a request again when a runner is gone or a
 * connection was cut, so the same append may come twice: to the same opening, which knows its token, or to a later one,
 * which looks for its events among those that were recorded since.
 */
import * as Arr from "effect/Array"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import { Disk } from "../disk/Disk.ts"
import * as Replay from "../reading/Replay.ts"
import type { ReplayFailure } from "../reading/ReplayError.ts"
import * as Follow from "../recorder/Follow.ts"
import type { EventRange, Log, LogEvent } from "../recorder/Log.ts"
import type { Positions } from "../recorder/Positions.ts"
import type { RecorderError } from "../recorder/RecorderError.ts"
import { LogNotOpened, Unanswered } from "./LogProtocol.ts"

/** How many answers an opening remembers: a request that is sent again comes within seconds. */
const answersMax = 10_000

/** How many blocks of a reader are read before it takes them; a block has 1 MiB at most. */
const blocksAhead = 16

/** What a log needs of its types here: none. */
type AnyLog = Pick<Log<never>, "disk" | "maintainer" | "parts" | "positions" | "recorder" | "recovery">

/** An append as it is sent; see `LogProtocol`. */
interface SentAppend {
  readonly token: string
  readonly opened: string
  readonly after: number
  readonly events: ReadonlyArray<Uint8Array>
}

type AppendFailure = RecorderError | Unanswered | LogNotOpened

/** An opening of a log. */
export interface Opening {
  readonly id: string
  readonly positions: Effect.Effect<Positions>
  /**
   * Appends once, however often it comes; succeeds with the id of the last event when it is durable, as `acknowledge`
   * says. It goes on in the scope when its caller has gone, because that one may come again.
   */
  readonly append: (sent: SentAppend, scope: Scope.Scope) => Effect.Effect<number, AppendFailure>
  /** Reads events as they are recorded, and only what a loss of this machine cannot take back. */
  readonly events: (range: ReadRange) => Stream.Stream<LogEvent<Uint8Array>, ReplayFailure | RecorderError>
}

interface ReadRange extends Required<Pick<EventRange, "follow" | "from" | "name">> {
  readonly toId: number | null
}

/** Up to where nothing is taken back when this machine is lost: what the second place has, where there is one. */
export const safeId = (
  { durable, replicated }: { readonly durable: number; readonly replicated?: number | null }
): number => replicated ?? durable

export const make = (key: string, log: AnyLog): Opening => {
  const id = randomUUID()
  const { maintainer: { directory, hold, naming }, positions, recorder, recovery } = log
  const answers = new Map<string, Deferred.Deferred<number, AppendFailure>>()

  /** The id of the last of these events, when they follow each other after an id, and before this opening. */
  const find = Effect.fnUntraced(function*(events: ReadonlyArray<Uint8Array>, after: number) {
    const to = { id: recovery.lastEventId }
    if (events.length === 0 || after >= to.id) return undefined
    const latest: Array<Uint8Array> = []
    let found: number | undefined
    yield* Replay.events({ directory, naming, from: { id: after + 1 }, to }).pipe(
      Stream.runForEachWhile(({ bytes, id }) =>
        Effect.sync(() => {
          latest.push(Uint8Array.from(bytes))
          if (latest.length > events.length) latest.shift()
          const isThere = latest.length === events.length &&
            latest.every((bytes, index) => Buffer.compare(bytes, events[index]!) === 0)
          if (isThere) found = id
          return !isThere
        })
      ),
      Effect.provideService(Disk, log.disk),
      Effect.mapError(({ message }) =>
        new LogNotOpened({ key, detail: `what was recorded after event ${after}: ${message}`, isRetryable: false })
      )
    )
    return found
  })

  const appendOnce = Effect.fnUntraced(function*({ after, events, opened }: SentAppend) {
    if (opened !== id) {
      const eventId = yield* find(events, after)
      if (eventId !== undefined) return yield* new Unanswered({ key, eventId })
    }
    const [first] = events
    const last = first !== undefined && events.length === 1
      ? yield* recorder.append(first)
      : yield* recorder.appendAll(events)
    yield* recorder.commitTo(last)
    return last
  })

  return {
    id,
    positions,
    append: (sent, scope) =>
      Effect.suspend(() => {
        const known = answers.get(sent.token)
        if (known !== undefined) return Deferred.await(known)
        const answer = Deferred.makeUnsafe<number, AppendFailure>()
        answers.set(sent.token, answer)
        if (answers.size > answersMax) answers.delete(answers.keys().next().value!)
        return appendOnce(sent).pipe(
          Effect.onExit((exit) => Deferred.done(answer, exit)),
          Effect.forkIn(scope, { startImmediately: true }),
          Effect.andThen(Deferred.await(answer))
        )
      }),
    events: ({ follow, from, name, toId }) =>
      Stream.unwrap(Effect.map(positions, (now) => {
        const safe = safeId(now)
        const to = follow ? toId : Math.min(toId ?? safe, safe)
        const range = { from, ...(to === null ? {} : { to: { id: to } }) }
        const recorded = follow
          ? Follow.events({ ...range, name })
          : Stream.unwrap(Effect.map(
            hold({ name, fromSegmentIndex: 0 }),
            (held) => Replay.events({ ...range, directory, naming, onSegment: held.advanceTo })
          ))
        return recorded.pipe(
          Stream.chunks,
          // Each commit is a block, and a chunk; what is there while one is on its way goes together.
          Stream.buffer({ capacity: blocksAhead }),
          Stream.mapArray((blocks) => Arr.of(Arr.flatten(blocks))),
          // What is durable here is not safe yet; a commit waits for the second place.
          Stream.tap((events) => follow ? recorder.commitTo(Arr.lastNonEmpty(events).id) : Effect.void),
          Stream.flattenArray,
          Stream.takeWhile(({ id }) => to === null || id <= to),
          Stream.map(({ bytes, id, time }): LogEvent<Uint8Array> => ({ id, time, event: bytes }))
        )
      })).pipe(
        Stream.provideContext(log.parts),
        Stream.provideService(Disk, log.disk)
      )
  }
}
