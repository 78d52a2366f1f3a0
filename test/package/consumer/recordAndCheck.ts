/** What both applications do: record, close the recorder, and read everything back. */
import { type NodeDisk, Replay, Verify, Wal } from "effect-wal"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

/** What runs this, as the tests call it. */
export const runtime: string = process.versions["bun"] !== undefined
  ? "Bun"
  : process.versions["deno"] !== undefined
  ? "Deno"
  : `Node ${process.versions.node.split(".")[0]}`

const events = 1000

const eventOf = (id: number): Uint8Array => Buffer.from(`event ${id} `.repeat(100))

/** Exported, as a package of a monorepo exports it. */
export class Numbers extends Wal.Service<Numbers>()("consumer/Numbers") {}

const record = Effect.gen(function*() {
  const { append, commit } = yield* Numbers
  for (let count = 1; count <= events; count++) yield* append(eventOf(count))
  return yield* commit
})

const countRight = (directory: string) =>
  Stream.runFold(
    Replay.events({ directory }),
    () => 0,
    (right, { bytes, id }) => right + (Buffer.compare(bytes, eventOf(id)) === 0 ? 1 : 0)
  )

/** Many small segments, of which most are compressed before the recorder is closed. */
export const optionsFor = (directory: string): Wal.WalOptions => ({
  directory,
  segmentBytesMax: 64 * 1024,
  limits: { maxSegments: 4, maxCompressedSegments: 64 }
})

/** What was durable, what reads back as it was written, and how many segments became cold. */
export const recordAndCheck = (
  directory: string,
  numbersLayer: Layer.Layer<Numbers, Wal.WalError, Layer.Success<typeof NodeDisk.layer>>
) =>
  Effect.gen(function*() {
    const durable: number = yield* Effect.provide(record, numbersLayer)
    const report: Verify.VerifyReport = yield* Verify.verify({ directory })
    const replayed: number = yield* countRight(directory)
    const cold = report.segments.filter((segment) => segment.form === "cold").length
    return { durable, replayed, cold, faults: report.faults.length }
  })
