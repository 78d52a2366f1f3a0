/**
 * Measures how much memory the freezing of one segment of 512 MiB takes: the peak of the process's resident memory during
 * the freeze, over what it was before, by frame compression on a real disk.
 *
 * ```sh
 * node --expose-gc test/maintainer/freeze-memory.ts [MiB]
 * ```
 */
import * as Effect from "effect/Effect"
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { defaultNaming, hotName } from "../../src/format/SegmentName.ts"
import { freeze } from "../../src/maintainer/FreezeStep.ts"
import { anyBytes, SegmentProof } from "../../src/maintainer/SegmentProof.ts"
import * as Telemetry from "../../src/telemetry/Telemetry.ts"

const mebibyte = 1024 * 1024
const segmentMebibytes = Number(process.argv[2] ?? 512)
const directory = mkdtempSync(join(tmpdir(), "effect-wal-freeze-memory-"))

const write = (segmentIndex: number, mebibytes: number): void => {
  const fd = openSync(join(directory, hotName(defaultNaming, segmentIndex)), "w")
  const piece = Buffer.alloc(mebibyte)
  for (let written = 0; written < mebibytes; written++) {
    // Half noise, half repetition: LZ4 makes it about half as long.
    for (let at = 0; at < piece.length; at += 16) piece.writeUInt32LE((Math.random() * 0x1_0000_0000) >>> 0, at)
    writeSync(fd, piece)
  }
  closeSync(fd)
}

const statusBytes = (field: string): number => {
  const line = readFileSync("/proc/self/status", "utf8").split("\n").find((line) => line.startsWith(field)) ?? ""
  return Number(/\d+/.exec(line)?.[0] ?? 0) * 1024
}

const run = (segmentIndex: number) =>
  Effect.flatMap(
    Telemetry.Telemetry,
    (telemetry) =>
      freeze({ directory, naming: defaultNaming, compression: "frame", telemetry: telemetry.updater(0) }, segmentIndex)
  ).pipe(
    Effect.provideService(SegmentProof, anyBytes),
    Effect.provide(Telemetry.layer({ writersMax: 1 })),
    Effect.provide(NodeDisk.layer)
  )

try {
  // The first one loads code and fills the pools; it is not measured.
  write(0, 32)
  write(1, segmentMebibytes)
  await Effect.runPromise(run(0))
  globalThis.gc?.()
  const before = statusBytes("VmRSS")
  let peak = before
  const sampling = setInterval(() => {
    peak = Math.max(peak, statusBytes("VmRSS"))
  }, 5)
  const begun = performance.now()
  const { coldBytes, hotBytes } = await Effect.runPromise(run(1))
  const millis = performance.now() - begun
  clearInterval(sampling)
  process.stdout.write(
    JSON.stringify({
      hotMebibytes: hotBytes / mebibyte,
      coldMebibytes: Math.round(coldBytes / mebibyte),
      millis: Math.round(millis),
      addedMebibytes: Math.round((peak - before) / mebibyte * 10) / 10
    }) + "\n"
  )
} finally {
  rmSync(directory, { recursive: true, force: true })
}
