/**
 * `effect-wal doctor`: finds out whether a directory and its machine are fit for recording, and recommends
 * `--segment-bytes` and `--commit`. With `--archive` it measures that store, too. It writes up to 256 MiB for about
 * three seconds and removes it. While a recorder holds the directory it writes nothing there and shows what that
 * recorder has measured. Exit code 1 if there is a warning.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Disk } from "../../disk/Disk.ts"
import * as HoleStore from "../../disk/HoleStore.ts"
import { formatHole } from "../../reading/ReplayError.ts"
import * as Monitor from "../../recorder/monitor/Monitor.ts"
import { countOf, percentileNanos, percentiles } from "../../telemetry/LatencyHistogram.ts"
import { formatBytes, formatNanos } from "../../telemetry/TelemetryDump.ts"
import { probe, probeFreeBytesMin, probeSecondsExpected } from "../doctor/DiskProbe.ts"
import type { Times } from "../doctor/DiskProbe.ts"
import { adviceLines, adviseCommit, adviseSegments, findings, flagSize } from "../doctor/DoctorAdvice.ts"
import type { Advice } from "../doctor/DoctorAdvice.ts"
import { hostFacts, watchClocks } from "../doctor/HostFacts.ts"
import { probeStore } from "../doctor/StoreProbe.ts"
import type { ArchiveAddress } from "../flags/archiveFlag.ts"
import { requireDirectory } from "../flags/requireDirectory.ts"
import type { Output } from "../outputs/outputs.ts"
import { storeOf } from "../stores/storeOf.ts"
import { withProgress } from "../terminal/Progress.ts"
import { untilSignal } from "../terminal/Signals.ts"
import { report, writeJson, writeLines } from "../terminal/StandardStreams.ts"

/** What its flags give. */
interface Given {
  readonly dir: string
  readonly archive: Option.Option<ArchiveAddress>
  readonly json: boolean
}

/** Runs the command. */
export const doctor = Effect.fnUntraced(function*({ archive, dir, json }: Given) {
  yield* requireDirectory(dir, "create it where the log is to be (mkdir -p), and run doctor again")
  const diagnosis = yield* examine(dir, Option.getOrUndefined(archive), !json)
  yield* report(
    json ? writeJson(diagnosis) : writeLines(linesOf(diagnosis)),
    diagnosis.findings.some(({ level }) => level === "warning")
  )
}, untilSignal)

/** Measures the store of an archive; a finding when it cannot be used. */
const examineArchive = Effect.fnUntraced(function*(address: ArchiveAddress) {
  const { url } = address
  return yield* probeStore.pipe(
    Effect.provide(storeOf(address)),
    Effect.match({
      onFailure: ({ message }) => ({
        archive: null,
        findings: [{ level: "warning" as const, text: `the archive ${url} cannot be used: ${message}` }]
      }),
      onSuccess: (measures) => ({
        archive: { url, ...measures },
        findings: measures.checksMd5 ? [] : [{
          level: "note" as const,
          text: `the store of ${url} does not check MD5, so everything that is archived is read back`
        }]
      })
    })
  )
})

const examine = Effect.fnUntraced(function*(
  directory: string,
  address: ArchiveAddress | undefined,
  isProgressWanted: boolean
) {
  const host = yield* hostFacts(directory)
  const freeBytes = yield* Disk.use((disk) => disk.freeBytes(directory))
  const clockJump = watchClocks()
  const hasRoom = freeBytes >= probeFreeBytesMin
  const { heldBy, measures } = hasRoom
    ? yield* measure(directory, isProgressWanted)
    : { heldBy: null, measures: null }
  const recorder = heldBy === null
    ? undefined
    : yield* Effect.catchTag(Monitor.read(directory), "MonitorError", () => Effect.succeed(undefined))
  const { holes } = yield* HoleStore.read(directory)
  const stored = address === undefined ? { archive: null, findings: [] } : yield* examineArchive(address)
  const clockJumpMillis = clockJump()
  const advice: Advice | undefined = measures === null
    ? undefined
    : { ...adviseSegments(measures), ...adviseCommit(measures.sync) }
  const diagnosis: Output<"doctor"> = {
    directory,
    ...host,
    freeBytes,
    heldBy,
    measures,
    recorderSync: recorder === undefined ? null : timesIn(recorder.telemetry.operations.sync),
    clockJumpMillis,
    advice: advice ?? null,
    archive: stored.archive,
    findings: [
      ...stored.findings,
      ...findings({ host, freeBytes, measures, clockJumpMillis }, advice),
      ...holes.map((hole) => ({ level: "note" as const, text: formatHole(hole) })),
      ...(heldBy === null
        ? []
        : [{ level: "note" as const, text: `nothing was measured: ${heldBy} holds the directory` }]),
      ...(hasRoom
        ? []
        : [{
          level: "warning" as const,
          text: `too little space to measure; free at least ${formatBytes(probeFreeBytesMin)}`
        }])
    ]
  }
  return diagnosis
})

const measure = (directory: string, isProgressWanted: boolean) => {
  const begunMillis = performance.now()
  const look = () => ({
    label: "measuring",
    unit: "seconds" as const,
    done: Math.min(probeSecondsExpected, (performance.now() - begunMillis) / 1000),
    total: probeSecondsExpected
  })
  return withProgress(probe(directory), look, isProgressWanted).pipe(
    Effect.map((measures) => ({ heldBy: null, measures })),
    Effect.catchReason(
      "DiskError",
      "Held",
      ({ holder }) => Effect.succeed({ heldBy: holder, measures: null })
    )
  )
}

const timesIn = (
  { latency, maxNanos }: { readonly latency: ReadonlyArray<readonly [number, number]>; readonly maxNanos: number }
): Times => ({
  count: countOf(latency),
  p50Nanos: percentileNanos(latency, percentiles.p50),
  p99Nanos: percentileNanos(latency, percentiles.p99),
  maxNanos
})

const line = (name: string, text: string): string => `${name.padEnd(20)}${text}`

const timesText = ({ count, maxNanos, p50Nanos, p99Nanos }: Times): string =>
  `p50 ${formatNanos(p50Nanos)}, p99 ${formatNanos(p99Nanos)}, max ${formatNanos(maxNanos)}, ${count} times`

const linesOf = (diagnosis: Output<"doctor">): ReadonlyArray<string> => {
  const { advice, archive, clockJumpMillis, directory, fileSystem, freeBytes, measures, recorderSync } = diagnosis
  return [
    line("directory", directory),
    line(
      "file system",
      fileSystem === null
        ? "unknown"
        : `${fileSystem.type}, ${fileSystem.device} at ${fileSystem.mountPoint}`
    ),
    line("free space", formatBytes(freeBytes)),
    line("open files", diagnosis.openFilesMax === null ? "no limit known" : `up to ${diagnosis.openFilesMax}`),
    line("processors", String(diagnosis.cpus)),
    line("node", diagnosis.nodeVersion),
    line(
      "clock",
      `steps of ${formatNanos(diagnosis.clockStepNanos)}; wall clock ${
        Math.abs(clockJumpMillis) <= 1 ? "steady" : `moved by ${clockJumpMillis} ms`
      }`
    ),
    ...(measures === null ? [] : [
      line(
        "sequential write",
        `${formatBytes(measures.write.bytesPerSecond)}/s, ${formatBytes(measures.write.bytes)} synced every 16 MiB`
      ),
      line("synced append", `${timesText(measures.sync)}, 512 bytes each`),
      line("rotation", `${timesText(measures.rotation)}, besides writing events`)
    ]),
    ...(recorderSync === null ? [] : [line("recorder's syncs", `${timesText(recorderSync)}, since its start`)]),
    ...(archive === null ? [] : [
      line("archive", `${archive.url}; conditions are kept`),
      line("  put", `${timesText(archive.put)}, 4 KiB each; ${formatBytes(archive.putBytesPerSecond)}/s in 8 MiB`),
      line("  get", `${timesText(archive.range)}, 1 MiB each; ${formatBytes(archive.getBytesPerSecond)}/s in 8 MiB`)
    ]),
    ...diagnosis.findings.map(({ level, text }) => `${level}: ${text}`),
    ...(advice === null ? [] : [
      ...adviceLines(advice),
      `try: effect-wal record --dir ${directory} --segment-bytes ${
        flagSize(advice.segmentBytes)
      } --commit ${advice.commit}`
    ])
  ]
}
