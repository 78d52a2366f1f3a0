/**
 * What a log needs of the runtime and of the file system of its directory. It is asked for once, when a directory is
 * opened for recording: what is missing fails the start in one line that names it, instead of stopping a recorder
 * later, when it holds events.
 *
 * - a Node in which every part runs
 * - fsync, which Node's permission model disables
 * - a sync of directories
 * - `rename` over a file that exists
 * - Unix sockets, which the lock asks for (`LockSocket`)
 *
 * So Windows is refused: it syncs no directory, and has no Unix sockets with names in one. Neither hard links nor
 * `/proc` are needed.
 */
import * as Effect from "effect/Effect"
import { dirname } from "node:path"
import type { Disk } from "./Disk.ts"
import { DiskError } from "./Disk.ts"
import { Unsupported } from "./DiskReason.ts"
import { abilityNames } from "./FileNames.ts"
import { pathIn } from "./SegmentDirectory.ts"

/** The calls with which a directory is tried. */
interface ProbeCalls extends Pick<Disk["Service"], "open" | "rename" | "unlink" | "syncDirectory"> {
  /** The number of the file system that a path is on. */
  readonly deviceOf: (path: string) => Effect.Effect<number, DiskError>
}

/** The oldest Node, as `engines` in package.json has it. */
const nodeMin = { major: 22, minor: 19 } as const

/** What Node's permission model answers; such an error names no call. */
export const refusedByNode = "ERR_ACCESS_DENIED"

/** What a file system without syncs of directories answers to one, or to the opening of a directory for it. */
const errnosWithoutDirectorySync = ["EINVAL", "EISDIR", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]

/** The same on Windows, which elsewhere would tell of permissions. */
const errnosOfWindows = ["EPERM", "EACCES", "EBADF"]

/** What listening at a socket fails with where there are none, as on FAT or where a sandbox forbids them. */
const errnosWithoutSockets = ["EPERM", "EOPNOTSUPP", "ENOTSUP", "ENOSYS", "EINVAL", "EAFNOSUPPORT"]

/** The ability that is missing where an operation fails with this errno; `undefined` when none is. */
export const missingAbility = (operation: string, errno: string, platform: string): string | undefined => {
  const isWindows = platform === "win32"
  if (errno === refusedByNode) {
    return operation === "sync" || operation === "syncDirectory"
      ? "Node's permission model disables fsync; start the program without --permission"
      : undefined
  }
  if (operation === "syncDirectory") {
    const isMissing = errnosWithoutDirectorySync.includes(errno) || (isWindows && errnosOfWindows.includes(errno))
    if (!isMissing) return undefined
    return isWindows
      ? "Windows syncs no directory, so no name of a file is durable; record in WSL, on its own file system"
      : "directories cannot be synced here, so no name of a file is durable"
  }
  const isSocketMissing = operation === "listen" && (errnosWithoutSockets.includes(errno) || isWindows)
  return isSocketMissing ? "a lock is a Unix socket in the directory" : undefined
}

/** Fails with `Unsupported` if this version of Node is too old to record. */
export const requireNode = (directory: string, version: string): Effect.Effect<void, DiskError> => {
  const [major = 0, minor = 0] = version.split(".").map(Number)
  const isNewEnough = major > nodeMin.major || (major === nodeMin.major && minor >= nodeMin.minor)
  return isNewEnough
    ? Effect.void
    : Effect.fail(missing(directory, `Node ${version} is too old; recording needs ${nodeMin.major}.${nodeMin.minor}`))
}

/**
 * Tries in a directory, of which the caller holds the lock, what recording needs. Fails with `Unsupported` and the
 * missing ability. A full disk on which nothing can be tried counts as able. Leaves no file; a crash may, and the next
 * start removes it.
 */
export const requireDirectoryAbilities = Effect.fnUntraced(function*(directory: string, calls: ProbeCalls) {
  const [name, freshName] = abilityNames
  const path = pathIn(directory, name)
  const fresh = pathIn(directory, freshName)
  const create = (at: string) => Effect.flatMap(calls.open(at, "create"), (file) => file.close)
  const createBoth = Effect.andThen(create(path), create(fresh))
  const remove = Effect.andThen(Effect.ignore(calls.unlink(fresh)), Effect.ignore(calls.unlink(path)))
  const rename = Effect.mapError(calls.rename(fresh, path), (error) => {
    const { reason } = error
    if (reason._tag === "Held" || passing.has(reason._tag)) return error
    return missing(directory, `${reason.detail}: no file can be renamed over another here`, error)
  })
  yield* createBoth.pipe(
    // A start that was killed here has left them.
    Effect.catchReason("DiskError", "Exists", () => Effect.andThen(remove, createBoth)),
    Effect.andThen(rename),
    Effect.andThen(calls.unlink(path)),
    Effect.onError(() => remove),
    Effect.catchReason("DiskError", "Full", () => Effect.void)
  )
  // Every parent was synced already, and a sync takes longer than all the rest.
  const isMounted = (yield* calls.deviceOf(directory)) !== (yield* calls.deviceOf(dirname(directory)))
  if (isMounted) yield* calls.syncDirectory(directory)
})

/** Reasons that have nothing to do with an ability. */
const passing: ReadonlySet<string> = new Set(["Full", "TooManyFiles", "Io", "NotFound"])

const missing = (path: string, detail: string, cause?: unknown) =>
  new DiskError({ operation: "open", path, reason: new Unsupported({ detail }), cause })
