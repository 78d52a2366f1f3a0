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
import { readFully, writeFully } from "../../disk/Disk.ts"
import type { DiskError, DiskFile } from "../../disk/Disk.ts"
import { contentBytesMaxOf } from "../../format/lz4/Lz4Block.ts"
import { blockChunks, frameEnd, frameHeader, pieceBytes } from "../../format/lz4/Lz4Frame.ts"
import { makeXxh32 } from "../../internal/xxh64.ts"
import { compressedReadBytes, makeFrameBlocks } from "../../reading/segment/FrameReader.ts"
import type { FrameBlock } from "../../reading/segment/FrameReader.ts"
import { decoding } from "../../reading/segment/SegmentCorrupt.ts"
import { begin, Compressor, settle } from "../Compressor.ts"
import type { RawCompressor } from "../Compressor.ts"
import { keepPiece, takePiece } from "../compressor/PieceMemory.ts"
import { verdict } from "./FreezeJob.ts"
import type { FreezeJob } from "./FreezeJob.ts"
import * as FreezePace from "./FreezePace.ts"
import { SegmentProof } from "./SegmentProof.ts"
import { CompressFailed, Corrupt, VerifyFailed } from "./StepReason.ts"

const piecesInFlightMax = 2

/**
 * A sync starts, beside the compressing, whenever so much is written and not yet part of a sync. Then the last sync has
 * little left to do, and a commit's sync, which waits for it, waits only shortly: beside a writer that syncs every 4
 * MiB the p99 of a commit was 2.1 to 2.7 times the idle one, beside one that syncs every MiB 1.2 to 1.4 times.
 */
const unsyncedBytesMax = 1024 * 1024

/** How far the frame is in the file, and can be read back. */
interface Written {
  readonly fileBytes: number
  readonly isWhole: boolean
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
    const written = yield* Queue.bounded<Written>(piecesInFlightMax)
    const pace = yield* FreezePace.make(job.options.pressure)
    const [coldBytes, facts] = yield* Effect.all([
      writePieces(job, pace, source, bytes, target, written),
      readBackPieces(job, pace, target, written)
    ], { concurrency: "unbounded" })
    return { coldBytes, facts }
  }
)

const writePieces = Effect.fnUntraced(function*(
  job: FreezeJob,
  pace: FreezePace.FreezePace,
  source: DiskFile,
  bytes: number,
  target: DiskFile,
  written: Queue.Enqueue<Written>
) {
  const compressor = yield* Compressor
  const compressFailed = (cause: unknown) => job.fail(new CompressFailed({ detail: String(cause) }), job.hot, cause)
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
    fileBytes += length
    yield* Queue.offer(written, { fileBytes, isWhole: false })
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
    if (read < wanted) return yield* job.fail(new Corrupt({ detail: `it became shorter than ${bytes} bytes` }), job.hot)
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
  fileBytes += yield* job.onDisk(writeFully(target, [frameEnd(hash.digest())], fileBytes))
  yield* Queue.offer(written, { fileBytes, isWhole: true })
  return fileBytes
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

/**
 * Reads the frame back by the reader of cold segments, from its header to the end of the file. The frame's checksum of
 * its content was made of the `.wal`: so what is decoded has the content of the `.wal`, or the reader refuses it.
 */
const readBackPieces = Effect.fnUntraced(function*(
  job: FreezeJob,
  pace: FreezePace.FreezePace,
  target: DiskFile,
  written: Queue.Dequeue<Written>
) {
  const compressor = yield* Compressor
  const proof = (yield* SegmentProof).begin(job.segmentIndex)
  let until: Written = { fileBytes: 0, isWhole: false }
  const readAt = Effect.fnUntraced(function*(bytes: Uint8Array, position: number) {
    while (position >= until.fileBytes && !until.isWhole) until = yield* Queue.take(written)
    return yield* readFully(target, until.isWhole ? bytes : bytes.subarray(0, until.fileBytes - position), position)
  })
  const file = job.asCold(job.temporary)
  const blocks = makeFrameBlocks({ file, readAt, chunkBytes: compressedReadBytes }, () => false, job.options.memory)
  const decode = (block: FrameBlock) =>
    pace.last() === "givesWay" && !block.header.linked ? decodeAside(job, compressor, block) : blocks.decode(block)
  while (true) {
    const block = yield* job.onRead(blocks.next)
    if (block === undefined) return yield* verdict(job, proof.end())
    yield* pace.inTurn(Effect.gen(function*() {
      yield* Effect.yieldNow
      const content = yield* job.onRead(decode(block))
      yield* Effect.yieldNow
      yield* job.onRead(blocks.check(block, content))
      yield* Effect.yieldNow
      proof.push(content)
      compressor.release(content)
    }))
  }
})

/** Decodes a block as `decodeBlock` does, in the compressing thread. */
const decodeAside = Effect.fnUntraced(function*(job: FreezeJob, compressor: RawCompressor, part: FrameBlock) {
  const { block, header, offset } = part
  const bound = yield* decoding(
    job.asCold(job.temporary),
    () => contentBytesMaxOf(block, header.blockBytesMax, offset)
  )
  if (bound === undefined) return new Uint8Array(block.subarray(4))
  const piece = takePiece(block.length)
  const sized = piece.subarray(0, block.length)
  sized.set(block)
  new DataView(sized.buffer, sized.byteOffset).setUint32(0, bound, true)
  const content = yield* settle(
    () => compressor.uncompress(sized, FreezePace.compressOptions.givesWay),
    (cause) => job.fail(new VerifyFailed({ detail: `the block at ${offset}: ${String(cause)}` }), job.temporary, cause)
  )
  keepPiece(piece)
  return content
})
