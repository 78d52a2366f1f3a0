/** What one process can ask of the log of another. Events go as they are recorded; the client has the codec. */
import * as Rpc from "effect/rpc/Rpc"
import * as RpcGroup from "effect/rpc/RpcGroup"
import * as Schema from "effect/Schema"
import { EventsDeleted, EventsLost, SegmentMissing } from "../reading/ReplayError.ts"
import { SegmentCorrupt } from "../reading/segment/SegmentCorrupt.ts"
import { RecorderError } from "../recorder/RecorderError.ts"
import { Batch, From } from "./EventBatches.ts"

/**
 * The disk of the process that records fails, so its log cannot be read.
 *
 * @since 0.1.0
 * @category errors
 */
export class RemoteDiskFailed extends Schema.TaggedError<RemoteDiskFailed>()("RemoteDiskFailed", {
  /** What that process says of it. */
  detail: Schema.String
}) {
  override get message(): string {
    return `the log cannot be read where it is recorded: ${this.detail}`
  }
  /** Whether the same call may succeed later although nothing else has changed. */
  get isRetryable(): boolean {
    return true
  }
}

const id = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** The requests. */
export const LogRpcs = RpcGroup.make(
  Rpc.make("append", { payload: { bytes: Schema.Uint8Array }, success: Schema.Int, error: RecorderError }),
  Rpc.make("appendAll", {
    payload: { events: Schema.Array(Schema.Uint8Array) },
    success: Schema.Int,
    error: RecorderError
  }),
  Rpc.make("commit", { success: Schema.Int, error: RecorderError }),
  Rpc.make("commitTo", { payload: { id }, success: Schema.Int, error: RecorderError }),
  Rpc.make("positions", {
    success: Schema.Struct({
      appended: Schema.Int,
      durable: Schema.Int,
      compressed: Schema.Int,
      deletedBefore: Schema.Int
    })
  }),
  Rpc.make("events", {
    payload: { from: From, toId: Schema.NullOr(id), follow: Schema.Boolean, name: Schema.String },
    success: Batch,
    error: Schema.Union([EventsDeleted, EventsLost, SegmentMissing, SegmentCorrupt, RemoteDiskFailed]),
    stream: true
  })
)
