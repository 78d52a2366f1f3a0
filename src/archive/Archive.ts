/**
 * Copies every closed segment of a log into an object store, oldest first, and lets the maintainer delete only what is
 * proved there.
 *
 * ```text
 * PUT segments/E/NAME if absent → read back, decoded, proved → row in the manifest by If-Match → the hold rises
 *                                                                     → retention may delete the local file, as always
 * ```
 *
 * What is guaranteed:
 *
 * 1. With `onArchiveBehind: "keep"` a local file goes only after a manifest that this archive has written names its
 *    copy, which was read back and proved. Before the archive has read the manifest nothing goes.
 * 2. The archive has no hole: rows are consecutive, and each segment continues the one before, in ids and chain. A
 *    segment that is lost has a row that tells so. One that does not verify, or does not continue the archive, is
 *    reported and never archived as whole; nothing newer is archived until it is repaired, or its loss is acknowledged.
 * 3. One archive writes: opening claims the manifest with the next epoch. Whoever was before is `Fenced` with its next
 *    write, and ends. Recording goes on. Above `Failover.layer` it goes on with the claim that was made there.
 * 4. A store that is away, or refuses, stops neither appends nor commits. Nothing is deleted then; it is tried again
 *    with growing pauses, and the status tells why.
 * 5. Everything may be interrupted and done again.
 *
 * The newest segment is archived once it is compressed: before that the next start may continue it. `settle` ends and
 * compresses it, and so does the end of the layer. Then the next start begins another one.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type * as Take from "effect/Take"
import { hostname } from "node:os"
import type { Disk, DiskError } from "../disk/Disk.ts"
import { SegmentDirectory } from "../disk/SegmentDirectory.ts"
import { chainsSegments } from "../format/SegmentLayout.ts"
import { annotated } from "../internal/annotated.ts"
import { elapsedMillis } from "../internal/elapsed.ts"
import { invariant } from "../internal/invariant.ts"
import { duration, oneOf, resolveUnsafe, text, whole, withDefault } from "../internal/options.ts"
import { begin, Compressor } from "../maintainer/Compressor.ts"
import { withoutThreadsOnSimulatedDisk } from "../maintainer/FiberHost.ts"
import { SegmentMaintainer } from "../maintainer/SegmentMaintainer.ts"
import type { SegmentCorrupt } from "../reading/segment/SegmentCorrupt.ts"
import { Recorder } from "../recorder/Recorder.ts"
import { RecorderError } from "../recorder/RecorderError.ts"
import { MaintainerDown } from "../recorder/RecorderReason.ts"
import { ObjectStore } from "../store/ObjectStore.ts"
import type { StoreError, StoreUsage } from "../store/ObjectStore.ts"
import { probe } from "../store/Probe.ts"
import { Telemetry } from "../telemetry/Telemetry.ts"
import { ArchiveError } from "./ArchiveError.ts"
import { Damaged, Fenced, OtherLog } from "./ArchiveReason.ts"
import * as ArchiveVerify from "./ArchiveVerify.ts"
import type { ArchiveFault } from "./ArchiveVerify.ts"
import { breakBefore, holeRow, lastIdOf, shortened } from "./Continuity.ts"
import type { LogEnd, Ready } from "./Continuity.ts"
import { countedStore } from "./CountedStore.ts"
import { ArchiveLimits, expire, expiredNow, removeDue, removePages } from "./Expiry.ts"
import type { ResolvedArchiveLimits } from "./Expiry.ts"
import { makeLocalSegments } from "./LocalSegments.ts"
import type { Candidate } from "./LocalSegments.ts"
import { logName } from "./LogName.ts"
import { hexOf, manifestKey } from "./Manifest.ts"
import type { Manifest, Row, SegmentRow } from "./Manifest.ts"
import * as ManifestStore from "./ManifestStore.ts"
import type { ManifestContent, StoredManifest } from "./ManifestStore.ts"
import { Ownership } from "./Ownership.ts"
import { upload, UploadMemory } from "./SegmentUpload.ts"
import type { UploadTarget } from "./SegmentUpload.ts"

/**
 * What an upload of a cold file has in memory at most, with what waits for the collector: pieces that are sent, read
 * back and proved. Short segments take less. A long one that is still hot goes alone, because its pieces are
 * compressed, too.
 */
const uploadBytesMax = 8 * 1024 * 1024

/** Uploads are under way at the same time only while they take no more memory than this together. */
const bytesUnderWayMax = 2 * uploadBytesMax

/** How often an archive looks at ages, and at what no outcome tells. */
const lookEvery = Duration.seconds(10)

/** A manifest in which segments expire takes no longer to be written than this, or it is written again. */
const expirySecondsMax = 60

/** With a limit in age, lived time is written down this often. */
const rememberSeconds = 3600

/** After a failure. It never ends. */
const retrying = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("30 seconds")])

const Options = Schema.Struct({
  log: logName,
  limits: withDefault(ArchiveLimits, {}),
  proof: withDefault(oneOf(["read", "checksum"]), "read"),
  concurrency: withDefault(whole("count", 1, 16), 4),
  owner: Schema.optional(text("a name")),
  settleMax: withDefault(duration(0, Number.POSITIVE_INFINITY), Duration.seconds(30))
})

/**
 * How an archive is set up; only `log` is required.
 *
 * - `log`: the name of the log in the store; its objects begin with it
 * - `limits`: what the archive keeps. Default: everything
 * - `proof`: `read` reads back everything that was written; `checksum` trusts the store's MD5, if it checks that.
 *   Default: `read`
 * - `concurrency`: how many segments are written at a time, 1 to 16. Default: 4
 * - `owner`: who writes, for people. Default: the host and the process
 * - `settleMax`: how long the layer settles when its scope closes. Default: 30 seconds
 *
 * @since 0.1.0
 * @category models
 */
export interface ArchiveOptions extends Schema.Codec.Encoded<typeof Options> {}

/**
 * What an archive does, as it happens.
 *
 * - `Claimed`: the manifest is this archive's
 * - `Archived`: the segments before `archivedBefore` are in the manifest
 * - `Expired`: segments before `firstIndex` are no longer in the manifest
 * - `Removed`: the objects of segments before `removedBefore` are gone
 * - `Failed`: something failed; it is tried again
 * - `Fenced`: another archive has claimed the log; this one has ended
 *
 * @since 0.1.0
 * @category models
 */
export type ArchiveEvent =
  | { readonly _tag: "Claimed"; readonly epoch: number }
  | { readonly _tag: "Archived"; readonly rows: ReadonlyArray<Row>; readonly archivedBefore: number }
  | { readonly _tag: "Expired"; readonly firstIndex: number }
  | { readonly _tag: "Removed"; readonly removedBefore: number }
  | { readonly _tag: "Failed"; readonly message: string }
  | { readonly _tag: "Fenced"; readonly message: string }

/**
 * The state of an archive at a moment.
 *
 * @since 0.1.0
 * @category models
 */
export interface ArchiveStatus {
  /** What the store is, for people. */
  readonly store: string
  readonly log: string
  readonly owner: string
  /** `opening`: it has not claimed the log yet. `fenced`: it has ended, and archives nothing any more. */
  readonly state: "opening" | "following" | "fenced"
  /** 0 while it is opening. */
  readonly epoch: number
  /** What the archive has: segments from the first on, without the second. Both 0 while it is opening. */
  readonly firstIndex: number
  readonly archivedBefore: number
  /** Of the objects of these segments. */
  readonly storedBytes: number
  /** What is closed and not archived; how long the oldest of it has been. */
  readonly lag: { readonly segments: number; readonly bytes: number; readonly millis: number }
  /** Why it does not continue; `undefined` while it does. */
  readonly problem: string | undefined
  /** Requests and bytes so far: the bill. */
  readonly usage: StoreUsage
}

/**
 * What stops an archive from continuing.
 *
 * @since 0.1.0
 * @category models
 */
export type ArchiveFailure = StoreError | ArchiveError | DiskError | SegmentCorrupt | RecorderError

/**
 * The archive of a log that is being recorded.
 *
 * @since 0.1.0
 * @category services
 */
export class Archive extends Context.Service<Archive, {
  readonly status: Effect.Effect<ArchiveStatus>
  /** From now on, until the archive ends. */
  readonly events: Stream.Stream<ArchiveEvent>
  /** Changes the limits from now on. A value that is no limit at all is a defect. */
  readonly setLimits: (limits: ArchiveLimits) => Effect.Effect<void>
  /**
   * Archives everything that was appended before, now; fails at the first obstacle. It ends the segment that is being
   * filled and compresses it, so each call that has something new adds a segment to the log. Where the context of the
   * layer has no `Recorder`, because another process records, it archives what is closed.
   */
  readonly settle: Effect.Effect<void, ArchiveFailure>
  /** The rows of the archive, oldest first. */
  readonly rows: Stream.Stream<Row, ArchiveFailure>
  /** As `ArchiveVerify.verify` for this log. */
  readonly verify: (options: { readonly sample: number }) => Stream.Stream<ArchiveFault, ArchiveFailure>
}>()("effect-wal/archive/Archive") {}

/**
 * Archives the log of a maintainer that waits for it (`onArchiveBehind`), until the scope closes. The layer is built at
 * once, whatever the state of the store. Closing it settles, and logs what is not archived then.
 *
 * **Example** (A log with an archive)
 *
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { Archive, DirectoryStore } from "effect-wal/archive"
 * import { mkdirSync } from "node:fs"
 *
 * mkdirSync("./archive")
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const ArchivedEvents = Archive.layer({ log: "events" }).pipe(
 *   Layer.provide(Events.parts),
 *   Layer.provideMerge(Events.layer({ directory: "./log", onArchiveBehind: "keep" })),
 *   Layer.provide(DirectoryStore.layer({ directory: "./archive" })),
 *   Layer.provide(NodeDisk.layer)
 * )
 *
 * const program = Effect.gen(function*() {
 *   const { appendDurable } = yield* Events
 *   const archive = yield* Archive.Archive
 *   yield* appendDurable(Buffer.from("hello"))
 *   yield* archive.settle
 *   const { archivedBefore } = yield* archive.status
 *   yield* Console.log(archivedBefore) // => 1
 * })
 *
 * await Effect.runPromise(Effect.provide(program, ArchivedEvents))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: ArchiveOptions
): Layer.Layer<Archive, never, ObjectStore | Disk | SegmentMaintainer | Telemetry> =>
  Layer.effect(Archive, Effect.suspend(() => withoutThreadsOnSimulatedDisk(make(resolveUnsafe(Options, options)))))

const make = Effect.fnUntraced(function*(options: typeof Options.Type) {
  const maintainer = yield* SegmentMaintainer
  const recorder = Option.getOrUndefined(yield* Effect.serviceOption(Recorder))
  const compressor = yield* Compressor
  const telemetry = (yield* Telemetry).updater(0)
  const store = countedStore(yield* ObjectStore, telemetry)
  const { log } = options
  const directory = new SegmentDirectory(maintainer.directory, maintainer.naming)
  const ownership = Option.getOrUndefined(
    Option.filter(yield* Effect.serviceOption(Ownership), (found) => found.directory === directory.path)
  )
  if (ownership !== undefined && ownership.log !== log) {
    return yield* Effect.die(
      new Error(`the log was opened as ${ownership.log}, and is archived as ${log}; give both the same name`)
    )
  }
  const owner = options.owner ?? `${hostname()} (process ${process.pid})`
  const manifests = yield* Effect.provideService(ManifestStore.make(log), ObjectStore, store)
  const { archive: waiting } = yield* maintainer.status
  if (waiting === undefined) {
    return yield* Effect.die(
      new Error(`an archive needs a log that waits for it: give its layer onArchiveBehind, "keep" or "free"`)
    )
  }
  const local = makeLocalSegments(maintainer, directory, waiting.onBehind)
  const { badSegment } = local
  const key = manifestKey(log)
  const logs = annotated("Archive", directory.path)
  const context = Context.add(yield* Effect.context<Disk>(), ObjectStore, store)
  const provided = <A, E>(effect: Effect.Effect<A, E, Disk | ObjectStore>) => Effect.provideContext(effect, context)

  let limits: ResolvedArchiveLimits = options.limits
  let proof: UploadTarget["proof"] = options.proof
  /** Of this archive; 0 while the log is not claimed. */
  let epoch = 0
  /** The manifest as this archive has left it; `undefined` when it must be read. */
  let stored: StoredManifest | undefined
  let end: LogEnd = { chain: undefined, lastId: undefined }
  /** The manifest as it was last seen, for people. */
  let shown: Manifest | undefined
  /** When the log was claimed, and how long its archives had lived then. */
  let begun = { elapsed: 0, livedSeconds: 0 }
  let problem: string | undefined
  let fenced: ArchiveError | undefined
  /** What is proved in the store and not in the manifest yet: the same row again, whatever fails meanwhile. */
  const ready = new Map<number, Ready>()

  const events = yield* PubSub.unbounded<Take.Take<ArchiveEvent>>()
  yield* Effect.addFinalizer(() => PubSub.end(events, Exit.void))
  const publish = (event: ArchiveEvent) => PubSub.publishUnsafe(events, [event])
  const wake = yield* Latch.make()
  /** Opened with each outcome of the maintainer. */
  const outcome = yield* Latch.make()
  const oneAtATime = Semaphore.makeUnsafe(1)
  const memory = Semaphore.makeUnsafe(bytesUnderWayMax)
  /** Memory that uploads have used, for those that come. */
  const uploadMemories: Array<UploadMemory> = []
  const withUploadMemory = <A, E, R>(use: (memory: UploadMemory) => Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      const uploadMemory = uploadMemories.pop() ?? new UploadMemory()
      // After an interruption the disk may still fill it.
      return Effect.tap(use(uploadMemory), () => Effect.sync(() => uploadMemories.push(uploadMemory)))
    })

  const livedSeconds = Effect.map(
    elapsedMillis,
    (now) => begun.livedSeconds + Math.floor((now - begun.elapsed) / 1000)
  )

  /** Goes on from a manifest that is this archive's. */
  const adopt = Effect.fnUntraced(function*(next: StoredManifest) {
    const { manifest } = next
    const last = yield* manifests.rowFor(manifest, manifest.nextIndex - 1)
    stored = next
    shown = manifest
    end = {
      chain: manifest.chain === null ? undefined : BigInt(`0x${manifest.chain}`),
      lastId: last === undefined ? undefined : lastIdOf(last)
    }
    for (const index of ready.keys()) if (index < manifest.nextIndex) ready.delete(index)
  })

  const write = Effect.fnUntraced(function*(content: ManifestContent, before: StoredManifest | undefined) {
    // After a failure or an interruption, what stands there is read before anything else is written.
    stored = undefined
    const written = yield* manifests.write(content, before)
    stored = written
    shown = written.manifest
    return written
  })

  const fencedBy = ({ epoch, owner }: Manifest) =>
    new ArchiveError({ reason: new Fenced({ detail: `epoch ${epoch}, ${owner}` }), key })

  const gone = () => new ArchiveError({ reason: new Damaged({ detail: "the manifest is gone" }), key })

  /** The manifest that was claimed before the log was opened. */
  const claimed = Effect.fnUntraced(function*(epoch: number, found: StoredManifest | undefined) {
    if (found === undefined) return yield* gone()
    return found.manifest.epoch === epoch ? found : yield* fencedBy(found.manifest)
  })

  /** Claims the log with the next epoch. */
  const claim = Effect.fnUntraced(function*(walId: string) {
    const found = yield* manifests.read
    if (found !== undefined && found.manifest.walId !== walId) {
      const detail = `its wal_id is ${found.manifest.walId}, here it is ${walId}`
      return yield* new ArchiveError({ reason: new OtherLog({ detail }), key })
    }
    if (found?.manifest.tailFrom !== undefined && ownership === undefined) {
      const detail = "it is replicated, and this recorder was not opened for that: provide Failover.layer"
      return yield* new ArchiveError({ reason: new Fenced({ detail }), key })
    }
    // Whoever opened the log for failover has compared every byte.
    if (found !== undefined && ownership === undefined) yield* local.confirm(found.manifest, manifests)
    const { checksMd5 } = yield* probe(store)
    if (options.proof === "checksum" && !checksMd5) {
      yield* Effect.logWarning(`${store.name} does not check MD5, so everything that is written is read back`)
    }
    proof = checksMd5 ? options.proof : "read"
    const first = (yield* maintainer.segments)[0]?.segmentIndex ?? 0
    const content: ManifestContent = found === undefined
      ? ManifestStore.beginningWith(first, { walId, naming: maintainer.naming, owner })
      : { ...found.manifest, epoch: found.manifest.epoch + 1, owner }
    const written = ownership === undefined ? yield* write(content, found) : yield* claimed(ownership.epoch, found)
    epoch = written.manifest.epoch
    begun = { elapsed: yield* elapsedMillis, livedSeconds: written.manifest.livedSeconds }
    ready.clear()
    yield* adopt(written)
    yield* maintainer.archivedBefore(written.manifest.nextIndex)
    publish({ _tag: "Claimed", epoch })
    yield* Effect.logInfo(`archives to ${store.name}/${log} as epoch ${epoch}`)
  })

  /** The manifest that is this archive's; `undefined` while nothing is recorded. */
  const current = Effect.gen(function*() {
    if (fenced !== undefined) return yield* fenced
    if (epoch === 0) {
      const walId = yield* local.walId
      if (walId === undefined) return undefined
      yield* claim(walId)
    }
    if (stored === undefined) {
      const found = yield* manifests.read
      yield* adopt(yield* claimed(epoch, found))
    }
    return stored
  })

  /** What is ready to be entered; `undefined` of a segment that went before it was. */
  const readyFor = Effect.fnUntraced(function*(
    candidate: Candidate,
    manifest: Manifest
  ): Effect.fn.Return<Ready | undefined, ArchiveFailure, Disk | ObjectStore> {
    const { index } = candidate
    const known = ready.get(index)
    if (known !== undefined) return known
    const lived = yield* livedSeconds
    if (candidate._tag === "Missing") return undefined
    if (candidate._tag === "Hole") return holeRow(index, candidate.hole, lived)
    const target = { directory, log, naming: manifest.naming, epoch, proof }
    const startNanos = telemetry.nowNanos()
    const uploaded = yield* withUploadMemory((uploadMemory) => upload(target, index, lived, uploadMemory)).pipe(
      Effect.onExit((exit) => Effect.sync(() => telemetry.onArchival(Exit.isSuccess(exit), startNanos))),
      memory.withPermits(
        Math.min(candidate.isHot ? bytesUnderWayMax : uploadBytesMax, Math.max(1, 2 * candidate.bytes))
      ),
      Effect.catchTag(
        "SegmentCorrupt",
        (error) =>
          Effect.flatMap(
            maintainer.quarantine(index),
            (isMoved) =>
              Effect.fail(isMoved ? badSegment(`segment ${index} was damaged and is in quarantine now`) : error)
          )
      )
    )
    const { header } = uploaded
    const hole = candidate.hole === undefined ? null : shortened(candidate.hole)
    const row: SegmentRow = { ...uploaded.row, hole }
    const isChained = header !== undefined && chainsSegments(header.version) && hole === null
    const made: Ready = {
      row,
      header,
      end: { chain: isChained ? header.lastChainedChecksum : undefined, lastId: lastIdOf(row) }
    }
    ready.set(index, made)
    return made
  })

  /** The row of a segment that is lost, after what comes before it in this step or in the manifest. */
  const lost = Effect.fnUntraced(function*(
    candidate: Candidate,
    before: Row | undefined,
    { lastId = 0 }: LogEnd,
    manifest: Manifest
  ) {
    invariant(candidate._tag === "Missing", "only what is missing has nothing that is ready")
    const { index, next } = candidate
    const last = before ?? (yield* manifests.rowFor(manifest, manifest.nextIndex - 1))
    return holeRow(index, yield* local.lostHole(index, next, last, lastId, ready), yield* livedSeconds)
  })

  /** Archives everything that can be; in steps, each of them complete. */
  const archiveClosed = Effect.gen(function*() {
    while (true) {
      const before = yield* current
      if (before === undefined) return
      const { manifest } = before
      const next = yield* local.candidates(manifest.nextIndex)
      if (next.length === 0) {
        uploadMemories.length = 0
        return
      }
      const results = yield* Effect.forEach(
        next,
        (candidate) => Effect.result(readyFor(candidate, manifest)),
        { concurrency: options.concurrency }
      )
      const rows: Array<Row> = []
      let failure: ArchiveFailure | undefined
      let reached = end
      for (const [position, found] of results.entries()) {
        const result = yield* Effect.result(Effect.gen(function*() {
          return (yield* Effect.fromResult(found)) ?? (yield* lost(next[position]!, rows.at(-1), reached, manifest))
        }))
        if (Result.isFailure(result)) failure = result.failure
        else {
          const wrong = breakBefore(result.success, reached, manifest.walId)
          if (wrong === undefined) {
            rows.push(result.success.row)
            reached = result.success.end
            continue
          }
          ready.delete(result.success.row.index)
          failure = badSegment(wrong)
        }
        break
      }
      if (rows.length > 0) {
        const appended = yield* manifests.append(manifest, rows)
        const storedBytes = rows.reduce(
          (sum, row) => row.form === "none" ? sum : sum + row.storedBytes,
          manifest.storedBytes
        )
        const chain = reached.chain === undefined ? null : hexOf(reached.chain)
        const written = yield* write({ ...appended, storedBytes, chain, livedSeconds: yield* livedSeconds }, before)
        end = reached
        for (const { index } of rows) ready.delete(index)
        // Only now: a manifest that this archive has written names them.
        yield* maintainer.archivedBefore(written.manifest.nextIndex)
        publish({ _tag: "Archived", rows, archivedBefore: written.manifest.nextIndex })
      }
      if (failure !== undefined) return yield* Effect.fail(failure)
    }
  })

  /** For how many seconds an archive has lived since its newest segments expired. */
  const lateness = ({ expired }: ManifestContent) =>
    Effect.map(livedSeconds, (now) => now - (expired.at(-1)?.livedSeconds ?? now))

  const keepLimits = Effect.gen(function*() {
    const before = yield* current
    if (before === undefined) return
    const content = { ...before.manifest, livedSeconds: yield* livedSeconds }
    const expired = yield* expire(manifests, content, limits)
    if (expired !== undefined) {
      let written = yield* write(expired, before)
      // What took long to write expired later than it says: its objects stay a day from then on.
      for (let late = yield* lateness(expired); late > expirySecondsMax; late = yield* lateness(written.manifest)) {
        written = yield* write(expiredNow(written.manifest, yield* livedSeconds), written)
      }
      publish({ _tag: "Expired", firstIndex: expired.firstIndex })
      // Lived time is remembered by manifests alone, and a quiet log writes none.
    } else if (limits.ageMax !== undefined && content.livedSeconds - before.manifest.livedSeconds >= rememberSeconds) {
      yield* write(content, before)
    }
    const now = (yield* current) ?? before
    const removal = yield* removeDue(manifests, { ...now.manifest, livedSeconds: content.livedSeconds })
    if (removal === undefined) return
    yield* write(removal.content, now)
    yield* removePages(removal.pages)
    publish({ _tag: "Removed", removedBefore: removal.content.removedBefore })
  })

  /** Does everything that is due. */
  const cycle: Effect.Effect<void, ArchiveFailure> = provided(Effect.andThen(archiveClosed, keepLimits)).pipe(
    // An earlier write of this archive has come late. The manifest is read again.
    Effect.retry({ times: 3, while: (error) => error._tag === "ArchiveError" && error.reason._tag === "Outdated" }),
    Effect.tapError((error) =>
      Effect.gen(function*() {
        const { message } = error
        const isFenced = error._tag === "ArchiveError" && error.reason._tag === "Fenced"
        if (isFenced && fenced === undefined) {
          fenced = error
          publish({ _tag: "Fenced", message })
          yield* Effect.logError(`${message}; nothing more is archived`)
        } else if (!isFenced) {
          publish({ _tag: "Failed", message })
          if (message !== problem) yield* Effect.logWarning(`not archived: ${message}`)
        }
        problem = message
        yield* maintainer.archiveProblem(message)
      })
    ),
    Effect.tap(() => {
      const before = problem
      problem = undefined
      return before === undefined
        ? Effect.void
        : Effect.andThen(maintainer.archiveProblem(undefined), Effect.logInfo(`archives again to ${store.name}/${log}`))
    }),
    oneAtATime.withPermit,
    logs
  )

  /** Ends the segment that is being filled. The segment before which no start continues anything then. */
  const endSegment = Effect.gen(function*() {
    if (recorder === undefined) return 0
    yield* recorder.rotate
    const { activeSegmentIndex } = recorder.writer
    yield* recorder.flush
    return activeSegmentIndex
  })

  /** Waits until no start continues the segments before this one: they are compressed, archived or lost. */
  const untilEnded = Effect.fnUntraced(function*(before: number) {
    yield* maintainer.freezeBefore(before)
    while (true) {
      outcome.closeUnsafe()
      const { archive, holes, isDown } = yield* maintainer.status
      const index = before - 1
      if (archive === undefined || archive.archivedBefore > index) return
      if (holes.some((hole) => hole.firstSegmentIndex <= index && index <= hole.lastSegmentIndex)) return
      const entry = (yield* maintainer.segments).find(({ segmentIndex }) => segmentIndex === index)
      if (entry !== undefined && !entry.isHot) return
      if (entry?.state === "faulty") return yield* badSegment(`segment ${index} cannot be compressed`)
      if (isDown) return yield* new RecorderError({ reason: new MaintainerDown() })
      yield* Effect.timeoutOption(outcome.await, lookEvery)
    }
  })

  const settle = Effect.gen(function*() {
    if (fenced !== undefined) return yield* fenced
    const before = yield* endSegment
    if (before > 0) yield* untilEnded(before)
    yield* cycle
    // Two that wait would close the latch of outcomes for each other.
  }).pipe(Semaphore.makeUnsafe(1).withPermit)

  // The thread that compresses starts with the first piece; its memory goes with the last log.
  yield* Effect.acquireRelease(
    Effect.ignore(begin(compressor.start, String)),
    () => Effect.sync(() => compressor.stop())
  )
  const closing = logs(Effect.gen(function*() {
    if (fenced === undefined) yield* Effect.ignore(Effect.timeoutOption(settle, options.settleMax))
    const left = (yield* maintainer.plan).filter(({ action }) => action === "archive")
    if (left.length === 0) return
    const from = left[0]?.segmentIndex
    yield* Effect.logWarning(
      `segments from ${from} on are not archived, ${left.length} in all: ${problem ?? "there was no more time"}`
    )
  }))
  yield* Effect.forkScoped(
    Stream.runForEach(maintainer.outcomes, ({ _tag }) =>
      Effect.sync(() => {
        if (_tag === "Persisted" || _tag === "Opened" || _tag === "Frozen" || _tag === "Quarantined") wake.openUnsafe()
        outcome.openUnsafe()
      }))
  )
  yield* Effect.forkScoped(Effect.gen(function*() {
    let backoff = yield* Schedule.toStep(retrying)
    while (true) {
      wake.closeUnsafe()
      const result = yield* Effect.result(cycle)
      if (fenced !== undefined) return
      if (Result.isSuccess(result)) {
        backoff = yield* Schedule.toStep(retrying)
        yield* Effect.timeoutOption(wake.await, lookEvery)
      } else {
        const [, wait] = yield* Pull.catchDone(backoff(yield* elapsedMillis, undefined), () => Effect.never)
        yield* Effect.sleep(wait)
      }
    }
  }))

  // Before the fibers end: settling waits for outcomes.
  yield* Effect.addFinalizer(() => closing)

  return Archive.of({
    status: Effect.gen(function*() {
      const { archive } = yield* maintainer.status
      return {
        store: store.name,
        log,
        owner,
        state: fenced !== undefined ? "fenced" : epoch === 0 ? "opening" : "following",
        epoch,
        firstIndex: shown?.firstIndex ?? 0,
        archivedBefore: archive?.archivedBefore ?? 0,
        storedBytes: shown?.storedBytes ?? 0,
        lag: {
          segments: archive?.behindSegments ?? 0,
          bytes: archive?.behindBytes ?? 0,
          millis: archive?.behindMillis ?? 0
        },
        problem,
        usage: yield* store.usage
      }
    }),
    events: Stream.fromPubSubTake(events),
    setLimits: (given) =>
      Effect.sync(() => {
        limits = resolveUnsafe(ArchiveLimits, given)
        wake.openUnsafe()
      }),
    settle,
    rows: Stream.unwrap(
      Effect.map(
        provided(manifests.read),
        (found) => found === undefined ? Stream.empty : manifests.rows(found.manifest, found.manifest.firstIndex)
      )
    ),
    verify: (given) => Stream.provideContext(ArchiveVerify.verify({ log, ...given }), context)
  })
})
