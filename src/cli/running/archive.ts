/**
 * `effect-wal archive`: looks at the archive of a log, checks it, brings a log into it, and takes a log out of it.
 * `push` opens the log as a recorder does that records nothing, so it refuses beside one.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as Archive from "../../archive/Archive.ts"
import * as ArchiveDisk from "../../archive/ArchiveDisk.ts"
import * as ArchiveVerify from "../../archive/ArchiveVerify.ts"
import type { Row } from "../../archive/Manifest.ts"
import * as ManifestStore from "../../archive/ManifestStore.ts"
import * as Backup from "../../reading/recovery/Backup.ts"
import * as Wal from "../../recorder/WalParts.ts"
import type { WalOptions } from "../../recorder/WalParts.ts"
import type { ArchiveAddress } from "../flags/archiveFlag.ts"
import { formatSize } from "../flags/flags.ts"
import { requireDirectory } from "../flags/requireDirectory.ts"
import type { Output } from "../outputs/outputs.ts"
import { requireArchive } from "../stores/requireArchive.ts"
import { storeOf } from "../stores/storeOf.ts"
import { withReadProgress } from "../terminal/Progress.ts"
import { untilSignal } from "../terminal/Signals.ts"
import { report, writeJson, writeLines } from "../terminal/StandardStreams.ts"
import { writeCopy } from "./backup.ts"

/** What all of its flags give. */
interface Given {
  readonly archive: ArchiveAddress
  readonly json: boolean
}

const idsOf = (row: Row | undefined): { readonly first: number; readonly last: number } => {
  if (row === undefined) return { first: 0, last: 0 }
  if (row.form === "none") return { first: row.hole.firstEventId, last: row.hole.lastEventId }
  return { first: row.firstId, last: row.hole?.lastEventId ?? row.lastId }
}

const summarize = Effect.fnUntraced(function*(archive: ArchiveAddress) {
  const { manifest } = yield* requireArchive(archive)
  const manifests = yield* ManifestStore.make(archive.log)
  const { epoch, firstIndex, nextIndex, owner, storedBytes } = manifest
  const summary: Output<"archive status"> = {
    archive: archive.url,
    epoch,
    owner,
    segments: nextIndex - firstIndex,
    firstSegment: firstIndex,
    firstEventId: idsOf(yield* manifests.rowFor(manifest, firstIndex)).first,
    lastEventId: idsOf(yield* manifests.rowFor(manifest, nextIndex - 1)).last,
    storedBytes
  }
  return summary
})

const writeSummary = (summary: Output<"archive status">, json: boolean) => {
  const { archive, epoch, firstEventId, firstSegment, lastEventId, owner, segments, storedBytes } = summary
  return json ? writeJson(summary) : writeLines([
    `${archive}: ${segments} segments from ${firstSegment} on, events ${firstEventId} to ${lastEventId}, ` +
    `${formatSize(storedBytes)}; written by ${owner}, epoch ${epoch}`
  ])
}

/** Runs `archive status`. */
export const archiveStatus = ({ archive, json }: Given) =>
  Effect.flatMap(summarize(archive), (summary) => writeSummary(summary, json)).pipe(Effect.provide(storeOf(archive)))

/** Runs `archive verify`. */
export const archiveVerify = Effect.fnUntraced(
  function*({ archive, json, sample }: Given & { readonly sample: number }) {
    const { segments } = yield* summarize(archive)
    const faults = yield* Stream.runCollect(ArchiveVerify.verify({ log: archive.log, sample }))
    const read = Math.min(sample, segments)
    const write = json ?
      writeJson({ archive: archive.url, segments, read, faults } satisfies Output<"archive verify">) :
      writeLines([
        ...faults.map(({ key, message, segmentIndex }) => `fault: segment ${segmentIndex} (${key}): ${message}`),
        `${archive.url}: ${segments} segments were compared, ${read} of them read; ${faults.length} faults`
      ])
    yield* report(write, faults.length > 0)
  },
  (effect, { archive }) => Effect.provide(effect, storeOf(archive))
)

/** Runs `archive restore`. */
export const archiveRestore = Effect.fnUntraced(
  function*({ archive, json, to }: Given & { readonly to: string }) {
    yield* requireArchive(archive)
    const directory = ArchiveDisk.shownDirectory(archive.log)
    // Two passes: each segment is copied, and then verified.
    const copied = yield* withReadProgress(
      Backup.backup({ directory, to }),
      { label: "restoring", directory, passes: 2, isWanted: !json }
    ).pipe(Effect.provide(ArchiveDisk.layer({ log: archive.log })))
    yield* writeCopy(copied, json)
  },
  (effect, { archive }) => Effect.provide(effect, storeOf(archive)),
  untilSignal
)

/** Nothing is deleted, and nothing compressed that need not be. */
const limits: WalOptions["limits"] = { maxSegments: 128, maxCompressedSegments: "unlimited" }

/** Runs `archive push`. */
export const archivePush = Effect.fnUntraced(
  function*({ archive, dir, json }: Given & { readonly dir: string }) {
    yield* requireDirectory(dir)
    const archiving = Archive.layer({ log: archive.log })
    const wal = (format: 1 | 2) =>
      Layer.provideMerge(
        archiving,
        Wal.layerWorker({ directory: dir, format, limits, onArchiveBehind: "keep" })
      )
    yield* Effect.scoped(Effect.gen(function*() {
      const context = yield* Layer.build(wal(2)).pipe(
        Effect.catchTag("FormatMismatch", () => Layer.build(wal(1)))
      )
      yield* Context.get(context, Archive.Archive).settle
    }))
    yield* writeSummary(yield* summarize(archive), json)
  },
  (effect, { archive }) => Effect.provide(effect, storeOf(archive)),
  untilSignal
)
