/**
 * Writes the blocks of the next full segment to its `.tmp` while the one before it is being synced. A staged segment is
 * not synced, named or published before its turn. If the chain turns out to be another, or a flush was begun after it,
 * it is thrown away. Staging that fails does no harm: the segment is written when its turn comes.
 */
import * as Effect from "effect/Effect"
import { Disk, writeFully } from "../../disk/Disk.ts"
import type { DiskError, DiskFile } from "../../disk/Disk.ts"
import type { FormatVersion } from "../../format/SegmentHeader.ts"
import { headerBytesOf } from "../../format/SegmentHeader.ts"
import type { SealedBlocks, SealState } from "../../format/SegmentSealer.ts"

/** All blocks of a segment, in its file after room for the header. */
export interface StagedBlocks {
  readonly state: SealState
  /** Written, in bytes. */
  readonly bytes: number
}

/** A segment that was written before its turn. */
interface StagedSegment {
  readonly file: DiskFile
  readonly blocks: StagedBlocks
}

/** Holds at most one segment. */
interface SegmentStage {
  readonly isEmpty: () => boolean
  /** Writes all blocks of a segment, sealed for a chain with this start. Only while the stage is empty. */
  readonly put: (
    segmentIndex: number,
    chainStart: bigint,
    seal: Effect.Effect<SealedBlocks>
  ) => Effect.Effect<void, never, Disk>
  /**
   * The staged segment, if it is this one, whole, on this chain, and its flush is the last one that was begun; the
   * caller closes it. Otherwise the stage is emptied.
   */
  readonly take: (
    segmentIndex: number,
    chainStart: bigint,
    lastFlushNanos: bigint
  ) => Effect.Effect<StagedSegment | undefined, never, Disk>
  /** Throws away what is staged. */
  readonly discard: Effect.Effect<void, never, Disk>
}

/** An empty stage. `open` gives the `.tmp` of a segment. */
export const make = (
  version: FormatVersion,
  open: (segmentIndex: number) => Effect.Effect<DiskFile, DiskError, Disk>
): SegmentStage => {
  let staged: {
    readonly segmentIndex: number
    readonly chainStart: bigint
    readonly file: DiskFile
    /** `undefined` until every block is written. */
    blocks: StagedBlocks | undefined
  } | undefined

  const discard = Effect.suspend(() => {
    const discarded = staged
    staged = undefined
    if (discarded === undefined) return Effect.void
    const unlink = Disk.use((disk) => Effect.ignore(disk.unlink(discarded.file.path)))
    return Effect.andThen(discarded.file.close, unlink)
  })

  return {
    isEmpty: () => staged === undefined,
    put: Effect.fnUntraced(function*(segmentIndex, chainStart, seal) {
      // An open file is noted before anything may interrupt, so that it can be discarded.
      const begun = yield* Effect.uninterruptible(Effect.map(open(segmentIndex), (file) => {
        staged = { segmentIndex, chainStart, file, blocks: undefined }
        return staged
      }))
      const sealed = yield* seal
      const bytes = yield* writeFully(begun.file, sealed.parts.flat(), headerBytesOf(version))
      begun.blocks = { state: sealed.state, bytes }
    }, Effect.catch(() => discard)),
    take: (segmentIndex, chainStart, lastFlushNanos) =>
      Effect.suspend(() => {
        const ready = staged
        const isIt = ready?.blocks?.state.flushNanos === lastFlushNanos && ready.segmentIndex === segmentIndex &&
          ready.chainStart === chainStart
        if (!isIt || ready.blocks === undefined) return Effect.as(discard, undefined)
        staged = undefined
        return Effect.succeed({ file: ready.file, blocks: ready.blocks })
      }),
    discard
  }
}
