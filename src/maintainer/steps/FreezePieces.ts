/**
 * The pieces of a freeze, in frame compression: read, compressed and written one after the other, and read back,
 * decoded and proved while later ones are compressed. Fewer than 16 pieces of 1 MiB are in memory, whatever the
 * segment's size. Syncing overlaps too: what is written is synced every MiB.
 *
 * Persisting continues meanwhile, mostly in the same thread. So each part of the work on a piece has a turn of the
 * event loop of its own; `FreezePace` decides what is done one after the other while commits come.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import { types } from "node:util"
import { readFully, writeFully } from "../../disk/Disk.ts"
import type { DiskError, DiskFile } from "../../disk/Disk.ts"
import { blockChunks, blockField, frameEnd, frameHeader, pieceBytes } from "../../format/lz4/Lz4Frame.ts"
import { makeXxh32 } from "../../internal/xxh64.ts"
import { Compressor, settle } from "../Compressor.ts"
import { keepPiece, takePiece } from "../compressor/PieceMemory.ts"
import { verdict } from "./FreezeJob.ts"
import type { FreezeJob } from "./FreezeJob.ts"
import * as FreezePace from "./FreezePace.ts"
import { SegmentProof } from "./SegmentProof.ts"
import type { StepError } from "./StepError.ts"

const piecesInFlightMax = 2

/**
 * A sync starts, beside the compressing, whenever so much is written and not yet part of a sync. Then the last sync has
 * little left to do, and a commit's sync, which waits for it, waits only shortly: beside a writer that syncs every 4
 * MiB the p99 of a commit was 2.1 to 2.7 times the idle one, beside one that syncs every MiB 1.2 to 1.4 times.
 */
const unsyncedBytesMax = 1024 * 1024

/** A block of the frame that is in the file and waits to be read back. */
interface WrittenPiece {
  readonly offset: number
  readonly bytes: number
  readonly contentBytes: number
}

/** A piece that is being compressed: its memory, the content in it, and the result to come. */
interface PieceInFlight {
  readonly piece: Uint8Array
  readonly content: Uint8Array
  readonly result: Promise<Uint8Array> | Uint8Array
}

/** Writes a segment as a frame and proves what was written. */
export const writeFrame = Effect.fnUntraced(
  function*(job: FreezeJob, source: DiskFile, bytes: number, target: DiskFile) {
    const written = yield* Queue.bounded<WrittenPiece>(piecesInFlightMax)
    const pace = yield* FreezePace.make(job.options.pressure)
    const [coldBytes, facts] = yield* Effect.all([
      writePieces(job, pace, source, bytes, target, written),
      readBackPieces(job, pace, target, bytes, written)
    ], { concurrency: "unbounded" })
    if (coldBytes.contentHash !== facts.contentHash) {
      return yield* job.fail("VerifyFailed", job.temporary, "the content hash differs")
    }
    return { coldBytes: coldBytes.fileBytes, facts: facts.facts }
  }
)

const writePieces = Effect.fnUntraced(function*(
  job: FreezeJob,
  pace: FreezePace.FreezePace,
  source: DiskFile,
  bytes: number,
  target: DiskFile,
  written: Queue.Enqueue<WrittenPiece>
) {
  const compressor = yield* Compressor
  const compressFailed = (cause: unknown) => job.fail("CompressFailed", job.hot, String(cause), cause)
  const hash = makeXxh32()
  const inFlight: Array<PieceInFlight> = []
  const early = yield* makeEarlySync(target.sync)
  let fileBytes = yield* job.onDisk(writeFully(target, [frameHeader(bytes)], 0))

  const writeOldest = Effect.gen(function*() {
    const oldest = inFlight.shift()
    if (oldest === undefined) return
    const compressed = yield* settle(() => oldest.result, compressFailed)
    const chunks = blockChunks(oldest.content, compressed)
    const length = yield* job.onDisk(writeFully(target, chunks, fileBytes))
    yield* Queue.offer(written, { offset: fileBytes, bytes: length, contentBytes: oldest.content.length })
    fileBytes += length
    yield* job.onDisk(early.wrote(length))
    compressor.release(compressed)
    keepPiece(oldest.piece)
  })

  for (let offset = 0; offset < bytes; offset += pieceBytes) {
    if (inFlight.length === piecesInFlightMax) yield* writeOldest
    const wanted = Math.min(pieceBytes, bytes - offset)
    const piece = takePiece()
    const content = piece.subarray(0, wanted)
    const read = yield* job.onDisk(readFully(source, content, offset))
    if (read < wanted) return yield* job.fail("Corrupt", job.hot, `it became shorter than ${bytes} bytes`)
    yield* Effect.yieldNow
    hash.update(content)
    yield* Effect.yieldNow
    const now = pace.look()
    const compress = () => compressor.compress(content, FreezePace.compressOptions[now])
    const result = yield* now === "givesWay"
      ? pace.inTurn(settle(compress, compressFailed))
      : begin(compress, compressFailed)
    inFlight.push({ piece, content, result })
  }
  while (inFlight.length > 0) yield* writeOldest
  yield* job.onDisk(early.join)
  const contentHash = hash.digest()
  fileBytes += yield* job.onDisk(writeFully(target, [frameEnd(contentHash)], fileBytes))
  return { fileBytes, contentHash }
})

/**
 * Syncs while writing continues, one sync at a time. A sync that fails fails the freeze: no later sync can be trusted
 * with the bytes that it had to make durable.
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

/** Starts work that may run on another thread. It is handled even if it rejects after the freeze was interrupted. */
const begin = <A>(run: () => Promise<A> | A, onFailure: (cause: unknown) => StepError) =>
  Effect.try({
    try: () => {
      const result = run()
      if (types.isPromise(result)) result.catch(() => {})
      return result
    },
    catch: onFailure
  })

const readBackPieces = Effect.fnUntraced(function*(
  job: FreezeJob,
  pace: FreezePace.FreezePace,
  target: DiskFile,
  sourceBytes: number,
  written: Queue.Dequeue<WrittenPiece>
) {
  const compressor = yield* Compressor
  const proof = (yield* SegmentProof).begin(job.segmentIndex)
  const hash = makeXxh32()
  const piece = takePiece()
  for (let proved = 0; proved < sourceBytes; proved += pieceBytes) {
    const { bytes, contentBytes, offset } = yield* Queue.take(written)
    const block = piece.subarray(0, bytes)
    const read = yield* job.onDisk(readFully(target, block, offset))
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
          () => compressor.uncompress(block, FreezePace.compressOptions[pace.last()]),
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
