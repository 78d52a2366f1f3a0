/**
 * `wal_verified.json`: which closed segment files of a directory were verified, so that they need not be read again. A
 * file is known by its identity (which stands for this very file, whatever its name) and its length, never by its time.
 * The list is replaced as a whole: temporary file, sync, rename, directory sync. It is a hint with a checksum: when it
 * is absent or not intact, nothing was verified. What it names and is not there, or is another file by now, it does not
 * name.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { openScoped, readFully } from "../../disk/Disk.ts"
import type { Disk, FileStat } from "../../disk/Disk.ts"
import { verifiedName, verifiedTemporaryName } from "../../disk/FileNames.ts"
import { replaceFile } from "../../disk/ReplaceFile.ts"
import { pathIn } from "../../disk/SegmentDirectory.ts"
import { hex } from "../../format/SegmentHeader.ts"
import { xxh64 } from "../../internal/xxh64.ts"

/** A larger file is not believed to be ours: 512 + 128 files take about 60 KB. */
const fileBytesMax = 64 * 1024 * 1024

const VerifiedFilesJson = Schema.fromJsonString(
  Schema.Struct({ files: Schema.Array(Schema.String), checksum: Schema.String })
)

/** XXH64 of the keys, as JSON. */
const checksumOf = (keys: ReadonlyArray<string>): string => hex(xxh64(Buffer.from(JSON.stringify(keys))))

/** What was found. */
interface FoundFiles {
  /** The keys of the files that were verified. */
  readonly keys: ReadonlySet<string>
  /** Why a list that is there is not intact, or cannot be read; empty otherwise. */
  readonly fault: string
}

/** The key of a file that was verified. */
export const keyOf = ({ bytes, identity }: FileStat): string => `${identity} ${bytes}`

/** Reads which files were verified. */
export const read = (directory: string): Effect.Effect<FoundFiles, never, Disk> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* openScoped(pathIn(directory, verifiedName), "read")
    const bytes = new Uint8Array(Math.min(fileBytesMax, (yield* file.stat).bytes))
    const count = yield* readFully(file, bytes, 0)
    const text = Buffer.from(bytes.buffer, 0, count).toString()
    const decoded = Option.filter(
      Schema.decodeUnknownOption(VerifiedFilesJson)(text),
      ({ checksum, files }) => checksum === checksumOf(files)
    )
    return Option.match(decoded, {
      onNone: () => nothing(`${verifiedName} is not intact`),
      onSome: ({ files }): FoundFiles => ({ keys: new Set(files), fault: "" })
    })
  })).pipe(
    Effect.catch(({ message, reason }) => Effect.succeed(nothing(reason._tag === "NotFound" ? "" : message)))
  )

const nothing = (fault: string): FoundFiles => ({ keys: new Set(), fault })

/**
 * Replaces the keys, durably and atomically. When another verification is writing its own at the same moment, one of
 * the two lists is kept: both are true. Returns why they could not be replaced, as in a read-only directory; otherwise
 * nothing.
 */
export const write = (directory: string, keys: ReadonlySet<string>): Effect.Effect<string, never, Disk> =>
  replaceFile(
    directory,
    verifiedName,
    verifiedTemporaryName,
    Buffer.from(`${JSON.stringify({ files: [...keys], checksum: checksumOf([...keys]) })}\n`)
  ).pipe(
    // The temporary file is the other's, or was.
    Effect.catchReasons("DiskError", { NotFound: () => Effect.void, Exists: () => Effect.void }),
    Effect.match({ onFailure: ({ message }) => message, onSuccess: () => "" })
  )
