/**
 * Hot becomes cold. The order of effects, each arrow meaning "durable before":
 *
 * ```text
 * .wal synced → .lz4.tmp written → read back, decoded, proved, compared → .lz4.tmp synced → renamed to .lz4
 *             → directory synced → .wal renamed to .lz4.tmp → directory synced → that unlinked
 * ```
 *
 * A failure or an interruption at any point leaves the `.wal` in place and removes the `.tmp`. Doing the step again is
 * always right: when the `.lz4` already stands (a crash between the two renames), it is proved, compared and given its
 * name again before the `.wal` goes. Names change as `DurableNames` describes.
 *
 * What is compared: the length, the XXH32 of the content (of the `.wal` as it was read against the decoded bytes), and
 * the segment's own proof over the decoded bytes, which follows every checksum and the chain.
 *
 * So the older form goes only after the newer one is durable, and only after what was written is proved (promises 5 and
 * 19 of docs/RELIABILITY.md).
 *
 * What proves is the reader of cold segments itself: it must accept the file, to its last byte, before the `.wal` goes.
 *
 * Frame compression goes piece by piece (see `FreezePieces`); block compression keeps the whole segment in memory. A
 * segment that is too long for the block form is frozen as a frame.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { Disk, openScoped, readFully, removeIfThere, writeFully } from "../../disk/Disk.ts"
import type { DiskFile } from "../../disk/Disk.ts"
import { moveName, removeName } from "../../disk/DurableNames.ts"
import { blockFormContentBytesMax } from "../../format/Limits.ts"
import { pieceBytes } from "../../format/lz4/Lz4Frame.ts"
import { makeXxh32 } from "../../internal/xxh64.ts"
import { openContent } from "../../reading/segment/SegmentContent.ts"
import { Compressor, settle } from "../Compressor.ts"
import { takePiece } from "../compressor/PieceMemory.ts"
import { makeJob, verdict } from "./FreezeJob.ts"
import type { FreezeJob, FreezeOptions } from "./FreezeJob.ts"
import { compressOptions } from "./FreezePace.ts"
import { writeFrame } from "./FreezePieces.ts"
import type { SegmentFacts } from "./SegmentProof.ts"
import { SegmentProof } from "./SegmentProof.ts"
import { fromDisk } from "./StepError.ts"
import type { StepError } from "./StepError.ts"
import { CompressFailed, Corrupt, VerifyFailed } from "./StepReason.ts"

/** What a freeze has done. */
export interface Frozen {
  readonly hotBytes: number
  readonly coldBytes: number
  readonly facts: SegmentFacts
}

/** Freezes one closed segment. Interruptible; see the order of effects above. */
export const freeze = Effect.fnUntraced(function*(options: FreezeOptions, segmentIndex: number) {
  const disk = yield* Disk
  const job = makeJob(options, segmentIndex, yield* formOf(options, segmentIndex))

  const existing = yield* disk.stat(job.cold).pipe(
    Effect.map((stat) => stat.bytes),
    Effect.catchReason("DiskError", "NotFound", () => Effect.succeed(undefined)),
    job.onDisk
  )
  const done = yield* existing === undefined ? compressAndRename(job) : proveAgain(job, existing)
  yield* job.onDisk(removeName(job.options.directory.path, job.hot, job.temporary)).pipe(
    Effect.tapError(() => Effect.sync(() => job.options.leftBehind.add(job.temporary)))
  )
  return done
})

/** The form that a segment gets: the one that is asked for, unless it is too long for that. */
const formOf = Effect.fnUntraced(function*({ compression, directory }: FreezeOptions, segmentIndex: number) {
  if (compression === "frame") return "frame"
  const disk = yield* Disk
  const bytesOf = (path: string) =>
    disk.stat(path).pipe(
      Effect.map(({ bytes }) => bytes),
      Effect.catchReason("DiskError", "NotFound", () => Effect.succeed(undefined)),
      Effect.mapError(fromDisk("freeze", segmentIndex))
    )
  const bytes = yield* bytesOf(directory.hotPath(segmentIndex))
  if (bytes !== undefined) return bytes > blockFormContentBytesMax ? "frame" : "block"
  // An earlier executor has frozen it, and decided.
  return (yield* bytesOf(directory.coldPath(segmentIndex, "frame"))) === undefined ? "block" : "frame"
})

const compressAndRename = Effect.fnUntraced(function*(job: FreezeJob) {
  return yield* Effect.scoped(Effect.gen(function*() {
    const source = yield* job.onDisk(openScoped(job.hot, "read"))
    const { bytes, permissions } = yield* job.onDisk(source.stat)
    if (bytes === 0) return yield* job.fail(new Corrupt({ detail: "an empty file" }), job.hot)
    yield* job.onDisk(source.sync)
    const removeTemporary = Effect.match(removeIfThere(job.temporary), {
      onFailure: () => void job.options.leftBehind.add(job.temporary),
      onSuccess: () => void job.options.leftBehind.delete(job.temporary)
    })
    yield* Effect.addFinalizer((exit) => Exit.isSuccess(exit) ? Effect.void : removeTemporary)
    yield* removeTemporary
    const target = yield* job.onDisk(openScoped(job.temporary, "create"))
    yield* job.onDisk(target.restrict(permissions))
    const startNanos = job.options.telemetry.nowNanos()
    const writing: Effect.Effect<Pick<Frozen, "coldBytes" | "facts">, StepError, Disk | Scope.Scope> =
      job.compression === "frame" ? writeFrame(job, source, bytes, target) : writeBlock(job, source, bytes, target)
    const { coldBytes, facts } = yield* Effect.onExit(
      writing,
      (exit) => Effect.sync(() => job.options.telemetry.onHotSegmentCompression(Exit.isSuccess(exit), startNanos))
    )
    yield* job.onDisk(target.sync)
    // An earlier executor that compressed in the other form may have left it; two would be one cold file too many.
    yield* job.onDisk(removeIfThere(job.otherCold))
    yield* job.onDisk(moveName(job.options.directory.path, job.temporary, job.cold))
    const frozen: Frozen = { hotBytes: bytes, coldBytes, facts }
    return frozen
  }))
})

/** A `.lz4` that already has its name was made by an earlier executor; it is trusted only after the same proof. */
const proveAgain = Effect.fnUntraced(function*(job: FreezeJob, coldBytes: number) {
  const disk = yield* Disk
  const proved = yield* Effect.result(readBackWhole(job, job.cold))
  if (proved._tag === "Failure") {
    const error = proved.failure
    if (error.reason._tag !== "VerifyFailed" && error.reason._tag !== "Corrupt") return yield* error
    // The .wal may still be intact: its new cold file replaces the bad one. If it is not, both stay as they are.
    return yield* compressAndRename(job)
  }
  const { contentBytes, contentHash, facts } = proved.success
  const original = yield* Effect.scoped(Effect.gen(function*() {
    const source = yield* openScoped(job.hot, "read")
    const { bytes } = yield* source.stat
    const hash = makeXxh32()
    const buffer = new Uint8Array(pieceBytes)
    for (let offset = 0; offset < bytes; offset += buffer.length) {
      const read = yield* readFully(source, buffer.subarray(0, Math.min(buffer.length, bytes - offset)), offset)
      hash.update(buffer.subarray(0, read))
    }
    return { bytes, hash: hash.digest() }
  })).pipe(Effect.catchReason("DiskError", "NotFound", () => Effect.succeed(undefined)), job.onDisk)
  if (original !== undefined && (original.bytes !== contentBytes || original.hash !== contentHash)) {
    return yield* job.fail(
      new VerifyFailed({ detail: "it is not the compressed form of the .wal beside it" }),
      job.cold
    )
  }
  yield* job.onDisk(removeIfThere(job.otherCold))
  // The earlier executor may have died after a sync of the directory that failed, so a sync now would prove nothing.
  if (original !== undefined) {
    yield* job.onDisk(disk.rename(job.cold, job.temporary))
    yield* job.onDisk(moveName(job.options.directory.path, job.temporary, job.cold))
  }
  const frozen: Frozen = { hotBytes: contentBytes, coldBytes, facts }
  return frozen
})

/** Block compression: the whole segment is one block, so it is in memory as a whole. */
const writeBlock = Effect.fnUntraced(function*(job: FreezeJob, source: DiskFile, bytes: number, target: DiskFile) {
  const compressor = yield* Compressor
  const content = takePiece(bytes).subarray(0, bytes)
  const read = yield* job.onDisk(readFully(source, content, 0))
  if (read < bytes) return yield* job.fail(new Corrupt({ detail: `it became shorter than ${bytes} bytes` }), job.hot)
  const compressed = yield* settle(
    () => compressor.compress(content, compressOptions[job.options.pressure.isAwaited() ? "awaited" : "free"]),
    (cause) => job.fail(new CompressFailed({ detail: String(cause) }), job.hot, cause)
  )
  const coldBytes = yield* job.onDisk(writeFully(target, [compressed], 0))
  compressor.release(compressed)
  const back = yield* readBackWhole(job, job.temporary)
  const hash = makeXxh32().update(content).digest()
  if (back.contentBytes !== bytes || back.contentHash !== hash) {
    return yield* job.fail(new VerifyFailed({ detail: "the content differs" }), job.temporary)
  }
  return { coldBytes, facts: back.facts }
})

/** Reads a cold file as a replay does, from its first byte to its last, and proves what is in it. */
const readBackWhole = Effect.fnUntraced(function*(job: FreezeJob, path: string) {
  const proof = (yield* SegmentProof).begin(job.segmentIndex)
  const content = yield* job.onRead(openContent(job.asCold(path), () => false, job.options.memory))
  const hash = makeXxh32()
  const buffer = new Uint8Array(pieceBytes)
  let contentBytes = 0
  while (true) {
    const count = yield* job.onRead(content.read(buffer))
    if (count === 0) break
    const piece = buffer.subarray(0, count)
    hash.update(piece)
    proof.push(piece)
    contentBytes += count
    yield* Effect.yieldNow
  }
  return { contentBytes, contentHash: hash.digest(), facts: yield* verdict(job, proof.end()) }
}, Effect.scoped)
