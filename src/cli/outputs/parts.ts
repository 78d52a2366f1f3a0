/** Parts that several outputs have. */
import * as Schema from "effect/Schema"
import { segmentFaultKinds } from "../../format/SegmentFault.ts"

/** A fault that `verify` finds, and others after it. */
export const VerifyFault = Schema.Union([
  Schema.Struct({
    kind: Schema.Literal("Corrupt"),
    path: Schema.String,
    segmentIndex: Schema.Int,
    reason: Schema.Literals(segmentFaultKinds),
    offset: Schema.Int,
    expected: Schema.String,
    found: Schema.String
  }),
  Schema.Struct({
    kind: Schema.Literal("Unreadable"),
    path: Schema.String,
    segmentIndex: Schema.Int,
    detail: Schema.String
  }),
  Schema.Struct({ kind: Schema.Literal("Missing"), firstSegmentIndex: Schema.Int, lastSegmentIndex: Schema.Int }),
  Schema.Struct({ kind: Schema.Literal("Unsafe"), path: Schema.String })
])

const PerQueue = Schema.Struct({ persist: Schema.Int, freeze: Schema.Int, free: Schema.Int })

/** What a maintainer has done at its end, and what is left. */
export const DrainReceipt = Schema.Struct({
  done: PerQueue,
  left: PerQueue,
  failures: Schema.Int,
  millis: Schema.Finite
})
