/**
 * Recorders for tests: in every layer, on a directory that goes away with the scope.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { Disk } from "../../src/disk/Disk.ts"
import type { DiskFile } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Replay from "../../src/reading/Replay.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import { orderEvent } from "../fixtures/orders.ts"
import { program } from "../programs.ts"

export type Options = Omit<Wal.WalOptions, "directory"> & { readonly directory: string }

/** The bundled one, which begins in a third of the time. */
export const threadModule = pathToFileURL(program("maintainerThread"))

/** Every way to run the maintainer of a recorder. */
export const layers = [
  ["fiber", (options: Options) => Wal.layer(options)],
  ["thread", (options: Options) => Wal.layerWorker({ ...options, threadModule })],
  ["pool", (options: Options) => Wal.layerWorker({ ...options, threadModule, workers: 2 })]
] as const

export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-wal-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** Small segments and slots, so a few events already rotate. */
export const small = {
  segmentBytesMax: 8192,
  slots: 4,
  limits: { maxSegments: 4, maxCompressedSegments: 512 }
} as const

/** Events whose bytes follow from their ids, in each format. */
export interface Kind {
  readonly options: Pick<Wal.WalOptions, "format">
  readonly event: (id: number) => Uint8Array
}

export const text = (id: number): Uint8Array => Buffer.from(`event ${id} ${"x".repeat(id % 50)}`)

export const kinds: readonly [readonly [string, Kind], readonly [string, Kind]] = [
  ["format 2", { options: {}, event: text }],
  ["format 1", { options: { format: 1 }, event: (id) => orderEvent(id) }]
]

const [fiber, thread, pool] = layers
const [format2, format1] = kinds

/**
 * Every layer and every format, where the two have nothing to do with each other and a case is dear: a pool starts four
 * threads, each for a tenth of a second of processor time.
 */
export const pairs = [[fiber, format2], [fiber, format1], [thread, format2], [pool, format1]] as const

/** The events of a directory, as text by id. */
export const replayed = (directory: string) =>
  Stream.runCollect(Replay.events({ directory })).pipe(
    Effect.map((events) => events.map(({ bytes, id }) => [id, Buffer.from(bytes).toString()] as const)),
    Effect.provide(NodeDisk.layer)
  )

export const expected = (kind: Kind, fromId: number, toId: number) =>
  Array.from(
    { length: toId - fromId + 1 },
    (_, i) => [fromId + i, Buffer.from(kind.event(fromId + i)).toString()] as const
  )

/** Runs an effect with a recorder of its own, from opening to drain. */
export const recording = <A, E, R>(
  layer: Layer.Layer<Wal.Parts, Wal.WalError>,
  use: (recorder: Recorder["Service"]) => Effect.Effect<A, E, R>
) => Effect.scoped(Effect.flatMap(Recorder, use).pipe(Effect.provide(layer)))

/** A disk whose files are changed on their way to the user. */
export const withFiles = (change: (file: DiskFile, path: string) => DiskFile): Layer.Layer<Disk> =>
  Layer.effect(
    Disk,
    Effect.map(Disk, (disk) =>
      Disk.of({
        ...disk,
        open: (path, mode) => Effect.map(disk.open(path, mode), (file) => change(file, path))
      }))
  ).pipe(Layer.provide(NodeDisk.layer))
