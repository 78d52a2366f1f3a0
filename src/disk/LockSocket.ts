/**
 * A lock for which sockets stand: at most one process holds it, and never one that has died.
 *
 * A process that wants the lock `D/wal.lock` listens at a Unix socket of its own,
 * `D/wal.lock.HOST.PID.BOOT.DEVICE.TOKEN`, and then looks for another such socket that is alive. If there is none, it
 * holds the lock until it removes its own. The kernel tells whether a socket is alive (see `UnixSocket`), in whatever
 * process, host, user or mount namespace its process is, and ends it with its process, in whatever way that dies.
 *
 * Why there is at most one holder: every process shows its own socket before it looks for others, and a holder's socket
 * stays. Of two holders, the one that looked later would have seen the other's. A socket gets its name only when it
 * listens already. So a socket that refuses is dead for good; its name is never used again, and every process may
 * remove it.
 *
 * Two processes that begin at once may see each other. The one whose name is greater gives way; the other looks again
 * until it has. If that takes longer than a second, the greater one had seen nobody and holds the lock.
 *
 * A socket takes no block of the disk, so a full disk does not stand in the way. Its name tells who holds the lock, and
 * consists of letters, digits, dots, dashes and underscores: an error that quotes it does nothing to a terminal.
 *
 * A socket of another kernel's process refuses as a dead one does. So a refusal counts only where the two can be told
 * apart (`isDead`). Otherwise the lock stays held, and the error names the file that a person may remove.
 *
 * A socket has a private name, which ends in `.tmp`, before it has its own. The holder may delete every private name.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import { hostname, uptime } from "node:os"
import { basename, dirname, join, resolve } from "node:path"
import { DiskError } from "./Disk.ts"
import type { DiskReason } from "./DiskReason.ts"
import { Held, Io } from "./DiskReason.ts"

/** What a file system tells about the directory of a lock. */
interface DirectoryStat {
  /** The number that this kernel gave to the file system. */
  readonly device: number
  /** The kind of file system, as Linux counts kinds. */
  readonly kind: number
  readonly uid: number
  readonly gid: number
}

/** What the lock asks of the system. */
export interface LockCalls {
  readonly names: (directory: string) => Effect.Effect<ReadonlyArray<string>, DiskError>
  /**
   * When a socket was made, Unix time in milliseconds; undefined when the name stands for nothing, or for something
   * else, as a link to a socket.
   */
  readonly madeMillis: (path: string) => Effect.Effect<number | undefined, DiskError>
  readonly directoryStat: (path: string) => Effect.Effect<DirectoryStat, DiskError>
  readonly rename: (from: string, to: string) => Effect.Effect<void, DiskError>
  readonly unlink: (path: string) => Effect.Effect<void, DiskError>
  /** Gives a name to another owner; of a link, the link itself. */
  readonly giveTo: (path: string, uid: number, gid: number) => Effect.Effect<void, DiskError>
  /** Listens at a new socket; returns what ends that. */
  readonly listen: (path: string) => Effect.Effect<Effect.Effect<void>, DiskError>
  /** Connects to a socket; the errno when that fails, otherwise `""`. */
  readonly knock: (path: string) => Effect.Effect<string, DiskError>
  /** The boot of this kernel as it calls itself; empty where it does not tell. */
  readonly bootId: Effect.Effect<string>
  /** Whether a process of this number runs on this machine, or may. */
  readonly isProcess: (pid: number) => Effect.Effect<boolean>
  /** As `process.platform`. */
  readonly platform: string
  /** Some milliseconds of real time: rivals are processes, to which a test's clock means nothing. */
  readonly pause: Effect.Effect<void>
}

/** Who listens at a socket, as its name says. Texts are as short and plain as `describeMyself` makes them. */
interface Holder {
  readonly name: string
  readonly host: string
  readonly pid: number
  /** The beginning of Linux' boot id, or `unknownBoot`. */
  readonly boot: string
  /** The number that the holder's kernel gave to the file system. */
  readonly device: number
}

const unknownBoot = "0"
const holderPattern = /^([\w.-]{1,32})\.(\d{1,10})\.([0-9a-f]{1,8})\.([0-9a-f]{1,16})\.[0-9a-f]{12}$/

const holderOf = (prefix: string, name: string): Holder | undefined => {
  if (!name.startsWith(prefix)) return undefined
  const [, host, pid, boot, device] = holderPattern.exec(name.slice(prefix.length)) ?? []
  if (host === undefined || pid === undefined || boot === undefined || device === undefined) return undefined
  return { name, host, pid: Number(pid), boot, device: Number.parseInt(device, 16) }
}

const nameOf = (prefix: string, me: Omit<Holder, "name">, token: string): string =>
  `${prefix}${me.host}.${me.pid}.${me.boot}.${me.device.toString(16)}.${token}`

/**
 * The file systems, by the numbers of Linux' `statfs`, that one kernel at a time works on: ext2 to ext4, xfs, btrfs,
 * f2fs, bcachefs, zfs, jfs, reiserfs, nilfs2, ntfs3, tmpfs, ramfs, and overlay, whose upper layer is one of them.
 */
const localFileSystems: ReadonlySet<number> = new Set([
  0xEF53,
  0x58465342,
  0x9123683E,
  0xF2F52010,
  0xCA451A4E,
  0x2FC12FC1,
  0x3153464A,
  0x52654973,
  0x3434,
  0x7366746E,
  0x01021994,
  0x858458F6,
  0x794C7630
])

/** Where a process stands when it judges a socket. */
interface Place {
  readonly directory: string
  readonly prefix: string
  readonly me: Omit<Holder, "name">
  readonly stat: DirectoryStat
}

/** With the pauses between them, a second. */
const looksMax = 200
/** The private name is swept away that often only when something is badly wrong. */
const attemptsMax = 100

/** A socket whose knocks are cut off that often is not one of ours. */
const knocksMax = 20

/** Names that this copy of the module holds: an application that opens one directory twice is told so. */
const heldHere = new Set<string>()

/**
 * Takes the lock and gives it back when the scope closes. Fails with `Held`, which names the holder, while another
 * holder has it, in this process too.
 */
export const holdLock = (path: string, calls: LockCalls): Effect.Effect<void, DiskError, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.gen(function*() {
      const place = yield* describe(resolve(path), calls)
      // A holder is seen, and what the dead left is removed, before anything is made: a full disk may need that.
      yield* refuse(yield* rivals(place, undefined, calls))
      const mine = yield* show(place, calls)
      return yield* Effect.onError(Effect.as(prevail(place, mine.name, calls), mine), () => mine.close)
    }).pipe(
      Effect.mapError((error) => new DiskError({ operation: "lock", path, reason: error.reason, cause: error.cause }))
    ),
    (mine) => mine.close
  ))

/** Who holds the lock, or may hold it; undefined when nobody does. Takes nothing and removes nothing. */
export const findHolder = Effect.fnUntraced(
  function*(path: string, calls: LockCalls) {
    const place = yield* describe(resolve(path), calls)
    const [rival] = yield* rivals(place, undefined, { ...calls, unlink: () => Effect.void })
    return rival?.words
  }
)

/** A rival, and why it is one. */
interface Rival {
  readonly name: string
  readonly isAlive: boolean
  readonly words: string
}

/** Returns when no other socket is alive beside ours. */
const prevail = Effect.fnUntraced(function*(place: Place, name: string, calls: LockCalls) {
  for (let look = 1;; look++) {
    const others = yield* rivals(place, name, calls)
    if (others.length === 0) return
    const goesFirst = others.filter((rival) => rival.name < name || !rival.isAlive)
    yield* refuse(look < looksMax ? goesFirst : others)
    yield* calls.pause
  }
})

const refuse = ([rival]: ReadonlyArray<Rival>): Effect.Effect<void, DiskError> =>
  rival === undefined ? Effect.void : Effect.fail(failure(new Held({ holder: rival.words })))

/** Makes our socket known under the name that is returned; `close` ends both. */
const show = Effect.fnUntraced(function*({ directory, me, prefix, stat }: Place, calls: LockCalls) {
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const token = randomBytes(6).toString("hex")
    const temporary = join(directory, `${prefix}${token}.tmp`)
    const name = nameOf(prefix, me, token)
    const end = yield* calls.listen(temporary)
    // What root leaves behind must not keep out the owner, who may connect only to a socket of their own.
    const give = stat.uid === process.geteuid?.()
      ? Effect.void
      : Effect.ignore(calls.giveTo(temporary, stat.uid, stat.gid))
    const isShown = yield* give.pipe(
      Effect.andThen(calls.rename(temporary, join(directory, name))),
      Effect.as(true),
      // The holder has swept it away. It is seen now, or has ended since.
      Effect.catchReason("DiskError", "NotFound", () => Effect.succeed(false)),
      Effect.onError(() => Effect.andThen(Effect.ignore(calls.unlink(temporary)), end))
    )
    if (isShown) {
      heldHere.add(name)
      const close = Effect.suspend(() => {
        heldHere.delete(name)
        // The name first, so that no dead socket is left; one whose directory was moved meanwhile is left to the next.
        return Effect.andThen(Effect.ignore(calls.unlink(join(directory, name))), end)
      })
      return { name, close }
    }
    yield* end
  }
  return yield* failure(new Io({ detail: "the socket is removed each time it is made" }))
})

/**
 * ECONNRESET: the socket was closed while this knock waited in its queue. What is there now only another knock tells.
 */
const knockAgain = (path: string, calls: LockCalls): Effect.Effect<string, DiskError> =>
  Effect.repeat(calls.knock(path), { while: (code) => code === "ECONNRESET", times: knocksMax })

/** Every socket of another that is alive or may be. Those that are dead are removed where that is allowed. */
const rivals = Effect.fnUntraced(function*(place: Place, mine: string | undefined, calls: LockCalls) {
  const found: Array<Rival> = []
  for (const name of yield* calls.names(place.directory)) {
    const holder = name === mine ? undefined : holderOf(place.prefix, name)
    if (holder === undefined) continue
    const path = join(place.directory, name)
    const madeMillis = yield* calls.madeMillis(path)
    if (madeMillis === undefined) continue
    const code = yield* knockAgain(path, calls)
    const since = new Date(madeMillis).toISOString()
    const process = `process ${holder.pid} on ${holder.host}, since ${since}`
    // EAGAIN: it listens, and more connections wait than it has room for.
    if (code === "" || code === "EAGAIN") {
      found.push({ name, isAlive: true, words: heldHere.has(name) ? `this very process; ${process}` : process })
    } else if (code === "ECONNREFUSED" && (yield* isDead(holder, madeMillis, place, calls))) {
      yield* Effect.ignore(calls.unlink(path))
    } else if (code !== "ENOENT") {
      const words = `${process}; whether it lives cannot be told from here (${code}): if it does not, remove ${path}`
      found.push({ name, isAlive: false, words })
    }
  }
  return found
})

/**
 * Whether a socket that refuses is dead for certain, and not just another kernel's. On a local file system it is when
 * it was made by this kernel, before this kernel started, or on this host (whose clock may have stood wrong then). On
 * any other, a network's for instance, it is when it was made by this kernel through the same mounted file system.
 *
 * Only Linux refuses for no other reason. The kernels of BSD, that of macOS among them, refuse too when more
 * connections wait than a living socket has room for. There no process of the holder's number may run besides.
 */
const isDead = Effect.fnUntraced(function*(
  holder: Holder,
  madeMillis: number,
  { me, stat }: Place,
  { isProcess, platform }: LockCalls
) {
  const isThisHost = holder.host === me.host
  const isThisKernel = holder.boot === me.boot && (me.boot !== unknownBoot || isThisHost)
  const isLocal = platform === "linux" && localFileSystems.has(stat.kind)
  if (isLocal) return isThisKernel || isThisHost || madeMillis < Date.now() - uptime() * 1000
  if (!isThisKernel || holder.device !== me.device) return false
  return platform === "linux" || !(yield* isProcess(holder.pid))
})

const describe = Effect.fnUntraced(function*(path: string, calls: LockCalls) {
  const directory = dirname(path)
  const stat = yield* calls.directoryStat(directory)
  const boot = (yield* calls.bootId).replaceAll(/[^0-9a-f]/g, "").slice(0, 8)
  const place: Place = {
    directory,
    prefix: `${basename(path)}.`,
    me: {
      host: hostname().replaceAll(/[^\w.-]/g, "_").slice(0, 32) || "_",
      pid: process.pid,
      boot: boot === "" ? unknownBoot : boot,
      device: stat.device
    },
    stat
  }
  return place
})

/** `holdLock` puts in the path. */
const failure = (reason: DiskReason) => new DiskError({ operation: "lock", path: "", reason })
