/**
 * A lock that a file stands for: at most one living holder, and no false lock after a crash or a restart.
 *
 * The file holds one JSON line that names its holder. It is written under a private name and linked to the name of the
 * lock, so the name stands for a whole line or for nothing, and of two who link at once one fails.
 *
 * Whether a holder lives is judged so:
 *
 * 1. Same boot, same process namespace (off Linux: same host): by its process number. It lives when that process runs
 *    and was started at the time the holder wrote down, so a number that was given to another process deceives
 *    nobody.
 * 2. Otherwise, same host name: dead. The machine or the container was restarted since.
 * 3. Otherwise: it cannot be known from here, so it is taken to live. A person who knows better removes the file.
 * 4. A line that is cut off, or nothing but zeros, was left by a power failure: dead. Any other content is not ours
 *    and not touched (`Unsafe`).
 *
 * Taking the place of a dead holder needs a second lock, named after the dead holder's token and taken in the same
 * way. Only its owner may replace that dead holder, and looks again before it does; the replacing is a rename of the
 * second lock to the name of the first. So two who judge the same holder dead cannot both win, whatever the timing,
 * and a taker who crashes half-way leaves a dead holder like any other.
 *
 * All private names end in `.tmp`. Whoever holds the lock may delete every such file beside it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import { hostname } from "node:os"
import type { DiskFile, OpenMode } from "./Disk.ts"
import { DiskError, readFully, writeFully } from "./Disk.ts"

/** The file calls that a lock file needs. @since 0.1.0 @category models */
interface LockFileCalls {
  readonly open: (path: string, mode: OpenMode) => Effect.Effect<DiskFile, DiskError>
  readonly rename: (from: string, to: string) => Effect.Effect<void, DiskError>
  readonly unlink: (path: string) => Effect.Effect<void, DiskError>
  /** Gives the file `from` a second name, atomically; `Exists` when `to` is taken. */
  readonly link: (from: string, to: string) => Effect.Effect<void, DiskError>
  /** What a symbolic link points at. */
  readonly readLink: (path: string) => Effect.Effect<string, DiskError>
}

/**
 * Whether a name beside the lock file `lockName` is a private name of somebody who takes or took it. A crash leaves such
 * files; only the holder of the lock may delete them, and whoever is taking it at that moment simply begins again.
 */
export const isPrivateName = (lockName: string, name: string): boolean =>
  name.startsWith(`${lockName}.`) && name.endsWith(".tmp")

/** The first field of every lock file; tells a line of ours from a foreign file. */
const signature = `{"lock":"effect-wal"`

/** Who holds a lock, as its file says. Texts are empty where the system does not tell. */
const Holder = Schema.fromJsonString(Schema.Struct({
  lock: Schema.Literal("effect-wal"),
  pid: Schema.Int.check(Schema.isGreaterThan(0)),
  /** Field 22 of /proc/PID/stat: clock ticks from the boot to the start of the process. */
  started: Schema.String,
  /** /proc/sys/kernel/random/boot_id */
  boot: Schema.String,
  /** What /proc/self/ns/pid points at: process numbers mean something within one namespace only. */
  namespace: Schema.String,
  host: Schema.String,
  since: Schema.String,
  /** Stands for this one taking of the lock. */
  token: Schema.String.check(Schema.isPattern(/^[0-9a-f]{1,32}$/))
}))
type Holder = typeof Holder.Type

const decodeHolder = Schema.decodeUnknownOption(Holder)

/** Larger than any line of ours. */
const lineBytesMax = 4096
/** The lock changes hands that often while one contender looks only when something is badly wrong. */
const attemptsMax = 100

/**
 * Takes the lock and gives it back when the scope closes. Fails with `Held` and the holder in `detail` while another
 * living holder has it, this very process included.
 */
export const holdLock = (path: string, calls: LockFileCalls): Effect.Effect<void, DiskError, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.gen(function*() {
      const me = yield* describeMyself(calls)
      yield* take(path, me, calls)
      return me
    }).pipe(
      Effect.mapError((error) =>
        new DiskError({ operation: "lock", path, reason: error.reason, detail: error.detail, cause: error.cause })
      )
    ),
    // Nobody replaces a living holder, so the file is ours unless a person removed it. If it cannot be unlinked now, it
    // says so until this process ends, and is a dead holder's afterwards.
    (me) =>
      Effect.gen(function*() {
        if ((yield* readText(path, calls)) === lineOf(me)) yield* calls.unlink(path)
      }).pipe(Effect.ignore)
  ))

/** Returns when `name` stands for a line of ours. */
const take = (name: string, me: Holder, calls: LockFileCalls): Effect.Effect<void, DiskError> =>
  Effect.gen(function*() {
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      if (yield* linkLine(name, me, calls)) return
      const found = yield* readText(name, calls)
      if (found === undefined) continue
      const holder = Option.getOrUndefined(decodeHolder(found))
      if (holder === undefined && !isTorn(found)) return yield* failure(name, "Unsafe", "not a lock file of effect-wal")
      if (holder !== undefined) {
        const livingAs = yield* judge(holder, me, calls)
        if (livingAs !== undefined) return yield* failure(name, "Held", livingAs)
      }
      const claim = `${name}.after-${holder?.token ?? "torn"}.tmp`
      yield* take(claim, me, calls)
      // The claim is ours: from here on nobody else may replace what was found, if it is still there.
      if ((yield* readText(name, calls)) === found) {
        return yield* Effect.tapError(calls.rename(claim, name), () => Effect.ignore(calls.unlink(claim)))
      }
      yield* Effect.ignore(calls.unlink(claim))
    }
    return yield* failure(name, "Held", "it keeps changing hands")
  })

/** Whether our line got the name; false when the name is taken, or somebody swept our private file away meanwhile. */
const linkLine = (name: string, me: Holder, calls: LockFileCalls): Effect.Effect<boolean, DiskError> => {
  const temporary = `${name}.${randomBytes(8).toString("hex")}.tmp`
  return Effect.gen(function*() {
    const file = yield* calls.open(temporary, "create")
    yield* Effect.ensuring(writeFully(file, [Buffer.from(lineOf(me))], 0), file.close)
    return yield* Effect.as(calls.link(temporary, name), true).pipe(
      Effect.catchIf(
        (error) => error.reason === "Exists" || error.reason === "NotFound",
        () => Effect.succeed(false)
      )
    )
  }).pipe(Effect.ensuring(Effect.ignore(calls.unlink(temporary))))
}

const lineOf = (holder: Holder): string => `${JSON.stringify(holder)}\n`

const failure = (path: string, reason: "Held" | "Unsafe", detail: string) =>
  new DiskError({ operation: "lock", path, reason, detail })

/** The text of a small file; undefined when there is none. */
const readText = (path: string, calls: LockFileCalls): Effect.Effect<string | undefined, DiskError> =>
  Effect.gen(function*() {
    const file = yield* calls.open(path, "read")
    const target = new Uint8Array(lineBytesMax)
    const bytes = yield* Effect.ensuring(readFully(file, target, 0), file.close)
    return Buffer.from(target.buffer, 0, bytes).toString()
  }).pipe(Effect.catch((error) => error.reason === "NotFound" ? Effect.undefined : Effect.fail(error)))

/** Whether the text is what a power failure can leave of a line of ours. */
const isTorn = (text: string): boolean => {
  const written = text.slice(0, text.indexOf("\0") === -1 ? text.length : text.indexOf("\0"))
  return !written.endsWith("\n") && (signature.startsWith(written) || written.startsWith(signature))
}

const describeMyself = (calls: LockFileCalls): Effect.Effect<Holder, DiskError> =>
  Effect.gen(function*() {
    const since = new Date(yield* Clock.currentTimeMillis).toISOString()
    const boot = yield* readOrEmpty(readText("/proc/sys/kernel/random/boot_id", calls))
    const process = yield* processState(globalThis.process.pid, calls)
    return {
      lock: "effect-wal",
      pid: globalThis.process.pid,
      started: process?.started ?? "",
      boot: boot.trim(),
      namespace: yield* readOrEmpty(calls.readLink("/proc/self/ns/pid")),
      host: hostname(),
      since,
      token: randomBytes(6).toString("hex")
    }
  })

const readOrEmpty = (text: Effect.Effect<string | undefined, DiskError>): Effect.Effect<string> =>
  Effect.map(Effect.option(text), (found) => Option.getOrUndefined(found) ?? "")

/** State and start time of a process; undefined where /proc does not tell. */
const processState = Effect.fnUntraced(function*(pid: number, calls: LockFileCalls) {
  const stat = yield* readOrEmpty(readText(`/proc/${pid}/stat`, calls))
  // The second field is the program's name in brackets and may hold anything, brackets and spaces included.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  const [state, started] = [fields[0], fields[19]]
  return state === undefined || started === undefined ? undefined : { state, started }
})

/** Who holds the lock, in words; undefined when nobody does any more. */
const judge = Effect.fnUntraced(function*(holder: Holder, me: Holder, calls: LockFileCalls) {
  const words = `process ${holder.pid} on ${holder.host}, since ${holder.since}`
  const isWithinSight = holder.boot === me.boot && holder.namespace === me.namespace &&
    (holder.boot !== "" || holder.host === me.host)
  if (!isWithinSight) {
    return holder.host === me.host ? undefined : `${words}; if that is gone for good, remove the file`
  }
  if (holder.pid === me.pid && holder.started === me.started) return `this very process; ${words}`
  if (!isRunning(holder.pid)) return undefined
  const found = yield* processState(holder.pid, calls)
  if (holder.started === "" || me.started === "") return words
  // It ended between the two looks.
  if (found === undefined) return undefined
  // Z and X: it has ended, and its parent has not asked for its status yet.
  return found.started !== holder.started || found.state === "Z" || found.state === "X" ? undefined : words
})

const isRunning = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}
