/**
 * Derives the advice of a doctor from what it found: what is wrong, and which `--segment-bytes` and `--commit` to use.
 * It is pure. The rules are those of `docs/CLI.md`:
 *
 * - segment size: the smallest of 16, 32 and 64 MiB whose rotation (p50) takes at most 1 % of the time that writing one
 *   takes; 64 MiB when none does
 * - commit: `every`, when a sync (p50) takes at most 10 ms; else a duration of at least 20 syncs, so that syncing takes
 *   at most 5 % of the time
 */
import * as Retention from "../../maintainer/retention/Retention.ts"
import * as WalConfig from "../../recorder/WalConfig.ts"
import { formatBytes, formatNanos } from "../../telemetry/TelemetryDump.ts"
import { formatSize } from "../flags/flags.ts"
import type { DiskMeasures, Times } from "./DiskProbe.ts"
import type { HostFacts } from "./HostFacts.ts"

/** A fact that the operator should know. A `warning` means that recording here will fail or not keep its promises. */
interface Finding {
  readonly level: "warning" | "note"
  readonly text: string
}

/** The flags to give to `record`, and the figures behind them. */
export interface Advice {
  readonly segmentBytes: number
  /** The share of the disk's time that rotations take while it writes as fast as it can, 0 to 1. */
  readonly rotationShare: number
  /** As `--commit` reads it. */
  readonly commit: string
  /** The commits per second that the disk allows one caller that waits for each of them: 1 / p50 of a sync. */
  readonly commitsPerSecond: number
}

/** What a doctor found; null where nothing was measured. */
export interface Found {
  readonly host: HostFacts
  readonly freeBytes: number
  readonly measures: DiskMeasures | null
  /** How far the wall clock was set during the measurement. */
  readonly clockJumpMillis: number
}

const mebibyte = 1024 * 1024
const segmentSizes = [16, 32, 64].map((size) => size * mebibyte)
const rotationShareMax = 0.01

const everyNanosMax = 10e6
const syncsPerCommit = 20
const durationsMillis = [250, 500, 1000, 2000, 5000]

/** Chooses the segment size for the measured figures. */
export const adviseSegments = (
  { rotation, write }: Pick<DiskMeasures, "rotation" | "write">
): Pick<Advice, "segmentBytes" | "rotationShare"> => {
  const shareOf = (bytes: number): number => {
    const writeNanos = bytes / write.bytesPerSecond * 1e9
    return rotation.p50Nanos / (rotation.p50Nanos + writeNanos)
  }
  const segmentBytes = segmentSizes.find((bytes) => shareOf(bytes) <= rotationShareMax) ?? 64 * mebibyte
  return { segmentBytes, rotationShare: shareOf(segmentBytes) }
}

/** Chooses the commit policy for the measured cost of a sync. */
export const adviseCommit = ({ p50Nanos }: Times): Pick<Advice, "commit" | "commitsPerSecond"> => {
  const millisMin = p50Nanos / 1e6 * syncsPerCommit
  const millis = durationsMillis.find((duration) => duration >= millisMin) ?? 10_000
  return {
    commit: p50Nanos <= everyNanosMax ? "every" : `${millis}ms`,
    commitsPerSecond: Math.floor(1e9 / Math.max(1, p50Nanos))
  }
}

/** In memory: a restart of the machine loses the files. */
const memoryTypes = ["tmpfs", "ramfs", "devtmpfs"]
/**
 * On another machine: it depends on that machine whether a sync reaches the device and whether the lock excludes
 * others.
 */
const networkTypes =
  /^(nfs\d?|cifs|smb\d?|smbfs|9p|afs|ceph|lustre|gpfs|beegfs|fuse\.(sshfs|glusterfs|s3fs|rclone|ceph.*))$/

/** Several times what the recorder, its threads and a few readers need. */
const openFilesMin = 256
/** A clock that is synchronized gradually moves by less. */
const clockJumpMillisMax = 50

/** Lists what the operator should know about the directory and the machine. */
export const findings = (
  { clockJumpMillis, freeBytes, host, measures }: Found,
  advice: Pick<Advice, "segmentBytes" | "rotationShare"> | undefined
): ReadonlyArray<Finding> => {
  const found: Array<Finding> = []
  const warn = (text: string) => found.push({ level: "warning", text })
  const note = (text: string) => found.push({ level: "note", text })
  const type = host.fileSystem?.type ?? ""
  if (memoryTypes.includes(type)) {
    warn(`${type} is memory: nothing recorded here survives a restart of the machine; use a directory on a disk`)
  } else if (networkTypes.test(type)) {
    warn(`${type} is a network file system: durability and locking depend on the server; use a local disk`)
  } else if (type === "overlay") {
    note("overlay is a container's own layer, which is deleted with the container; mount a volume for the log")
  }
  const segmentBytes = advice?.segmentBytes ?? WalConfig.defaults.segmentBytesMax
  const needed = bytesAtMost(segmentBytes)
  if (freeBytes < needed) {
    warn(
      `${formatBytes(freeBytes)} are free, and segments of ${
        formatSize(segmentBytes)
      } within the default limits may take ` +
        `${formatBytes(needed)}; make room, or lower --max-compressed-segments`
    )
  }
  if (host.openFilesMax !== null && host.openFilesMax < openFilesMin) {
    warn(`only ${host.openFilesMax} files may be open; raise the limit to at least ${openFilesMin} (ulimit -n)`)
  }
  if (Math.abs(clockJumpMillis) > clockJumpMillisMax) {
    warn(
      `the wall clock was set by ${clockJumpMillis} ms during the measurement; segments carry its time, so let one ` +
        "program adjust it slowly"
    )
  }
  if (advice !== undefined && advice.rotationShare > rotationShareMax) {
    note(
      `at full speed rotations take ${percent(advice.rotationShare)} of the disk's time even with ` +
        `${formatSize(advice.segmentBytes)}; slower traffic spends less`
    )
  }
  if (measures !== null && measures.sync.p99Nanos > 20 * measures.sync.p50Nanos) {
    note(
      `one sync in a hundred takes ${formatNanos(measures.sync.p99Nanos)} or more, against ${
        formatNanos(measures.sync.p50Nanos)
      } usually: something else uses this disk, or the disk itself pauses`
    )
  }
  return found
}

/** Gives the bytes of hot and cold segments at the default limits, all incompressible, and one more during a freeze. */
const bytesAtMost = (segmentBytes: number): number => {
  const { maxCompressedSegments, maxSegments } = Retention.defaultLimits
  const cold = maxCompressedSegments === "unlimited" ? 0 : maxCompressedSegments
  return (maxSegments + cold + 1) * segmentBytes
}

const percent = (share: number): string => `${(share * 100).toPrecision(2)} %`

/** Formats the advice for people. */
export const adviceLines = (
  { commit, commitsPerSecond, rotationShare, segmentBytes }: Advice
): ReadonlyArray<string> => [
  `advice: --segment-bytes ${flagSize(segmentBytes)}: rotations take ${
    percent(rotationShare)
  } of the disk's time at full ` +
  `speed; the recorder's memory is ${formatSize(segmentBytes * WalConfig.defaults.slots)}`,
  `advice: --commit ${commit}: a caller that waits for each commit gets at most ${commitsPerSecond} a second from ` +
  "this disk; callers that wait together share a sync"
]

/** Formats a size as `--segment-bytes` reads it without quotes. */
export const flagSize = (bytes: number): string => formatSize(bytes).replace(" ", "")
