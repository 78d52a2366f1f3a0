/**
 * `wal_position_NAME.json`: a durable position in a log. Its owner no longer needs the events up to the one that it
 * names. So retention holds every later event, also after a restart and before the owner is back (see `DurableHolds`).
 *
 * The file is replaced as a whole: temporary file, sync, rename, directory sync. Its owner writes it, who has the lock
 * of the name; at a start also the holder of the directory's lock. It is a hint with a checksum, and the directory
 * decides: a position that is rotten, crafted, another's or ahead of the log is not believed. Then everything is held,
 * and the owner begins with the oldest event that is left. So a file that is wrong brings events again, and never skips
 * one.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { eventIdMax } from "../format/Limits.ts"
import { hex } from "../format/SegmentHeader.ts"
import { whole } from "../internal/options.ts"
import { xxh64 } from "../internal/xxh64.ts"
import { openScoped, readFully, removeIfThere } from "./Disk.ts"
import { Disk } from "./Disk.ts"
import type { DiskError } from "./Disk.ts"
import { positionName, positionTemporaryName } from "./FileNames.ts"
import { replaceFile } from "./ReplaceFile.ts"
import { pathIn } from "./SegmentDirectory.ts"

const amount = whole("number", 0, Number.MAX_SAFE_INTEGER)

/** A position, as its file has it. */
const StoredPosition = Schema.Struct({
  /** As in the file's name: a file that was given another name is not believed. */
  name: Schema.String,
  /** The last event that is no longer needed; 0 for none. */
  eventId: whole("number", 0, eventIdMax),
  /** What the position holds at most: segments of so many bytes, and those that were closed so long ago. */
  maxLagBytes: Schema.optionalKey(amount),
  maxLagMillis: Schema.optionalKey(amount)
})

/** A position, as its file has it. */
export type StoredPosition = typeof StoredPosition.Type

/** What was found. */
interface FoundPosition {
  /** `undefined` when the file is absent or not intact. */
  readonly position: StoredPosition | undefined
  /** Why a file that is there is not intact; empty otherwise. */
  readonly fault: string
}

/** A larger file is not believed to be ours. */
const fileBytesMax = 4096

const PositionJson = Schema.fromJsonString(Schema.Struct({ position: StoredPosition, checksum: Schema.String }))

/** XXH64 of the position, as JSON. */
const checksumOf = (position: StoredPosition): string => hex(xxh64(Buffer.from(JSON.stringify(position))))

/**
 * Reads the position of a name. Something else in the file's place, or what may not be read, is not intact. Any other
 * failure may pass, and is one.
 */
export const read = (directory: string, name: string): Effect.Effect<FoundPosition, DiskError, Disk> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* openScoped(pathIn(directory, positionName(name)), "read")
    const bytes = new Uint8Array(fileBytesMax)
    const text = Buffer.from(bytes.subarray(0, yield* readFully(file, bytes, 0))).toString()
    const decoded = Option.filter(
      Schema.decodeUnknownOption(PositionJson)(text),
      ({ checksum, position }) => checksum === checksumOf(position) && position.name === name
    )
    return Option.match(decoded, {
      onNone: () => none(`${positionName(name)} is not intact`),
      onSome: ({ position }): FoundPosition => ({ position, fault: "" })
    })
  })).pipe(
    Effect.catchIf(
      ({ reason }) => notReadable.has(reason._tag),
      ({ message, reason }) => Effect.succeed(none(reason._tag === "NotFound" ? "" : message))
    )
  )

const notReadable: ReadonlySet<string> = new Set(["NotFound", "Unsafe", "IsDirectory", "Denied"])

const none = (fault: string): FoundPosition => ({ position: undefined, fault })

/** The bytes of the file. */
export const encode = (position: StoredPosition): Uint8Array =>
  Buffer.from(`${JSON.stringify({ position, checksum: checksumOf(position) })}\n`)

/** Replaces the position of a name, durably and atomically. The caller owns the name. */
export const write = (directory: string, position: StoredPosition): Effect.Effect<void, DiskError, Disk> =>
  replaceFile(directory, positionName(position.name), positionTemporaryName(position.name), encode(position))

/** Forgets the position of a name, durably. The caller owns the name. */
export const remove = (directory: string, name: string): Effect.Effect<void, DiskError, Disk> =>
  Disk.use((disk) => disk.changeNames(directory, removeIfThere(pathIn(directory, positionName(name)))))
