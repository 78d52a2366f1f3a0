/**
 * Opens a log, here or elsewhere:
 *
 * ```text
 * the directory is locked → the manifest is claimed with the next epoch (If-Match) → the tail is read, and a fence is
 *   put behind it (If-None-Match: *) → the manifest is looked at a second time → the directory is made to say the same
 * ```
 *
 * The second look is not a nicety. Whoever slept after the claim may find names of the tail free that a successor has
 * used and removed. He would put his fence there, and acknowledge what nobody reads.
 *
 * An owner that is alive loses with the claim: its next write of the manifest is refused, and with the fence: so is its
 * next object. It acknowledges nothing as replicated from then on.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { ArchiveError } from "../archive/ArchiveError.ts"
import { BadSegment, Fenced, NotProved, OtherLog } from "../archive/ArchiveReason.ts"
import { lastIdOf } from "../archive/Continuity.ts"
import { manifestKey, segmentKey } from "../archive/Manifest.ts"
import type { Manifest, SegmentRow } from "../archive/Manifest.ts"
import * as ManifestStore from "../archive/ManifestStore.ts"
import type { ManifestContent } from "../archive/ManifestStore.ts"
import { observed, prove, sourceOf } from "../archive/SegmentCheck.ts"
import { contentOf } from "../archive/tail/TailContent.ts"
import type { TailObject } from "../archive/tail/TailObject.ts"
import * as TailStore from "../archive/tail/TailStore.ts"
import { Disk } from "../disk/Disk.ts"
import type { DiskError } from "../disk/Disk.ts"
import { lockName } from "../disk/FileNames.ts"
import { makeDirectoryDurable, segmentsOf } from "../disk/SegmentDirectory.ts"
import type { SegmentDirectory, SegmentFile } from "../disk/SegmentDirectory.ts"
import { FrameMemory } from "../reading/segment/FrameReader.ts"
import { coldContent } from "../reading/segment/SegmentContent.ts"
import { ObjectStore } from "../store/ObjectStore.ts"
import type { StoreError } from "../store/ObjectStore.ts"
import { probe } from "../store/Probe.ts"
import { adapt, walIdIn } from "./LocalLog.ts"
import type { LocalChanges, Truth } from "./LocalLog.ts"

/** A log that is ours. */
interface OpenedLog {
  readonly epoch: number
  readonly walId: Uint8Array
  /** The number of our fence. */
  readonly fence: number
  /** The manifest at the second look. */
  readonly manifest: Manifest
  /** Every event up to this one was in the store when the log was opened. */
  readonly replicatedId: number
  readonly changes: LocalChanges
}

const walIdBytes = 16

/** A claim that another recorder was faster with is made again so often. */
const claimsMax = 5

/**
 * A claim before which the owner has written the manifest once more is made again so often. A busy one writes it with
 * every segment, every beginning of the tail and every renewal, and each claim is one request after it was read.
 */
const outdatedMax = 1000

const isFor = (reason: ArchiveError["reason"]["_tag"]) => (error: StoreError | ArchiveError | DiskError): boolean =>
  error._tag === "ArchiveError" && error.reason._tag === reason

/** Objects of the tail before the first. */
const firstNumber = 1

/**
 * Opens the log. Fails with `Held` where a recorder of this machine has the directory, before anything is claimed; with
 * `Fenced` when another recorder has claimed the log meanwhile.
 */
export const open = Effect.fnUntraced(function*(directory: SegmentDirectory, log: string, owner: string) {
  const disk = yield* Disk
  const store = yield* ObjectStore
  const manifests = yield* ManifestStore.make(log)
  const tail = yield* TailStore.make(log)
  const key = manifestKey(log)
  yield* makeDirectoryDurable(directory.path)
  yield* disk.lock(directory.pathOf(lockName))
  const walIdHere = yield* walIdIn(directory)

  const claim = Effect.gen(function*() {
    const found = yield* manifests.read
    const walId = found?.manifest.walId ?? Buffer.from(walIdHere ?? (yield* makeWalId)).toString("hex")
    if (walIdHere !== undefined && Buffer.from(walIdHere).toString("hex") !== walId) {
      const detail = `its wal_id is ${walId}, that of the directory ${Buffer.from(walIdHere).toString("hex")}`
      return yield* new ArchiveError({ reason: new OtherLog({ detail }), key })
    }
    const first = segmentsOf(yield* directory.scan)[0]?.segmentIndex ?? 0
    const content: ManifestContent = found === undefined
      ? ManifestStore.beginningWith(first, { walId, naming: directory.naming, owner, tailFrom: firstNumber })
      : { ...found.manifest, epoch: found.manifest.epoch + 1, owner, tailFrom: found.manifest.tailFrom ?? firstNumber }
    return yield* manifests.write(content, found)
  }).pipe(
    Effect.retry({ times: outdatedMax, while: isFor("Outdated") }),
    Effect.retry({ times: claimsMax, while: isFor("Fenced") }),
    Effect.retry(retrying)
  )
  // Before, and not in between: an owner that is busy replaces what was read soon.
  yield* Effect.retry(probe(store), retrying)
  const claimed = (yield* claim).manifest
  const { epoch } = claimed

  const fenced = Effect.gen(function*() {
    const objects: Array<TailObject> = [
      ...yield* Effect.retry(tail.from(claimed.tailFrom ?? firstNumber), retrying)
    ]
    while (true) {
      const number = (claimed.tailFrom ?? firstNumber) + objects.length
      const newest = objects.at(-1)
      if (newest !== undefined && newest.epoch > epoch) {
        const detail = `epoch ${newest.epoch} has its fence in the tail, this is epoch ${epoch}`
        return yield* new ArchiveError({ reason: new Fenced({ detail }), key })
      }
      const put = yield* tail.prepare({ kind: "fence", epoch, number, run: number, parts: [] })
      const done = yield* Effect.retry(put, retrying)
      if (done._tag === "Done") return { objects, fence: number }
      objects.push(done.object)
    }
  })
  const { fence, objects } = yield* fenced

  const again = yield* Effect.retry(manifests.read, retrying)
  if (again === undefined || again.manifest.epoch !== epoch) {
    const detail = again === undefined
      ? "the manifest is gone"
      : `epoch ${again.manifest.epoch}, ${again.manifest.owner}`
    return yield* new ArchiveError({ reason: new Fenced({ detail }), key })
  }
  const { manifest } = again
  const content = yield* contentOf(log, objects, manifest.nextIndex)
  const first = content.segments[0]
  if (first !== undefined && manifest.chain !== null) {
    const chain = BigInt(`0x${manifest.chain}`)
    if (first.header.previousChainedChecksum !== chain) {
      const detail = `segment ${first.segmentIndex} of the tail does not continue the archive`
      return yield* new ArchiveError({ reason: new BadSegment({ detail }), key })
    }
  }
  const provided = <A, E>(effect: Effect.Effect<A, E, ObjectStore>) => Effect.provideService(effect, ObjectStore, store)
  const truth: Truth = {
    log,
    manifest,
    content,
    rowFor: (segmentIndex) => manifests.rowFor(manifest, segmentIndex),
    fetch: (row) => Effect.map(provided(fetch(log, manifest, row)), ({ bytes }) => bytes),
    fetchContent: (row) => provided(fetchContent(log, manifest, row))
  }
  const changes = yield* adapt(directory, epoch, truth)
  const last = yield* manifests.rowFor(manifest, manifest.nextIndex - 1)
  const archivedId = last === undefined ? 0 : lastIdOf(last) ?? 0
  const opened: OpenedLog = {
    epoch,
    walId: Uint8Array.from(Buffer.from(manifest.walId, "hex")),
    fence,
    manifest,
    replicatedId: Math.max(archivedId, content.lastEventId),
    changes
  }
  return opened
}, Effect.scoped)

/** While the store does not answer, for a minute. */
const retrying = {
  schedule: Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("10 seconds")]).pipe(
    Schedule.upTo({ duration: "1 minute" })
  ),
  while: (error: { readonly _tag: string; readonly isRetryable: boolean }) =>
    error._tag === "StoreError" && error.isRetryable
}

const makeWalId = Effect.map(
  Effect.all(Array.from({ length: walIdBytes }, () => Random.nextIntBetween(0, 256))),
  (bytes) => Uint8Array.from(bytes)
)

/** The cold file of an archived segment, every byte proved. */
const fetch = Effect.fnUntraced(function*(log: string, { naming }: Manifest, row: SegmentRow) {
  const key = segmentKey(log, naming, row)
  const { bytes } = yield* Effect.retry((yield* ObjectStore).get(key), retrying)
  const file: SegmentFile = {
    segmentIndex: row.index,
    path: key,
    form: "cold",
    compression: row.form === "lz4" ? "frame" : "block"
  }
  const notProved = (detail: string) => new ArchiveError({ reason: new NotProved({ detail }), key })
  const stored = observed(sourceOf(bytes))
  const content = yield* Effect.mapError(prove(file, stored), ({ message }) => notProved(message))
  if (stored.end().xxh64 !== row.storedXxh64) return yield* notProved("its bytes are not those of the manifest")
  if (content.contentXxh64 !== row.contentXxh64) return yield* notProved("its content is not that of the manifest")
  return { bytes, file, wholeBytes: content.wholeBytes }
})

const fetchContent = Effect.fnUntraced(function*(log: string, manifest: Manifest, row: SegmentRow) {
  const { bytes, file, wholeBytes } = yield* fetch(log, manifest, row)
  const content = coldContent(file, sourceOf(bytes), bytes.length, () => false, new FrameMemory())
  const whole = new Uint8Array(wholeBytes)
  for (let at = 0; at < whole.length;) {
    const count = yield* Effect.orDie(content.read(whole.subarray(at)))
    if (count === 0) break
    at += count
  }
  return whole
})
