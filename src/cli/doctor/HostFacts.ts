/**
 * Reads what matters to a recorder about the machine: the file system of a directory, open files, processors, clocks.
 * Reads `/proc` where it exists; what is unknown is null.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { availableParallelism } from "node:os"

/** The file system of a directory. */
interface FileSystemFacts {
  /** As the kernel calls it: `ext4`, `tmpfs`, `nfs4`, `fuse.sshfs`. */
  readonly type: string
  readonly device: string
  readonly mountPoint: string
}

/** The state of the machine at one moment. */
export interface HostFacts {
  readonly nodeVersion: string
  readonly cpus: number
  /** Files that this process may have open; null off Linux, or when there is no limit. */
  readonly openFilesMax: number | null
  /** Null off Linux. */
  readonly fileSystem: FileSystemFacts | null
  /** The smallest step of the monotonic clock that was seen. */
  readonly clockStepNanos: number
}

/** Reads the facts of the machine and of the file system of a directory. */
export const hostFacts = (directory: string): Effect.Effect<HostFacts, never, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const fileSystem = yield* FileSystem.FileSystem
    const limits = yield* readText("/proc/self/limits")
    const mounts = yield* readText("/proc/self/mountinfo")
    const path = yield* Effect.catch(fileSystem.realPath(directory), () => Effect.succeed(directory))
    const facts: HostFacts = {
      nodeVersion: process.version,
      cpus: availableParallelism(),
      openFilesMax: limits === undefined ? null : openFilesOf(limits),
      fileSystem: mounts === undefined ? null : fileSystemOf(mounts, path),
      clockStepNanos: clockStepNanos()
    }
    return facts
  })

const readText = (path: string): Effect.Effect<string | undefined, never, FileSystem.FileSystem> =>
  FileSystem.FileSystem.use((fileSystem) =>
    Effect.catch(fileSystem.readFileString(path), () => Effect.succeed(undefined))
  )

/** Finds the soft limit of open files in the text of `/proc/PID/limits`; null if it is `unlimited` or missing. */
export const openFilesOf = (limits: string): number | null => {
  const match = /^Max open files\s+(\d+)/m.exec(limits)
  return match === null ? null : Number(match[1])
}

/** Decodes a name: the kernel writes spaces, tabs, line feeds and backslashes as three octal digits. */
const unescape = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))

/**
 * Finds the file system of `path` in the text of `/proc/PID/mountinfo` (proc(5)); `path` must contain no links. It is
 * the one with the longest mount point above `path`. Of several at the same mount point it is the last, which covers
 * the others.
 */
export const fileSystemOf = (mountinfo: string, path: string): FileSystemFacts | null => {
  let found: FileSystemFacts | null = null
  for (const line of mountinfo.split("\n")) {
    const [mount = "", rest = ""] = line.split(" - ")
    const mountPoint = unescape(mount.split(" ")[4] ?? "")
    const [type = "", device = ""] = rest.split(" ")
    const holds = mountPoint !== "" &&
      (mountPoint === "/" || path === mountPoint || path.startsWith(`${mountPoint}/`))
    if (!holds || mountPoint.length < (found?.mountPoint.length ?? 0)) continue
    found = { type, device: unescape(device), mountPoint }
  }
  return found
}

const readings = 2000

const clockStepNanos = (): number => {
  let step = Infinity
  let before = process.hrtime.bigint()
  for (let reading = 0; reading < readings; reading++) {
    const now = process.hrtime.bigint()
    if (now > before) step = Math.min(step, Number(now - before))
    before = now
  }
  return step
}

/**
 * Compares both clocks from now on. The function that it returns gives the milliseconds by which the wall clock has
 * moved more than the monotonic clock. If they are not about 0, the wall clock was set.
 */
export const watchClocks = (): () => number => {
  const difference = () => Date.now() - performance.now()
  const before = difference()
  return () => Math.round(difference() - before)
}
