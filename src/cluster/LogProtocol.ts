/** What is asked of a log in a cluster, and how it fails. Events go as they are recorded; the client has the codec. */
import * as ClusterSchema from "effect/cluster/ClusterSchema"
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import { KeyRefused } from "../many/LogKey.ts"
import { EventsDeleted, EventsLost, SegmentMissing } from "../reading/ReplayError.ts"
import { SegmentCorrupt } from "../reading/segment/SegmentCorrupt.ts"
import { RecorderError } from "../recorder/RecorderError.ts"
import { Batch, From } from "../rpc/EventBatches.ts"
import { RemoteDiskFailed } from "../rpc/LogRpcs.ts"

/**
 * The log has moved, or was opened again, while this append was under way, and an event that was recorded meanwhile has
 * the same bytes. It is this one, or that of another caller: where no two events are alike, it is this one and the
 * append was done. Nothing was recorded again.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unanswered extends Schema.TaggedError<Unanswered>()("Unanswered", {
  key: Schema.String,
  /** The id of that event; of a batch, of its last one. */
  eventId: Schema.Int
}) {
  override get message(): string {
    return `the log of ${this.key} was opened again before it answered, and event ${this.eventId} has the same bytes: ` +
      "if no two events are alike, the append was done; otherwise read there"
  }
  /** The same append again may record a second time what is recorded already. */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The log cannot be opened on the runner that has it now. Nothing was recorded by that runner.
 *
 * @since 0.1.0
 * @category errors
 */
export class LogNotOpened extends Schema.TaggedError<LogNotOpened>()("LogNotOpened", {
  key: Schema.String,
  /** What opening it failed with. */
  detail: Schema.String,
  /** Whether opening it may succeed later although nothing else has changed. */
  isRetryable: Schema.Boolean
}) {
  override get message(): string {
    return `the log of ${this.key} cannot be opened where the cluster has put it: ${this.detail}`
  }
}

const id = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

const Append = Rpc.make("append", {
  payload: {
    /** The same for each try of one append, and for no other. */
    token: Schema.String,
    /** The opening of the log that the caller has last heard of. */
    opened: Schema.String,
    /** An id of that opening, below which nothing of this append can be. */
    after: id,
    events: Schema.Array(Schema.Uint8Array)
  },
  success: Schema.Struct({ id, opened: Schema.String }),
  error: Schema.Union([KeyRefused, LogNotOpened, RecorderError, Unanswered])
})

const Positions = Rpc.make("positions", {
  success: Schema.Struct({
    opened: Schema.String,
    appended: id,
    durable: id,
    replicated: Schema.NullOr(id),
    compressed: id,
    deletedBefore: id
  }),
  error: Schema.Union([KeyRefused, LogNotOpened])
})

const Events = Rpc.make("events", {
  payload: { from: From, toId: Schema.NullOr(id), follow: Schema.Boolean, name: Schema.String },
  success: Batch,
  error: Schema.Union([
    KeyRefused,
    LogNotOpened,
    RecorderError,
    EventsDeleted,
    EventsLost,
    SegmentMissing,
    SegmentCorrupt,
    RemoteDiskFailed
  ]),
  stream: true
})
  // A reader that follows never ends by itself; it goes on where the log is next.
  .annotate(ClusterSchema.InterruptOnTermination, true)

/** The requests. */
export const logProtocol = [Append, Positions, Events] as const
