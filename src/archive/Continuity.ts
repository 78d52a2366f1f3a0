/**
 * How the rows of an archive continue each other: consecutive segments, in ids and chain, and holes that are
 * acknowledged.
 */
import type { AcknowledgedHole } from "../disk/HoleStore.ts"
import { firstIdFault, headerFault } from "../format/SegmentExpectations.ts"
import { formatFault } from "../format/SegmentFault.ts"
import type { SegmentHeader } from "../format/SegmentHeader.ts"
import type { HoleRow, Row } from "./Manifest.ts"

/** A row that is ready for the manifest, and where the log is after it. */
export interface Ready {
  readonly row: Row
  /** Of a segment; `undefined` when its bytes are not of this package's formats. */
  readonly header: SegmentHeader | undefined
  readonly end: LogEnd
}

/** Where the archived log ends. What is not known is `undefined`. */
export interface LogEnd {
  readonly chain: bigint | undefined
  readonly lastId: number | undefined
}

/** The event after which the log continues after a row. */
export const lastIdOf = (row: Row): number | undefined =>
  row.form === "none" || row.hole !== null
    ? row.hole?.lastEventId
    : row.lastId === 0
    ? undefined
    : row.lastId

/** A hole as a row has it: with one place in the quarantine, so that a manifest stays small. */
export const shortened = (hole: AcknowledgedHole): AcknowledgedHole => ({
  ...hole,
  quarantine: hole.quarantine.slice(0, 1)
})

/** The row of a segment that is lost with this hole. */
export const holeRow = (index: number, hole: AcknowledgedHole, livedSeconds: number): Ready => ({
  row: { index, form: "none", livedSeconds, hole: shortened(hole) } satisfies HoleRow,
  header: undefined,
  end: { chain: undefined, lastId: hole.lastEventId }
})

/** What is wrong with a row that does not continue what is before it; `undefined` when it does. */
export const breakBefore = ({ header, row }: Ready, before: LogEnd, walId: string): string | undefined => {
  const { chain, lastId } = before
  if (row.form === "none") {
    const { firstEventId } = row.hole
    if (lastId === undefined || firstEventId <= lastId + 1) return undefined
    return `the acknowledged hole begins with event ${firstEventId}, and the archive ends with ${lastId}`
  }
  if (header === undefined) return undefined
  const expected = {
    segmentIndex: row.index,
    walId: Buffer.from(walId, "hex"),
    ...(chain === undefined ? {} : { previousChainedChecksum: chain })
  }
  const fault = headerFault(expected, header) ??
    (lastId === undefined || row.lastId === 0 ? undefined : firstIdFault(header.version, lastId, row.firstId, 16))
  return fault === undefined
    ? undefined
    : `segment ${row.index} does not continue what is archived: ${formatFault(fault)}`
}
