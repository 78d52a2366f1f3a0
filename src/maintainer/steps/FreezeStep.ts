/**
 * Hot becomes cold. The order of effects, each arrow meaning "durable before":
 *
 * ```text
 * .wal synced → .lz4.tmp written → read back, decoded, proved, compared → .lz4.tmp synced → renamed to .lz4
 *             → directory synced → .wal unlinked → directory synced
 * ```
 *
 * A failure or an interruption at any point leaves the `.wal` in place and removes the `.tmp`. Doing the step again is
 * always right: when the `.lz4` already stands (a crash between the rename and the unlink), it is proved and compared
 * again before the `.wal` goes.
 *
 * Reading back overlaps with compressing: a piece is decoded from the file while later ones are compressed. What is
 * compared: the length, the XXH32 of the content (of the `.wal` as it was read against the decoded bytes), and the
 * segment's own proof over the decoded bytes, which follows every checksum and the chain. Frame compression keeps fewer
 * than 16 pieces of 1 MiB in memory, whatever the segment's size; block compression keeps the whole segment. Syncing
 * overlaps too: what is written is synced every MiB, and once more at the end.
 *
 * Persisting goes on meanwhile, mostly in the same thread: each part of the work on a piece is a turn of its own of the event
 * loop, and see `FreezePace` for what is done one after the other while commits come.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import { Disk, openScoped, readFully, removeIfThere, writeFully } from "../../disk/Disk.ts"
import type { DiskError, DiskFile } from "../../disk/Disk.ts"
import type { SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import { blockChunks, blockField, frameEnd, frameHeader, pieceBytes } from "../../format/lz4/Lz4Frame.ts"
import { Lz4FrameDecoder } from "../../format/lz4/Lz4FrameDecoder.ts"
import { formatFault, isSegmentFault } from "../../format/SegmentFault.ts"
import type { Compression } from "../../format/SegmentName.ts"
import { makeXxh32 } from "../../internal/xxh64.ts"
import type { SegmentMaintainerUpdater } from "../../telemetry/SegmentMaintainerUpdater.ts"
import { Compressor, settle } from "../Compressor.ts"
import { keepPiece, takePiece } from "../compressor/PieceMemory.ts"
import * as FreezePace from "./FreezePace.ts"
import type { SegmentFacts } from "./SegmentProof.ts"
import { SegmentProof } from "./SegmentProof.ts"
import { fromDisk, StepError } from "./StepError.ts"
import type { StepReason } from "./StepError.ts"

/**
 * What freezing needs to know beside the segment's index.
 *
 * @since 0.1.0
 * @category models
 */
export interface FreezeOptions {
  readonly directory: SegmentDirectory
  readonly compression: Compression
  readonly telemetry: SegmentMaintainerUpdater
  readonly pressure: FreezePace.Pressure
  /** Paths of `.tmp` files that failed freezes could not remove either. Whoever ends after them removes them. */
  readonly leftBehind: Set<string>
}

/**
 * What a freeze has done.
 *
 * @since 0.1.0
 * @category models
 */
export interface Frozen {
  readonly hotBytes: number
  readonly coldBytes: number
  readonly facts: SegmentFacts
}

const piecesInFlightMax = 2

/**
 * A sync is begun, beside the compressing, whenever so much is written and not yet asked to be synced. The last sync then has
 * little left to wait for, and a commit's sync, which waits behind it, waits for little: its p99 beside a writer that syncs
 * every 4 MiB was 2.1 to 2.7 times the idle one, every MiB 1.2 to 1.4 times.
 */
const unsyncedBytesMax = 1024 * 1024

/** One segment's freeze: the paths, and errors that name them. */
interface Job {
  readonly pressure: FreezePace.Pressure
  readonly leftBehind: Set<string>
  readonly telemetry: SegmentMaintainerUpdater
  readonly segmentIndex: number
  readonly compression: Compression
  readonly directory: string
  readonly hot: string
  readonly temporary: string
  readonly cold: string
  readonly otherCold: string
  readonly fail: (reason: StepReason, path: string, detail: string, cause?: unknown) => StepError
}

const makeJob = (options: FreezeOptions, segmentIndex: number): Job => {
  const { compression, directory } = options
  return {
    pressure: options.pressure,
    leftBehind: options.leftBehind,
    telemetry: options.telemetry,
    segmentIndex,
    compression,
    directory: directory.path,
    hot: directory.hotPath(segmentIndex),
    temporary: directory.freezingPath(segmentIndex, compression),
    cold: directory.coldPath(segmentIndex, compression),
    otherCold: directory.coldPath(segmentIndex, compression === "frame" ? "block" : "frame"),
    fail: (reason, path, detail, cause) => new StepError({ step: "freeze", reason, segmentIndex, path, detail, cause })
  }
}

/**
 * Freezes one closed segment. Interruptible; see the order of effects above.
 *
 * @since 0.1.0
 * @category steps
 */
export const freeze = Effect.fn("SegmentSteps.freeze")(function*(options: FreezeOptions, segmentIndex: number) {
  yield* Effect.annotateCurrentSpan("segmentIndex", segmentIndex)
  const job = makeJob(options, segmentIndex)
  const disk = yield* Disk
  const onDisk = Effect.mapError(fromDisk("freeze", segmentIndex))

  const existing = yield* disk.stat(job.cold).pipe(
    Effect.map((stat) => stat.bytes),
    Effect.catchIf((error) => error.reason === "NotFound", () => Effect.succeed(undefined)),
    onDisk
  )
  const done = yield* existing === undefined ? compressAndRename(job) : proveAgain(job, existing)
  yield* onDisk(removeIfThere(job.hot))
  yield* onDisk(disk.syncDirectory(job.directory))
  return done
})

const compressAndRename = Effect.fnUntraced(function*(job: Job) {
  const disk = yield* Disk
  const onDisk = Effect.mapError(fromDisk("freeze", job.segmentIndex))
  return yield* Effect.scoped(Effect.gen(function*() {
    const source = yield* onDisk(openScoped(job.hot, "read"))
    const { bytes } = yield* onDisk(source.stat)
    if (bytes === 0) return yield* job.fail("Corrupt", job.hot, "an empty file")
    yield* onDisk(source.sync)
    const removeTemporary = Effect.match(removeIfThere(job.temporary), {
      onFailure: () => void job.leftBehind.add(job.temporary),
      onSuccess: () => void job.leftBehind.delete(job.temporary)
    })
    yield* Effect.addFinalizer((exit) => Exit.isSuccess(exit) ? Effect.void : removeTemporary)
    yield* removeTemporary
    const target = yield* onDisk(openScoped(job.temporary, "create"))
    const startNanos = job.telemetry.nowNanos()
    const { coldBytes, facts } = yield* (job.compression === "frame"
      ? writeFrame(job, source, bytes, target)
      : writeBlock(job, source, bytes, target)).pipe(
        Effect.onExit((exit) =>
          Effect.sync(() => job.telemetry.onHotSegmentCompression(Exit.isSuccess(exit), startNanos))
        )
      )
    yield* onDisk(target.sync)
    // A predecessor that compressed in the other form may have left it; two would be one cold file too many.
    yield* onDisk(removeIfThere(job.otherCold))
    yield* onDisk(disk.rename(job.temporary, job.cold))
    yield* onDisk(disk.syncDirectory(job.directory))
    const frozen: Frozen = { hotBytes: bytes, coldBytes, facts }
    return frozen
  }))
})

/** A `.lz4` that already has its name was made by a predecessor; it is believed only after the same proof. */
const proveAgain = Effect.fnUntraced(function*(job: Job, coldBytes: number) {
  const disk = yield* Disk
  const onDisk = Effect.mapError(fromDisk("freeze", job.segmentIndex))
  const proved = yield* Effect.result(Effect.scoped(Effect.gen(function*() {
    const cold = yield* onDisk(openScoped(job.cold, "read"))
    return yield* readBackWhole(job, cold, coldBytes)
  })))
  if (proved._tag === "Failure") {
    const error = proved.failure
    if (error.reason !== "VerifyFailed" && error.reason !== "Corrupt") return yield* error
    // The .wal may still be whole: its new cold file takes the place of the bad one. If it is not, both stay as they are.
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
  })).pipe(Effect.catchIf((error) => error.reason === "NotFound", () => Effect.succeed(undefined)), onDisk)
  if (original !== undefined && (original.bytes !== contentBytes || original.hash !== contentHash)) {
    return yield* job.fail("VerifyFailed", job.cold, "it is not the compressed form of the .wal beside it")
  }
  yield* onDisk(removeIfThere(job.otherCold))
  // A predecessor may have died, or failed, between the rename and the sync of the directory.
  yield* onDisk(disk.syncDirectory(job.directory))
  const frozen: Frozen = { hotBytes: contentBytes, coldBytes, facts }
  return frozen
})

/** A block of the frame that lies in the file and waits to be read back. */
interface WrittenPiece {
  readonly offset: number
  readonly bytes: number
  readonly contentBytes: number
}

/** A piece that is being compressed: its memory, the content in it, and what comes of it. */
interface PieceInFlight {
  readonly piece: Uint8Array
  readonly content: Uint8Array
  readonly result: Promise<Uint8Array> | Uint8Array
}

const writeFrame = Effect.fnUntraced(function*(job: Job, source: DiskFile, bytes: number, target: DiskFile) {
  const written = yield* Queue.bounded<WrittenPiece>(piecesInFlightMax)
  const pace = yield* FreezePace.make(job.pressure)
  const [coldBytes, facts] = yield* Effect.all([
    writePieces(job, pace, source, bytes, target, written),
    readBackPieces(job, pace, target, bytes, written)
  ], { concurrency: "unbounded" })
  if (coldBytes.contentHash !== facts.contentHash) {
    return yield* job.fail("VerifyFailed", job.temporary, "the content hash differs")
  }
  return { coldBytes: coldBytes.fileBytes, facts: facts.facts }
})

const writePieces = Effect.fnUntraced(function*(
  job: Job,
  pace: FreezePace.FreezePace,
  source: DiskFile,
  bytes: number,
  target: DiskFile,
  written: Queue.Enqueue<WrittenPiece>
) {
  const compressor = yield* Compressor
  const onDisk = Effect.mapError(fromDisk("freeze", job.segmentIndex))
  const compressFailed = (cause: unknown) => job.fail("CompressFailed", job.hot, String(cause), cause)
  const hash = makeXxh32()
  const inFlight: Array<PieceInFlight> = []
  const early = yield* makeEarlySync(target.sync)
  let fileBytes = yield* onDisk(writeFully(target, [frameHeader(bytes)], 0))

  const writeOldest = Effect.gen(function*() {
    const oldest = inFlight.shift()
    if (oldest === undefined) return
    const compressed = yield* settle(() => oldest.result, compressFailed)
    const chunks = blockChunks(oldest.content, compressed)
    const length = yield* onDisk(writeFully(target, chunks, fileBytes))
    yield* Queue.offer(written, { offset: fileBytes, bytes: length, contentBytes: oldest.content.length })
    fileBytes += length
    yield* onDisk(early.wrote(length))
    compressor.release(compressed)
    keepPiece(oldest.piece)
  })

  for (let offset = 0; offset < bytes; offset += pieceBytes) {
    if (inFlight.length === piecesInFlightMax) yield* writeOldest
    const wanted = Math.min(pieceBytes, bytes - offset)
    const piece = takePiece()
    const content = piece.subarray(0, wanted)
    const read = yield* onDisk(readFully(source, content, offset))
    if (read < wanted) return yield* job.fail("Corrupt", job.hot, `it became shorter than ${bytes} bytes`)
    yield* Effect.yieldNow
    hash.update(content)
    yield* Effect.yieldNow
    const now = pace.look()
    const compress = () => compressor.compress(content, now)
    const result = yield* now === "givesWay"
      ? pace.inTurn(settle(compress, compressFailed))
      : begin(compress, compressFailed)
    inFlight.push({ piece, content, result })
  }
  while (inFlight.length > 0) yield* writeOldest
  yield* onDisk(early.join)
  const contentHash = hash.digest()
  fileBytes += yield* onDisk(writeFully(target, [frameEnd(contentHash)], fileBytes))
  return { fileBytes, contentHash }
})

/**
 * Syncs while writing goes on, one sync at a time. A sync that fails fails the freeze: what it had to make durable, no later
 * one can be trusted with.
 */
const makeEarlySync = Effect.fnUntraced(function*(sync: DiskFile["sync"]) {
  let fiber: Fiber.Fiber<void, DiskError> | undefined
  let unsyncedBytes = 0
  const join = Effect.suspend(() => fiber === undefined ? Effect.void : Fiber.join(fiber))
  const scope = yield* Effect.scope
  return {
    join,
    wrote: Effect.fnUntraced(function*(bytes: number) {
      unsyncedBytes += bytes
      if (unsyncedBytes < unsyncedBytesMax || (fiber !== undefined && fiber.pollUnsafe() === undefined)) return
      yield* join
      unsyncedBytes = 0
      fiber = yield* Effect.forkIn(sync, scope)
    })
  }
})

/** Starts work that may run on another thread. A rejection that nobody waits for any more is no unhandled one. */
const begin = <A>(run: () => Promise<A> | A, onFailure: (cause: unknown) => StepError) =>
  Effect.try({
    try: () => {
      const result = run()
      if (result instanceof Promise) result.catch(() => {})
      return result
    },
    catch: onFailure
  })

const readBackPieces = Effect.fnUntraced(function*(
  job: Job,
  pace: FreezePace.FreezePace,
  target: DiskFile,
  sourceBytes: number,
  written: Queue.Dequeue<WrittenPiece>
) {
  const compressor = yield* Compressor
  const onDisk = Effect.mapError(fromDisk("freeze", job.segmentIndex))
  const proof = (yield* SegmentProof).begin(job.segmentIndex)
  const hash = makeXxh32()
  const piece = takePiece()
  for (let proved = 0; proved < sourceBytes; proved += pieceBytes) {
    const { bytes, contentBytes, offset } = yield* Queue.take(written)
    const block = piece.subarray(0, bytes)
    const read = yield* onDisk(readFully(target, block, offset))
    if (read < bytes) return yield* job.fail("VerifyFailed", job.temporary, "it is shorter than what was written")
    const view = new DataView(block.buffer, block.byteOffset, block.byteLength)
    const field = blockField(view.getUint32(0, true))
    if (field === undefined || field.dataBytes !== bytes - 4) {
      return yield* job.fail("VerifyFailed", job.temporary, `the block at ${offset} has another length`)
    }
    yield* pace.inTurn(Effect.gen(function*() {
      yield* Effect.yieldNow
      let content: Uint8Array = block.subarray(4)
      if (!field.storedRaw) {
        // The native decoder wants the content's size where the frame has the block's.
        view.setUint32(0, contentBytes, true)
        content = yield* settle(
          () => compressor.uncompress(block, pace.last()),
          (cause) => job.fail("VerifyFailed", job.temporary, `the block at ${offset}: ${String(cause)}`, cause)
        )
      }
      if (content.length !== contentBytes) {
        return yield* job.fail("VerifyFailed", job.temporary, `the block at ${offset} has another content`)
      }
      yield* Effect.yieldNow
      hash.update(content)
      yield* Effect.yieldNow
      proof.push(content)
      if (!field.storedRaw) compressor.release(content)
    }))
  }
  keepPiece(piece)
  return { contentHash: hash.digest(), facts: yield* verdict(job, proof.end()) }
})

const verdict = (job: Job, end: ReturnType<ReturnType<typeof SegmentProof["Service"]["begin"]>["end"]>) =>
  isSegmentFault(end) ? Effect.fail(job.fail("Corrupt", job.hot, formatFault(end))) : Effect.succeed(end)

/** Block compression: the whole segment is one block, so it is in memory as a whole. */
const writeBlock = Effect.fnUntraced(function*(job: Job, source: DiskFile, bytes: number, target: DiskFile) {
  const compressor = yield* Compressor
  const onDisk = Effect.mapError(fromDisk("freeze", job.segmentIndex))
  const content = new Uint8Array(bytes)
  const read = yield* onDisk(readFully(source, content, 0))
  if (read < bytes) return yield* job.fail("Corrupt", job.hot, `it became shorter than ${bytes} bytes`)
  const compressed = yield* settle(
    () => compressor.compress(content, job.pressure.isAwaited() ? "awaited" : "free"),
    (cause) => job.fail("CompressFailed", job.hot, String(cause), cause)
  )
  const coldBytes = yield* onDisk(writeFully(target, [compressed], 0))
  const back = yield* readBackWhole(job, target, coldBytes)
  const hash = makeXxh32().update(content).digest()
  if (back.contentBytes !== bytes || back.contentHash !== hash) {
    return yield* job.fail("VerifyFailed", job.temporary, "the content differs")
  }
  return { coldBytes, facts: back.facts }
})

/** Decodes a cold file from its beginning to its end and proves what is in it. */
const readBackWhole = Effect.fnUntraced(function*(job: Job, cold: DiskFile, coldBytes: number) {
  const compressor = yield* Compressor
  const onDisk = Effect.mapError(fromDisk("freeze", job.segmentIndex))
  const verifyFailed = (cause: unknown) => job.fail("VerifyFailed", cold.path, String(cause), cause)
  const proof = (yield* SegmentProof).begin(job.segmentIndex)
  const hash = makeXxh32()
  let contentBytes = 0
  const take = (content: Uint8Array) => {
    hash.update(content)
    proof.push(content)
    contentBytes += content.length
  }
  if (job.compression === "block") {
    const file = new Uint8Array(coldBytes)
    yield* onDisk(readFully(cold, file, 0))
    take(yield* settle(() => compressor.uncompress(file, "free"), verifyFailed))
  } else {
    const decoder = new Lz4FrameDecoder()
    const buffer = new Uint8Array(pieceBytes)
    for (let offset = 0; offset < coldBytes; offset += buffer.length) {
      const read = yield* onDisk(readFully(cold, buffer, offset))
      yield* Effect.try({
        try: () => {
          for (const content of decoder.push(buffer.subarray(0, read))) take(content)
        },
        catch: verifyFailed
      })
    }
    yield* Effect.try({ try: () => decoder.end(), catch: verifyFailed })
  }
  return { contentBytes, contentHash: hash.digest(), facts: yield* verdict(job, proof.end()) }
})
