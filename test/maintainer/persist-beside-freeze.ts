/**
 * Measures whether persisting waits for freezing: the time from handing an event over until it is durable, idle and while
 * the same maintainer thread compresses a segment of 512 MiB. Prints the p99 of both and their ratio, which is to be at
 * most 3. Every 1,024th event fills a segment, so persisting and its rotation are among what is measured.
 *
 * ```sh
 * node test/maintainer/persist-beside-freeze.ts [MiB]
 * ```
 */
import * as Effect from "effect/Effect"
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs"
import { loadavg, tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { coldName, defaultNaming, hotName } from "../../src/format/SegmentName.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import { SegmentsToFreeze } from "../../src/shared/SegmentQueues.ts"
import * as TaskQueue from "../../src/shared/TaskQueue.ts"

const mebibyte = 1024 * 1024
const mebibytes = Number(process.argv[2] ?? 512)
const idleCommits = 2000
const directory = mkdtempSync(join(tmpdir(), "effect-wal-persist-beside-freeze-"))
const hot = join(directory, hotName(defaultNaming, 0))

/** In place of segment 0, which is closed and of which nobody reads. Half noise, half repetition. */
const writeLarge = (): void => {
  const fd = openSync(hot, "w")
  const piece = Buffer.alloc(mebibyte)
  for (let written = 0; written < mebibytes; written++) {
    for (let at = 0; at < piece.length; at += 16) piece.writeUInt32LE((Math.random() * 0x1_0000_0000) >>> 0, at)
    writeSync(fd, piece)
  }
  closeSync(fd)
}

const p = (millis: ReadonlyArray<number>, part: number): number =>
  [...millis].sort((a, b) => a - b)[Math.floor(millis.length * part)] ?? Number.NaN

const rounded = (millis: number): number => Math.round(millis * 1000) / 1000

const program = Effect.gen(function*() {
  const recorder = yield* Recorder
  const maintainer = yield* SegmentMaintainer
  const event = Buffer.alloc(1020, "e")
  const handOver = Effect.gen(function*() {
    const begun = performance.now()
    yield* recorder.appendDurable(event)
    return performance.now() - begun
  })
  const { coldSegments } = maintainer.status.pipe(Effect.runSync)

  yield* recorder.appendDurable(event)
  yield* recorder.rotate
  yield* recorder.appendDurable(event)
  writeLarge()
  for (let warm = 0; warm < 200; warm++) yield* handOver

  const idle: Array<number> = []
  for (let i = 0; i < idleCommits; i++) idle.push(yield* handOver)

  const beside: Array<number> = []
  const begun = performance.now()
  yield* TaskQueue.offer(yield* SegmentsToFreeze, { segmentIndex: 0, slot: -1, bytes: mebibytes * mebibyte })
  while ((yield* maintainer.status).coldSegments === coldSegments) {
    if ((yield* maintainer.failures).length > 0) return yield* Effect.die((yield* maintainer.failures)[0])
    beside.push(yield* handOver)
  }
  const freezeMillis = performance.now() - begun
  process.stdout.write(
    JSON.stringify({
      mebibytes,
      coldMebibytes: Math.round(statSync(join(directory, coldName(defaultNaming, 0, "frame"))).size / mebibyte),
      freezeMillis: Math.round(freezeMillis),
      idle: { count: idle.length, p50Millis: rounded(p(idle, 0.5)), p99Millis: rounded(p(idle, 0.99)) },
      beside: { count: beside.length, p50Millis: rounded(p(beside, 0.5)), p99Millis: rounded(p(beside, 0.99)) },
      ratioOfP99: rounded(p(beside, 0.99) / p(idle, 0.99)),
      loadAverage: loadavg()[0]
    }) + "\n"
  )
})

try {
  await Effect.runPromise(
    program.pipe(
      Effect.provide(Wal.layerWorker({
        directory,
        segmentBytesMax: mebibyte,
        limits: { maxSegments: 128, maxCompressedSegments: "unlimited" },
        proofModule: new URL("./anyBytesProof.ts", import.meta.url)
      })),
      Effect.provide(NodeDisk.layer)
    )
  )
} finally {
  rmSync(directory, { recursive: true, force: true })
}
