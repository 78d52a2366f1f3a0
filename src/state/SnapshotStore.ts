/**
 * The snapshots of a state machine: `wal_state_NAME_EVENT.json` beside the segments, the state after that event. Two
 * are kept, so one that is damaged does not cost the state.
 *
 * A file has three lines: what it is of, the state as JSON, and the XXH64 of both. It is written as a whole (temporary
 * file, sync, rename, directory sync), and only of a state whose events are all durable. It is used only if it is
 * intact, of this log and of no event after the end of the log; one that is not used is reported.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Disk, openScoped, readFully, removeIfThere } from "../disk/Disk.ts"
import type { DiskError } from "../disk/Disk.ts"
import { snapshotIn, snapshotName, snapshotTemporaryName } from "../disk/FileNames.ts"
import { replaceFile } from "../disk/ReplaceFile.ts"
import { pathIn } from "../disk/SegmentDirectory.ts"
import { eventIdMax } from "../format/Limits.ts"
import { hex } from "../format/SegmentHeader.ts"
import { whole } from "../internal/options.ts"
import { xxh64 } from "../internal/xxh64.ts"

/** What a snapshot is of. */
const SnapshotHead = Schema.Struct({
  format: Schema.Literal(1),
  /** Of the machine, as in the file's name: a file that was given another name is not used. */
  name: Schema.String,
  /** Of the state's schema, as the machine tells it. */
  version: whole("number", 0, Number.MAX_SAFE_INTEGER),
  /** Of the log, in hexadecimal; empty in format 1 of segments, which does not tell. */
  walId: Schema.String,
  /** The last event that is in the state. */
  eventId: whole("number", 0, eventIdMax)
})

/** What a snapshot is of. */
export type SnapshotHead = typeof SnapshotHead.Type

/** A snapshot that was found intact. */
export interface FoundSnapshot {
  readonly head: SnapshotHead
  /** The state, as JSON gives it. */
  readonly json: unknown
  /** Of the file. */
  readonly bytes: number
}

const HeadJson = Schema.fromJsonString(SnapshotHead)

const newline = 0x0a

/** The bytes of a snapshot. `state` is JSON. */
export const encode = (head: Omit<SnapshotHead, "format">, state: string): Uint8Array => {
  const text = Buffer.from(`${JSON.stringify({ format: 1, ...head })}\n${state}\n`)
  return Buffer.concat([text, Buffer.from(`${hex(xxh64(text))}\n`)])
}

const checksumBytes = "0x0123456789abcdef\n".length

/** What the bytes of a file say; a text that tells why it is not intact. */
const decode = (bytes: Uint8Array): Omit<FoundSnapshot, "bytes"> | string => {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const text = file.subarray(0, Math.max(0, file.length - checksumBytes))
  if (file.subarray(text.length).toString("latin1") !== `${hex(xxh64(text))}\n`) return "its checksum is wrong"
  const headEnd = text.indexOf(newline)
  const head = Schema.decodeUnknownOption(HeadJson)(text.subarray(0, headEnd).toString())
  if (Option.isNone(head)) return "it has another format"
  try {
    return { head: head.value, json: JSON.parse(text.subarray(headEnd + 1).toString()) }
  } catch (cause) {
    return `its state cannot be read: ${String(cause)}`
  }
}

/** The events of the snapshots of a machine that lie in the directory, newest first. */
export const list = (directory: string, name: string): Effect.Effect<ReadonlyArray<number>, DiskError, Disk> =>
  Disk.use((disk) =>
    Effect.map(disk.list(directory), (entries) =>
      entries.flatMap((entry) => {
        const found = snapshotIn(entry.name)
        return found?.name === name ? [found.eventId] : []
      }).toSorted((a, b) => b - a))
  )

/** Reads a snapshot; a text that tells why it cannot be used. */
export const read = (
  directory: string,
  name: string,
  eventId: number
): Effect.Effect<FoundSnapshot | string, never, Disk> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* openScoped(pathIn(directory, snapshotName(name, eventId)), "read")
    const bytes = new Uint8Array((yield* file.stat).bytes)
    const found = decode(bytes.subarray(0, yield* readFully(file, bytes, 0)))
    if (typeof found === "string") return found
    const isNamed = found.head.name === name && found.head.eventId === eventId
    return isNamed ? { ...found, bytes: bytes.length } : "it was given another name"
  })).pipe(Effect.catch(({ message }) => Effect.succeed(message)))

/** Writes a snapshot, durably and as a whole. */
export const write = (
  directory: string,
  { eventId, name }: Pick<SnapshotHead, "name" | "eventId">,
  bytes: Uint8Array
): Effect.Effect<void, DiskError, Disk> =>
  replaceFile(directory, snapshotName(name, eventId), snapshotTemporaryName(name), bytes)

/**
 * Makes the name of a snapshot durable that an earlier process has written: a sync of the directory that failed then
 * may have lost it. Until it succeeds the snapshot may be lost by a crash.
 */
export const renew = (directory: string, name: string, eventId: number): Effect.Effect<void, DiskError, Disk> =>
  Disk.use((disk) => {
    const path = pathIn(directory, snapshotName(name, eventId))
    const temporary = pathIn(directory, snapshotTemporaryName(name))
    return disk.changeNames(
      directory,
      Effect.uninterruptible(Effect.andThen(disk.rename(path, temporary), disk.rename(temporary, path)))
    )
  })

/** Removes the snapshots of a machine of these events, durably. */
export const remove = (
  directory: string,
  name: string,
  eventIds: ReadonlyArray<number>
): Effect.Effect<void, DiskError, Disk> =>
  eventIds.length === 0 ? Effect.void : Disk.use((disk) =>
    disk.changeNames(
      directory,
      Effect.forEach(eventIds, (eventId) => removeIfThere(pathIn(directory, snapshotName(name, eventId))), {
        discard: true
      })
    )
  )
