/**
 * `effect-wal take-over`: opens a replicated log on this machine as its recorder would, and ends. So whoever had it is
 * fenced, and what the recorder needs is here when it starts.
 */
import * as Effect from "effect/Effect"
import { hostname } from "node:os"
import { SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import { open } from "../../failover/Opening.ts"
import type { ArchiveAddress } from "../flags/archiveFlag.ts"
import type { Output } from "../outputs/outputs.ts"
import { requireArchive } from "../stores/requireArchive.ts"
import { storeOf } from "../stores/storeOf.ts"
import { untilSignal } from "../terminal/Signals.ts"
import { writeJson, writeLines } from "../terminal/StandardStreams.ts"

/** What all of its flags give. */
interface Given {
  readonly archive: ArchiveAddress
  readonly dir: string
  readonly json: boolean
}

/** Runs `take-over`. */
export const takeOver = Effect.fnUntraced(
  function*({ archive, dir, json }: Given) {
    yield* requireArchive(archive)
    const owner = `${hostname()} (take-over, process ${process.pid})`
    const { changes, epoch, replicatedId } = yield* open(new SegmentDirectory(dir), archive.log, owner)
    const quarantine = changes.quarantine ?? null
    const { removed, restored } = changes
    if (json) {
      const changed = { directory: dir, removed, restored, quarantine }
      yield* writeJson({ archive: archive.url, epoch, replicatedId, ...changed } satisfies Output<"take-over">)
      return
    }
    yield* writeLines([
      `owns ${archive.url} as epoch ${epoch}`,
      replicatedId === 0 ? "no event is in the store" : `events up to ${replicatedId} are in the store`,
      `${restored.length} segments restored into ${dir}, ${removed.length} removed`,
      ...(quarantine === null ? [] : [`what only this machine had is in ${quarantine}`])
    ])
  },
  (effect, { archive }) => Effect.provide(effect, storeOf(archive)),
  untilSignal
)
