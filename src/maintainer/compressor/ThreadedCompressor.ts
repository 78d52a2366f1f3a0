/**
 * Compresses in a thread of its own, which all threads that compress share. It asks on a line that it gets from the
 * exchange, and for another line when the thread at its end must leave the idle class (see `CompressorPriority`). Where
 * no such thread can start, it compresses on the asking thread: segments that stay hot would stop the recording at
 * their limit.
 */
import { compressSync, uncompressSync } from "lz4-napi"
import { types } from "node:util"
import { releaseNative } from "../../format/lz4/Lz4Block.ts"
import { pieceBytes } from "../../format/lz4/Lz4Frame.ts"
import { messageOf } from "../../internal/messageOf.ts"
import type { LineEnd } from "./CompressingThread.ts"
import { CompressorExchange } from "./CompressorExchange.ts"
import type { Subscriber, Subscription } from "./CompressorExchange.ts"
import { CompressorLine } from "./CompressorLine.ts"
import { compressedBytesMax, forgetPieces, keepPiece, takePiece } from "./PieceMemory.ts"

/**
 * How much a result is wanted. A compressor may ignore it.
 *
 * @since 0.1.0
 * @category models
 */
export interface CompressOptions {
  /**
   * - `true`: something waits for the result
   * - `false`: it may take as long as processors are wanted for anything else, and the asking thread has other work to
   *   do
   * - not given: neither
   */
  readonly urgent?: boolean
}

/** A log that is opened again within this time finds the thread, which takes 60 ms of a processor to start. */
const endsAfterMillis = 1000

/** A program that opens a log for less than this and freezes nothing starts no thread. */
const beginsAfterMillis = 1000

/** Compresses on the calling thread. */
export const compressHere = (bytes: Uint8Array): Uint8Array =>
  compressSync(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))

/** As the native library writes it in front of a block. */
const contentBytesOf = (bytes: Uint8Array): number =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true)

const release = (result: Uint8Array): void => {
  if (types.isSharedArrayBuffer(result.buffer)) keepPiece(result)
  else releaseNative(result)
}

/**
 * A compressor that gets its lines by a subscription. `subscribe` is called at its first use, and again after its last
 * user has ended.
 */
export const make = (subscribe: (subscriber: Subscriber) => Subscription) => {
  /** By the numbers of their threads: the present one, and those on which an answer is due. */
  const lines = new Map<number, CompressorLine>()
  let present: CompressorLine | undefined
  let subscription: Subscription | undefined
  let coming: PromiseWithResolvers<CompressorLine | undefined> | undefined
  /** Why no thread starts. From then on pieces are compressed here, until the last user has ended. */
  let refusal: Error | undefined
  let users = 0
  let begun: Promise<void> | undefined
  /** The wait before the thread starts, and what ends it early. */
  let waiting: { readonly timer: NodeJS.Timeout; readonly end: () => void } | undefined
  let ending: NodeJS.Timeout | undefined

  const arrive = (line: CompressorLine | undefined): void => {
    coming?.resolve(line)
    coming = undefined
  }

  const subscriber: Subscriber = {
    connect: (end: LineEnd) => {
      const line = new CompressorLine(end, () => lines.delete(end.thread))
      lines.set(end.thread, line)
      present?.close()
      present = line
      arrive(line)
    },
    disconnect: (thread, error) => {
      if (present?.thread === thread) {
        present = undefined
        begun = undefined
      }
      const line = lines.get(thread)
      // It died as it started, and the next would too.
      if (line?.hasAnswered === false) refusal = error
      line?.fail(error)
    },
    refuse: (error) => {
      refusal = error
      arrive(undefined)
    }
  }

  /** A line to another thread than that one; 0: to any. None when no thread starts. */
  const another = (thread: number): Promise<CompressorLine | undefined> => {
    if (coming !== undefined) return coming.promise
    waiting?.end()
    coming = Promise.withResolvers()
    const { promise } = coming
    subscription ??= subscribe(subscriber)
    subscription.want(thread)
    return promise
  }

  const lineFor = async (urgent: boolean | undefined): Promise<CompressorLine | undefined> => {
    if (refusal !== undefined) return undefined
    const line = present ?? (await another(0))
    if (line === undefined) return undefined
    const onlyWhenIdle = line.priority.mustBeOnlyWhenIdle(urgent)
    if (line.priority.isOnlyWhenIdle && !onlyWhenIdle) return another(line.thread)
    if (onlyWhenIdle) line.priority.setOnlyWhenIdle()
    return line
  }

  // The first piece makes the native library take the memory that it keeps.
  const begin = async (): Promise<void> => {
    await new Promise<void>((resolve) => {
      const stopWaiting = (): void => {
        clearTimeout(waiting?.timer)
        waiting = undefined
        resolve()
      }
      waiting = { timer: setTimeout(stopWaiting, beginsAfterMillis).unref(), end: stopWaiting }
    })
    try {
      const line = await lineFor(undefined)
      if (line === undefined) throw refusal
      const piece = takePiece()
      const content = piece.subarray(0, pieceBytes)
      release(await line.ask("compress", content, compressedBytesMax(pieceBytes), false))
      keepPiece(piece)
    } catch (cause) {
      throw new Error(
        "the compressor's thread does not start, so segments are compressed in the thread of their maintainer, and " +
          `commits wait longer: ${messageOf(cause)}`,
        { cause }
      )
    }
  }

  const end = (): void => {
    subscription?.end()
    subscription = undefined
    present?.close()
    present = undefined
    refusal = undefined
    begun = undefined
    forgetPieces()
  }

  return {
    start: (): Promise<void> => {
      users += 1
      clearTimeout(ending)
      return begun ??= begin()
    },
    stop: (): void => {
      users -= 1
      if (users > 0) return
      if (waiting !== undefined) {
        clearTimeout(waiting.timer)
        waiting = undefined
        begun = undefined
      }
      ending = setTimeout(end, endsAfterMillis).unref()
    },
    compress: async (bytes: Uint8Array, { urgent }: CompressOptions = {}): Promise<Uint8Array> => {
      const line = await lineFor(urgent)
      if (line === undefined) return compressHere(bytes)
      try {
        return await line.ask("compress", bytes, compressedBytesMax(bytes.length))
      } catch (error) {
        if (refusal === undefined) throw error
        return compressHere(bytes)
      }
    },
    uncompress: (bytes: Uint8Array, { urgent }: CompressOptions = {}): Promise<Uint8Array> | Uint8Array =>
      urgent === false && present !== undefined
        ? present.ask("uncompress", bytes, contentBytesOf(bytes))
        : uncompressSync(bytes),
    release
  }
}

/** A compressor whose thread runs `module`, if there is one. The exchange is that of the calling thread. */
export const from = (module: () => URL | undefined) =>
  make((subscriber) => CompressorExchange.of(module()).subscribe(subscriber))
