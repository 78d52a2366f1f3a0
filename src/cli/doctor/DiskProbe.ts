/**
 * Measures what a recorder demands of a disk, in the directory that is to be recorded into and through the same `Disk`:
 * sequential writing, small synced appends, and everything else that a rotation does. Each measurement ends after about
 * a second, even on a slow disk: it only completes the operation that it has begun.
 *
 * The probe holds the directory's lock, so it disturbs no recorder and no recorder disturbs it. It removes its files
 * when it ends, also after an interruption or an error. A kill leaves them, and the next probe removes them.
 */
import * as Effect from "effect/Effect"
import { randomFillSync } from "node:crypto"
import { Disk, openScoped, removeIfThere, writeFully } from "../../disk/Disk.ts"
import { lockName, probeNames } from "../../disk/FileNames.ts"
import { pathIn } from "../../disk/SegmentDirectory.ts"

const [dataName, temporaryName, metaName, metaTemporaryName] = probeNames

const piecesMax = 16
/** The bytes written between two syncs: a segment of the default size. */
const pieceBytes = 16 * 1024 * 1024
const chunkBytes = 1024 * 1024
/** A block of a few events: header, payload, padding. */
const appendBytes = 512
const appendsMax = 1000
const rotationsMax = 50
const millisMax = { write: 1000, sync: 1000, rotation: 500 }

/**
 * The time that the probe takes at most, in seconds, on a disk that writes at least one segment per second. Used to
 * show the progress.
 */
export const probeSecondsExpected = (millisMax.write + millisMax.sync + millisMax.rotation) / 1000

/** The free space that the probe requires, in bytes: four times what it uses at once. */
export const probeFreeBytesMin = 4 * pieceBytes

/**
 * How long an operation took, in nanoseconds. Percentiles are taken from `count` measured times, by rank: with fewer
 * than 100, the 99th is the longest.
 */
export interface Times {
  readonly count: number
  readonly p50Nanos: number
  readonly p99Nanos: number
  readonly maxNanos: number
}

/** The result of a probe. */
export interface DiskMeasures {
  /** Random bytes, synced every 16 MiB; the time includes the syncs. */
  readonly write: { readonly bytes: number; readonly nanos: number; readonly bytesPerSecond: number }
  /** 512 bytes appended to a file that already has its full length, and fdatasync. */
  readonly sync: Times
  /**
   * What a rotation does besides writing events: it creates, renames and closes a file, and renews the meta file; 4
   * syncs of files, 2 of the directory.
   */
  readonly rotation: Times
}

/** Computes the percentiles of single times. */
export const timesOf = (nanos: ReadonlyArray<number>): Times => {
  const sorted = nanos.toSorted((a, b) => a - b)
  const rank = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
  return { count: sorted.length, p50Nanos: rank(0.5), p99Nanos: rank(0.99), maxNanos: rank(1) }
}

/**
 * Runs the probe. Fails with `Held` if a recorder, a maintainer or another doctor holds the directory, and with the
 * errors of the disk.
 */
export const probe = Effect.fnUntraced(function*(directory: string) {
  const disk = yield* Disk
  yield* disk.lock(pathIn(directory, lockName))
  const remove = Effect.forEach(
    probeNames,
    (name) => removeIfThere(pathIn(directory, name)),
    { discard: true }
  )
  yield* Effect.acquireRelease(remove, () => Effect.ignore(remove))
  const measures: DiskMeasures = {
    write: yield* measureWriting(directory),
    sync: yield* measureSyncs(directory),
    rotation: yield* measureRotations(directory)
  }
  return measures
}, Effect.scoped)

/** Makes bytes that a compressing file system cannot compress. */
const randomBytes = (bytes: number): Uint8Array => randomFillSync(new Uint8Array(bytes))

const now = (): number => Number(process.hrtime.bigint())

const measureWriting = (directory: string) =>
  Effect.scoped(Effect.gen(function*() {
    const free = yield* Disk.use((disk) => disk.freeBytes(directory))
    const file = yield* openScoped(pathIn(directory, dataName), "create")
    const chunk = randomBytes(chunkBytes)
    const bytesMax = Math.min(piecesMax * pieceBytes, free / 4)
    const begun = now()
    let bytes = 0
    while (bytes + pieceBytes <= bytesMax && now() - begun < millisMax.write * 1e6) {
      yield* file.truncate(bytes + pieceBytes)
      for (let written = 0; written < pieceBytes; written += chunkBytes) {
        yield* writeFully(file, [chunk], bytes + written)
      }
      yield* file.sync
      bytes += pieceBytes
    }
    const nanos = now() - begun
    return { bytes, nanos, bytesPerSecond: Math.round(bytes / nanos * 1e9) }
  }))

/** Measures `work` repeatedly, until there are `countMax` times or the time is over; at least once. */
const timed = Effect.fnUntraced(function*<E, R>(
  work: (index: number) => Effect.Effect<void, E, R>,
  countMax: number,
  millisMax: number
) {
  const nanos: Array<number> = []
  const begun = now()
  let last = begun
  while (nanos.length === 0 || (nanos.length < countMax && last - begun < millisMax * 1e6)) {
    const from = now()
    yield* work(nanos.length)
    last = now()
    nanos.push(last - from)
  }
  return timesOf(nanos)
})

const measureSyncs = (directory: string) =>
  Effect.scoped(Effect.gen(function*() {
    const path = pathIn(directory, dataName)
    yield* Disk.use((disk) => disk.unlink(path))
    const file = yield* openScoped(path, "create")
    yield* file.truncate(pieceBytes)
    yield* file.sync
    const bytes = randomBytes(appendBytes)
    return yield* timed(
      (index) => Effect.andThen(writeFully(file, [bytes], index * appendBytes), file.sync),
      appendsMax,
      millisMax.sync
    )
  }))

/** Measures the calls of SegmentPreparer, SegmentFlusher and MetaStore, in their order. */
const measureRotations = Effect.fnUntraced(function*(directory: string) {
  const disk = yield* Disk
  const bytes = randomBytes(appendBytes)
  const rotate = Effect.scoped(Effect.gen(function*() {
    const file = yield* openScoped(pathIn(directory, temporaryName), "create")
    yield* file.truncate(pieceBytes)
    yield* writeFully(file, [bytes], 0)
    yield* file.sync
    yield* disk.rename(pathIn(directory, temporaryName), pathIn(directory, dataName))
    yield* disk.syncDirectory(directory)
    yield* writeFully(file, [bytes], appendBytes)
    yield* file.truncate(2 * appendBytes)
    yield* file.sync
    yield* writeFully(file, [bytes.subarray(0, 128)], 0)
    yield* file.sync
    const meta = yield* openScoped(pathIn(directory, metaTemporaryName), "create")
    yield* writeFully(meta, [bytes.subarray(0, 16)], 0)
    yield* meta.sync
    yield* disk.rename(pathIn(directory, metaTemporaryName), pathIn(directory, metaName))
    yield* disk.syncDirectory(directory)
  }))
  return yield* timed(() => rotate, rotationsMax, millisMax.rotation)
})
