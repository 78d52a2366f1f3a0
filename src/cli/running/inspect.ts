/**
 * `effect-wal inspect`: lists the segments, one row each, from their headers. The content is not checked; `verify` does
 * that. Only a segment that is still open is read to its end, because its header has no counts yet.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HoleStore from "../../disk/HoleStore.ts"
import { SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import { forEachSegment, makeDirectoryReader } from "../../reading/DirectoryReader.ts"
import { formatHole } from "../../reading/ReplayError.ts"
import * as Monitor from "../../recorder/monitor/Monitor.ts"
import { inspectFile } from "../../report/InspectedSegment.ts"
import { foreignNames, requireDirectory } from "../flags/requireDirectory.ts"
import type { Output } from "../outputs/outputs.ts"
import { withSegmentProgress } from "../terminal/Progress.ts"
import { writeJson, writeLines } from "../terminal/StandardStreams.ts"
import { table } from "../views/SegmentTable.ts"

/** What its flags give. */
interface Given {
  readonly dir: string
  readonly json: boolean
}

/** Runs the command. */
export const inspect = Effect.fnUntraced(function*({ dir, json }: Given) {
  yield* requireDirectory(dir)
  const directory = new SegmentDirectory(dir)
  const reader = yield* makeDirectoryReader(directory)
  const listing = yield* directory.scan
  const inspecting = forEachSegment(reader, (file) => inspectFile(file))
  const segments = yield* withSegmentProgress(inspecting, { label: "inspecting", directory: dir, isWanted: !json })
  const acknowledged = yield* HoleStore.read(directory.path)
  const holes = HoleStore.since(acknowledged.holes, segments[0]?.segmentIndex ?? 0)
  const foreign = foreignNames(listing.foreign)
  const { unsafe } = listing
  if (json) return yield* writeJson({ directory: dir, segments, holes, foreign, unsafe } satisfies Output<"inspect">)
  const recorder = yield* Effect.catchTag(Monitor.read(dir), "MonitorError", () => Effect.succeed(undefined))
  const { durableHolds = [], holds = [] } = recorder?.maintainer ?? {}
  const holders = [...holds, ...durableHolds].filter(({ isExceeded }) => !isExceeded)
  yield* writeLines([
    ...table(segments, yield* Clock.currentTimeMillis, holders),
    ...segments.filter(({ detail }) => detail !== "").map(({ detail }) => `note: ${detail}`),
    ...holes.map((hole) => `hole: ${formatHole(hole)}`),
    ...(acknowledged.fault === "" ? [] : [`note: ${acknowledged.fault}; it is ignored`]),
    ...unsafe.map((name) => `note: ${name} has the name of a segment but is not a regular file; it is left alone`),
    ...foreign.map((name) => `note: ${name} is not a segment; it is left alone`)
  ])
})
