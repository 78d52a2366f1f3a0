/**
 * `effect-wal repair`: reports what is damaged and what would be kept; with `--apply` moves the damaged segments to
 * `quarantine/`. Nothing is ever deleted. Exit code 1 if something is wrong and was not repaired.
 */
import * as Effect from "effect/Effect"
import * as Repair from "../../reading/recovery/Repair.ts"
import type { RepairReport, RepairStep } from "../../reading/recovery/Repair.ts"
import { formatVerifyFault } from "../../reading/recovery/Verify.ts"
import { requireDirectory } from "../flags/requireDirectory.ts"
import type { Output } from "../outputs/outputs.ts"
import { withReadProgress } from "../terminal/Progress.ts"
import { report, writeJson, writeLines } from "../terminal/StandardStreams.ts"

/** What its flags give. */
interface Given {
  readonly dir: string
  readonly apply: boolean
  readonly json: boolean
}

/** Runs the command. */
export const repair = Effect.fnUntraced(function*({ apply, dir, json }: Given) {
  yield* requireDirectory(dir)
  const repaired = yield* withReadProgress(
    Repair.repair({ directory: dir, apply }),
    { label: "repairing", directory: dir, passes: 1, isWanted: !json }
  )
  yield* report(
    json ? writeJson(repaired satisfies Output<"repair">) : writeLines(linesOf(repaired)),
    repaired.left.length > 0 || (!apply && repaired.steps.length > 0)
  )
})

const linesOf = (
  { applied, directory, ignoredHint, lastEventId, lastGivenId, left, quarantine, steps }: RepairReport
): ReadonlyArray<string> => [
  ...steps.flatMap((step) => [
    `fault: ${formatVerifyFault(step.fault)}`,
    `  ${applied ? "moved" : "would be moved"} to quarantine; in its place ${keptOf(step)}`
  ]),
  ...(ignoredHint === "" ? [] : [`note: ${ignoredHint}; it is ignored`]),
  ...left.map((fault) => `left: ${formatVerifyFault(fault)}`),
  `${directory}: ${steps.length} segments ${
    applied ? `moved${quarantine === null ? "" : ` to ${quarantine}`}` : "to move"
  }, ${left.length} faults left`,
  ...(lastGivenId > lastEventId
    ? [`ids ${lastEventId + 1} to ${lastGivenId} are lost; recording continues with ${lastGivenId + 1}`]
    : []),
  ...(!applied && steps.length > 0 ? ["nothing was changed; give --apply to do it"] : [])
]

const keptOf = ({ eventCount, firstEventId, kept, lastEventId }: RepairStep): string => {
  switch (kept) {
    case "other form":
      return "the same segment in its other form, which is intact"
    case "whole blocks":
      return `its intact blocks before the damage, ${eventCount} events, ids ${firstEventId} to ${lastEventId}`
    case "nothing":
      return "nothing"
  }
}
