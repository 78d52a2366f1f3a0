/** The flags of every command that writes events: which of them, and what becomes of those that are lost. */
import * as Flag from "effect/cli/Flag"
import type * as DateTime from "effect/DateTime"
import type * as Option from "effect/Option"
import { numberFlag, switchFlag } from "./flags.ts"
import { sinceFlag, untilFlag } from "./timeFlag.ts"

/** The flags that name a range of events, by their ids or by when they were recorded. */
export const rangeFlags = {
  from: Flag.optional(numberFlag("from", "ID", 1, "The first event; default: the oldest")),
  to: Flag.optional(numberFlag("to", "ID", 1, "The last event, included; default: the newest")),
  since: sinceFlag,
  until: untilFlag
}

/** What the range flags give. */
export interface GivenRange {
  readonly from: Option.Option<number>
  readonly to: Option.Option<number>
  readonly since: Option.Option<DateTime.DateTime>
  readonly until: Option.Option<DateTime.DateTime>
}

/** `--skip-lost`. */
export const skipLostFlag = switchFlag(
  "skip-lost",
  "Continue after events whose loss is acknowledged, and report each such hole on standard error"
)
