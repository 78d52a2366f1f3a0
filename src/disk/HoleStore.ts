/**
 * `wal_holes.json`: the acknowledged holes of a log. A hole is where events are lost: the segment that had them was
 * damaged, and was moved to `quarantine/`. To acknowledge it is to write down here which events those are, so that
 * readers can tell a loss that is known from a fault that is not.
 *
 * The file has one writer, the holder of the directory's lock. It is replaced as a whole: temporary file, sync, rename,
 * directory sync. It is a hint with a checksum, and the directory decides: a hole is believed only where segments are
 * missing, or do not continue each other, by exactly the events that it names. So an absent, rotten or crafted file
 * changes no id and no event.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { hex } from "../format/SegmentHeader.ts"
import { segmentIndexMax } from "../format/SegmentName.ts"
import { whole } from "../internal/options.ts"
import { xxh64 } from "../internal/xxh64.ts"
import { openScoped, readFully } from "./Disk.ts"
import type { Disk, DiskError } from "./Disk.ts"
import { holesName, holesTemporaryName } from "./FileNames.ts"
import { replaceFile } from "./ReplaceFile.ts"
import { pathIn } from "./SegmentDirectory.ts"

const segmentIndex = whole("number", 0, segmentIndexMax)
const eventId = whole("number", 0, Number.MAX_SAFE_INTEGER)

/**
 * An acknowledged hole: where events are lost, and where the segments that had them are. Plain data.
 *
 * @since 0.1.0
 * @category models
 */
export const AcknowledgedHole = Schema.Struct({
  /** The damaged segments that were moved away. Of the first, its whole blocks may still be in place. */
  firstSegmentIndex: segmentIndex,
  lastSegmentIndex: segmentIndex,
  /** The first event that is lost. 1 when nothing older was left that tells where the hole begins. */
  firstEventId: eventId,
  /** The last event that is lost; one less than `firstEventId` when the segments had no event. */
  lastEventId: eventId,
  /** Where the damaged segments are, from the log's directory on, as in `quarantine/2026-01-31T12-00-00-000Z`. */
  quarantine: Schema.Array(Schema.String)
})

/**
 * The type of {@link AcknowledgedHole}.
 *
 * @since 0.1.0
 * @category models
 */
export type AcknowledgedHole = typeof AcknowledgedHole.Type

/** What was found. */
interface FoundHoles {
  /** By segment index. */
  readonly holes: ReadonlyArray<AcknowledgedHole>
  /** Why a file that is there is not intact; empty otherwise. */
  readonly fault: string
}

/** A larger file is not believed to be ours: a hole takes some 200 bytes. */
const fileBytesMax = 4 * 1024 * 1024

const HolesJson = Schema.fromJsonString(
  Schema.Struct({ holes: Schema.Array(AcknowledgedHole), checksum: Schema.String })
)

/** XXH64 of the holes, as JSON. */
const checksumOf = (holes: ReadonlyArray<AcknowledgedHole>): string => hex(xxh64(Buffer.from(JSON.stringify(holes))))

/** Reads the holes of a directory. Something else in the file's place, or what may not be read, is not intact. */
export const read = (directory: string): Effect.Effect<FoundHoles, DiskError, Disk> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* openScoped(pathIn(directory, holesName), "read")
    const bytes = new Uint8Array(Math.min(fileBytesMax, (yield* file.stat).bytes))
    const text = Buffer.from(bytes.subarray(0, yield* readFully(file, bytes, 0))).toString()
    const decoded = Option.filter(
      Schema.decodeUnknownOption(HolesJson)(text),
      ({ checksum, holes }) => checksum === checksumOf(holes) && areInOrder(holes)
    )
    return Option.match(decoded, {
      onNone: () => none(`${holesName} is not intact`),
      onSome: ({ holes }): FoundHoles => ({ holes, fault: "" })
    })
  })).pipe(
    // Any other failure may pass, and must not make its writer forget what is in the file.
    Effect.catchIf(
      ({ reason }) => notReadable.has(reason._tag),
      ({ message, reason }) => Effect.succeed(none(reason._tag === "NotFound" ? "" : message))
    )
  )

const notReadable: ReadonlySet<string> = new Set(["NotFound", "Unsafe", "IsDirectory", "Denied"])

const none = (fault: string): FoundHoles => ({ holes: [], fault })

const areInOrder = (holes: ReadonlyArray<AcknowledgedHole>): boolean =>
  holes.every((hole, at) =>
    hole.firstSegmentIndex <= hole.lastSegmentIndex && hole.firstEventId <= hole.lastEventId + 1 &&
    hole.firstSegmentIndex > (holes[at - 1]?.lastSegmentIndex ?? -1)
  )

/** The bytes of the file. */
export const encode = (holes: ReadonlyArray<AcknowledgedHole>): Uint8Array =>
  Buffer.from(`${JSON.stringify({ holes, checksum: checksumOf(holes) })}\n`)

/** Replaces the holes of a directory, durably and atomically. The caller holds the directory's lock. */
export const write = (
  directory: string,
  holes: ReadonlyArray<AcknowledgedHole>
): Effect.Effect<void, DiskError, Disk> => replaceFile(directory, holesName, holesTemporaryName, encode(holes))

/**
 * The holes with more of them: those that touch each other, in segments and in events, become one. In the order of
 * their segments.
 */
export const merge = (
  holes: ReadonlyArray<AcknowledgedHole>,
  added: ReadonlyArray<AcknowledgedHole>
): ReadonlyArray<AcknowledgedHole> => {
  const merged: Array<AcknowledgedHole> = []
  for (const hole of [...holes, ...added].sort(bySegment)) {
    const before = merged.at(-1)
    const isOne = before !== undefined && (hole.firstSegmentIndex <= before.lastSegmentIndex ||
      hole.firstSegmentIndex === before.lastSegmentIndex + 1 && hole.firstEventId <= before.lastEventId + 1)
    if (before === undefined || !isOne) merged.push(hole)
    else merged[merged.length - 1] = union(before, hole)
  }
  return merged
}

const bySegment = (a: AcknowledgedHole, b: AcknowledgedHole): number => a.firstSegmentIndex - b.firstSegmentIndex

const union = (a: AcknowledgedHole, b: AcknowledgedHole): AcknowledgedHole => ({
  firstSegmentIndex: a.firstSegmentIndex,
  lastSegmentIndex: Math.max(a.lastSegmentIndex, b.lastSegmentIndex),
  firstEventId: Math.min(a.firstEventId, b.firstEventId),
  lastEventId: Math.max(a.lastEventId, b.lastEventId),
  quarantine: [...new Set([...a.quarantine, ...b.quarantine])]
})

/** The holes that are still between two segments, or before the oldest one, of a log whose oldest segment this is. */
export const since = (
  holes: ReadonlyArray<AcknowledgedHole>,
  oldestIndex: number
): ReadonlyArray<AcknowledgedHole> => holes.filter(({ lastSegmentIndex }) => lastSegmentIndex + 1 >= oldestIndex)
