/**
 * Measures how much memory the first freeze of a process adds: a recorder is opened on a directory with one large closed segment
 * and left alone; then the limits make that segment due, and the kernel's peak of resident memory during the freeze is
 * compared with what was resident before. The maintainer's own start, its compressor's thread included, is in what was before.
 * With `commits` one event after the other is committed all the time, and the peak of five seconds of that is what was before.
 *
 * It measures what is installed, so build first (from TypeScript sources every thread also loads Node's type stripping):
 *
 * ```sh
 * npm run build && node bench/harness/freezeMemory.ts [MiB] [fiber|thread|pool] [commits]
 * ```
 */
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as References from "effect/References"
import { execFileSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs"
import { loadavg, tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { coldName, defaultNaming, hotName } from "../../src/format/SegmentName.ts"
import type * as EffectWal from "../../src/index.ts"
import { resetPeak, residentMebibytes } from "./Resident.ts"

const mebibyte = 1024 * 1024
const root = join(import.meta.dirname, "../..")
const segmentMebibytes = Number(process.argv[2] ?? 512)
const host = process.argv[3] ?? "thread"
const isCommitting = process.argv[4] === "commits"
const directory = mkdtempSync(join(tmpdir(), "effect-wal-freeze-memory-"))
const cold = join(directory, coldName(defaultNaming, 0, "frame"))
const eventSize = 256

const wal: typeof EffectWal = await import(join(root, "dist/index.js"))

class Events extends wal.Wal.Service<Events>()("bench/Events") {}

const measure = async (): Promise<void> => {
  const limits = { maxSegments: 128, maxCompressedSegments: "unlimited" } as const
  const options = { directory, eventSize, limits, workers: host === "pool" ? 3 : 1 }
  const runtime = ManagedRuntime.make(
    (host === "fiber" ? Events.layer(options) : Events.layerWorker(options)).pipe(
      Layer.provide(wal.NodeDisk.layer),
      Layer.provideMerge(Layer.succeed(References.MinimumLogLevel, "Error"))
    )
  )
  try {
    const { maintainer, recorder } = await runtime.runPromise(Events)
    // Two rotations: the start continues a prepared segment that is at most half full, and begins a new one after a fuller one.
    for (let rotation = 0; rotation < 2; rotation++) {
      await runtime.runPromise(recorder.appendDurable(new Uint8Array(eventSize)))
      await runtime.runPromise(recorder.rotate)
    }
    await runtime.runPromise(recorder.appendDurable(new Uint8Array(eventSize)))
    await setTimeout(2000)
    const waitUntil = async (isOver: () => boolean): Promise<void> => {
      while (!isOver()) {
        if (isCommitting) await runtime.runPromise(recorder.appendDurable(new Uint8Array(eventSize)))
        else await setTimeout(100)
      }
    }
    const warmUntil = performance.now() + (isCommitting ? 5_000 : 0)
    await waitUntil(() => performance.now() > warmUntil)
    const hotBytes = statSync(join(directory, hotName(defaultNaming, 0))).size
    resetPeak()
    const warmed = performance.now() + (isCommitting ? 5_000 : 0)
    await waitUntil(() => performance.now() > warmed)
    const idle = residentMebibytes(isCommitting ? "VmHWM" : "VmRSS")
    resetPeak()
    const begun = performance.now()
    await runtime.runPromise(maintainer.setLimits({ ...limits, maxSegments: 3 }))
    await waitUntil(() => existsSync(cold))
    const seconds = (performance.now() - begun) / 1000
    const added = residentMebibytes("VmHWM") - idle
    const rounded = (value: number): number => Math.round(value * 10) / 10
    process.stdout.write(
      JSON.stringify({
        host,
        isCommitting,
        hotMebibytes: Math.round(hotBytes / mebibyte),
        coldMebibytes: Math.round(statSync(cold).size / mebibyte),
        seconds: rounded(seconds),
        idleMebibytes: rounded(idle),
        addedMebibytes: rounded(added),
        loadAverage: loadavg()[0]
      }) + "\n"
    )
  } finally {
    await runtime.dispose()
  }
}

try {
  // In a process of its own, for what it takes to make the segment is not to be counted.
  const script = join(import.meta.dirname, "prepareSegment.ts")
  execFileSync(process.execPath, [script, directory, String(segmentMebibytes * mebibyte)], { stdio: "inherit" })
  await measure()
} finally {
  rmSync(directory, { recursive: true, force: true })
}
