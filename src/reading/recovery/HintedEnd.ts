/**
 * How far a log has come: what its directory shows, and what the meta file adds to that. The directory decides. The
 * meta file is believed only about what is no longer there: events that were durable and are lost, whose ids are not
 * used again. What the directory contradicts is ignored, and so is what cannot have been lost, because no log loses so
 * many segments, or segments have no room for so many events. The acknowledged holes add which indices at the end are
 * taken: those of segments that were moved away without a loss.
 */
import * as Schema from "effect/Schema"
import { metaName } from "../../disk/FileNames.ts"
import type { AcknowledgedHole } from "../../disk/HoleStore.ts"
import type { FoundMeta, Meta } from "../../disk/MetaStore.ts"
import { eventIdMax, segmentIndexMax, segmentPayloadBytesMax } from "../../format/Limits.ts"

/**
 * A log has used nearly all segment indices or event ids that its format has. No log that was recorded gets there: a
 * file with such an index or such ids was renamed or made by something else.
 *
 * @since 0.1.0
 * @category errors
 */
export class LogExhausted extends Schema.TaggedError<LogExhausted>()("LogExhausted", {
  directory: Schema.String,
  lastSegmentIndex: Schema.Int,
  lastEventId: Schema.Int
}) {
  override get message(): string {
    return `${this.directory} has segment index ${this.lastSegmentIndex} and event id ${this.lastEventId}, which leaves ` +
      "too few for more; move the newest segment away if it does not belong here, or record into another directory"
  }
  /** A log does not become shorter at its new end. */
  get isRetryable(): boolean {
    return false
  }
}

/** An end of a log. */
interface LogEnd {
  readonly lastSegmentIndex: number
  readonly lastEventId: number
}

/** The end that the directory shows. */
interface ShownEnd extends LogEnd {
  /** The newest segment was closed when it was found, so nothing of it can be missing. */
  readonly isClosed: boolean
}

/** What comes of both. */
interface HintedEnd {
  readonly end: LogEnd
  /** Why the meta file is not believed; empty when it is, when it adds nothing, and when it is absent. */
  readonly ignored: string
}

/** A log that loses more of its newest segments at once than this loses its meta file, too. */
const lostSegmentsMax = 2 ** 20

/** Every event takes at least one byte of a segment's payload. */
const segmentEventsMax = segmentPayloadBytesMax

/** The end of a log that shows this end, and has this meta file. */
export const judge = ({ fault, meta }: FoundMeta, shown: ShownEnd): HintedEnd => {
  const end: LogEnd = { lastSegmentIndex: shown.lastSegmentIndex, lastEventId: shown.lastEventId }
  if (meta === undefined) return { end, ignored: fault }
  if (meta.lastEventId <= shown.lastEventId) return { end, ignored: "" }
  const because = whyNot(meta, shown)
  if (because !== undefined) {
    const claim = `event ${meta.lastEventId} in segment ${meta.lastSegmentIndex}`
    return { end, ignored: `${metaName} names ${claim}, but ${because}` }
  }
  return { end: { lastSegmentIndex: meta.lastSegmentIndex, lastEventId: meta.lastEventId }, ignored: "" }
}

/**
 * The last id that the meta file tells of a log of which nothing up to this segment is intact: then it is believed
 * about an earlier segment, too, of which it was written last.
 */
export const lastIdTold = (found: FoundMeta, lastSegmentIndex: number): number => {
  const { meta } = found
  const isEarlier = meta !== undefined && meta.lastSegmentIndex <= lastSegmentIndex && hasRoom(meta)
  return isEarlier
    ? meta.lastEventId
    : judge(found, { lastSegmentIndex, lastEventId: 0, isClosed: false }).end.lastEventId
}

const whyNot = (meta: Meta, shown: ShownEnd): string | undefined => {
  if (!hasRoom(meta)) return "no log comes so far"
  if (shown.lastSegmentIndex < 0) return undefined
  const lostSegments = meta.lastSegmentIndex - shown.lastSegmentIndex
  const isByRepair = meta.lastOffset === 0
  if (lostSegments < 0 || lostSegments === 0 && shown.isClosed && !isByRepair) {
    return `segment ${shown.lastSegmentIndex} is there and the log ends in it with event ${shown.lastEventId}`
  }
  const lostEvents = meta.lastEventId - shown.lastEventId
  return lostSegments > lostSegmentsMax || lostEvents > (lostSegments + 1) * segmentEventsMax
    ? `the log ends with event ${shown.lastEventId} in segment ${shown.lastSegmentIndex}, and no log loses so much`
    : undefined
}

/**
 * The end of a log, past segments behind it that were moved away without a loss: their places are acknowledged, so a
 * reader that meets them must not meet other segments there. No id changes by it.
 */
export const passAcknowledged = (end: LogEnd, holes: ReadonlyArray<AcknowledgedHole>): LogEnd => {
  const hole = holes.find(({ firstSegmentIndex, lastEventId, lastSegmentIndex }) =>
    firstSegmentIndex <= end.lastSegmentIndex + 1 && end.lastSegmentIndex < lastSegmentIndex &&
    lastSegmentIndex <= end.lastSegmentIndex + lostSegmentsMax && lastEventId === end.lastEventId
  )
  return hole === undefined ? end : { ...end, lastSegmentIndex: hole.lastSegmentIndex }
}

/** What is kept for a log to continue with: more than it can use. */
const indicesKept = 2 ** 20
const idsKept = 2 ** 40

/** Whether a log can continue after this end. */
export const hasRoom = ({ lastEventId, lastSegmentIndex }: LogEnd): boolean =>
  lastSegmentIndex <= segmentIndexMax - indicesKept && lastEventId <= eventIdMax - idsKept
