/**
 * Lets the limit in age reach the events of a quiet log. Retention deletes closed segments, and never the newest one,
 * from which ids and chain continue. So while the age of segments is limited:
 *
 * - The active segment is handed over when its oldest event is due.
 * - When every event is due, and the active segment is empty, it is handed over as it is. It becomes a closed segment
 *   without events, and carries ids and chain in place of the one before it.
 *
 * No clock is read on the append path. The writer is looked at from time to time: the oldest event of a segment is
 * dated by the last look before it, and the newest by the first look after it. Of a segment that an earlier run has
 * begun, the wall clock tells how old it is. If that is wrong, the segment is handed over early, which deletes nothing
 * early, or as late as if it had begun now.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { elapsedMillis } from "../internal/elapsed.ts"
import { lookMillis } from "../maintainer/retention/SegmentAges.ts"
import type { SegmentMaintainer } from "../maintainer/SegmentMaintainer.ts"
import { ageMillis } from "./ContinuedSegment.ts"
import type { ContinuedSegment, SegmentWriter } from "./SegmentWriter.ts"

/** Runs until it is interrupted. */
export const rotateWhenDue = Effect.fnUntraced(function*(
  writer: SegmentWriter,
  maintainer: SegmentMaintainer["Service"],
  /** The active segment at the start, when an earlier run has begun it. */
  continued: ContinuedSegment | undefined
) {
  let lookedAt = yield* elapsedMillis
  /** The newest event, and the first look that knew it. */
  let newest = { eventId: writer.lastEventId, seenAt: lookedAt }
  /** The active segment while it has events, and the last look before its first one. */
  let active: { readonly segmentIndex: number; readonly begunAfter: number } | undefined = continued && {
    segmentIndex: writer.activeSegmentIndex,
    begunAfter: lookedAt - (yield* ageMillis(continued))
  }

  const look = (now: number, ageMillisMax: number): Effect.Effect<void> => {
    const segmentIndex = writer.activeSegmentIndex
    if (writer.lastEventId !== newest.eventId) newest = { eventId: writer.lastEventId, seenAt: now }
    if (writer.activeBytes === 0) {
      active = undefined
      return now - newest.seenAt > ageMillisMax ? endQuietLog(segmentIndex, ageMillisMax) : Effect.void
    }
    if (active?.segmentIndex !== segmentIndex) active = { segmentIndex, begunAfter: lookedAt }
    if (now - active.begunAfter < ageMillisMax || !writer.rotateUnsafe()) return Effect.void
    return maintainer.quietSince(segmentIndex, newest.seenAt)
  }

  const endQuietLog = (segmentIndex: number, ageMillisMax: number): Effect.Effect<void> =>
    Effect.map(maintainer.newest, (before) => {
      const isDue = before !== undefined && before.segmentIndex === segmentIndex - 1 && before.hasEvents &&
        before.ageMillis !== undefined && before.ageMillis > ageMillisMax
      if (isDue) writer.rotateEmptyUnsafe()
    })

  while (true) {
    const { limits: { ageMax } } = yield* maintainer.status
    const now = yield* elapsedMillis
    if (ageMax !== undefined) yield* look(now, Duration.toMillis(ageMax))
    lookedAt = now
    yield* Effect.sleep(lookMillis(ageMax))
  }
})
