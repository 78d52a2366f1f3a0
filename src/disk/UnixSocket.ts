/**
 * Unix sockets: listening at one, and asking whether a process listens at one.
 *
 * The kernel answers, not the process: a socket is alive as long as its process has it open, even while that process is
 * stopped or busy, and dead from the moment the process is gone. It finds the socket by its inode, so names and numbers
 * of processes, hosts and mounts play no part.
 *
 * A path that is too long for a socket's address is reached by a shorter one to the same place.
 *
 * Errors are those of the system, with an errno in `code`.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import { connect, createServer } from "node:net"
import type { Socket } from "node:net"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"

/** The longest path that fits into an address on every system: macOS has room for 103 bytes, Linux for 107. */
const addressBytesMax = 103

/** Calls `use` with an address for this path, which may be used until the effect ends. */
const withAddress = <A>(path: string, use: (address: string) => Effect.Effect<A, NodeJS.ErrnoException>) =>
  Buffer.byteLength(path) <= addressBytesMax
    ? use(path)
    : Effect.acquireUseRelease(
      Effect.try({ try: () => shortcutTo(path), catch: (error) => error as NodeJS.ErrnoException }),
      (shortcut) => use(shortcut.path),
      (shortcut) => Effect.sync(shortcut.remove)
    )

interface Shortcut {
  readonly path: string
  readonly remove: () => void
}

const shortcutTo = (path: string): Shortcut => {
  const fd = fs.openSync(dirname(path), fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)
  const directory = `/proc/self/fd/${fd}`
  if (fs.existsSync(directory)) return { path: join(directory, basename(path)), remove: () => fs.closeSync(fd) }
  fs.closeSync(fd)
  return linkTo(path, tmpdir())
}

/** Begins the name of a directory that holds a short link. */
const prefix = "effect-wal-"
/** What `mkdtemp` draws and puts after a prefix, in bytes. */
const drawnLength = 6

/**
 * A path through a short link to the directory, for systems without `/proc`. The link is in `root`, unless that is long
 * itself, as on macOS.
 */
export const linkTo = (path: string, root: string): Shortcut => {
  const throughRoot = join(root, prefix.padEnd(prefix.length + drawnLength), "d", basename(path))
  const isShort = Buffer.byteLength(throughRoot) <= addressBytesMax
  const temporary = fs.mkdtempSync(join(isShort ? root : "/tmp", prefix))
  const directory = join(temporary, "d")
  fs.symlinkSync(dirname(path), directory)
  return { path: join(directory, basename(path)), remove: () => fs.rmSync(temporary, { recursive: true }) }
}

/** Closes every connection as it comes. */
const refuse = (connection: Socket): void => void connection.on("error", () => connection.destroy()).destroy()

/** Waiting for an answer needs no more than this many connections at once. */
const connectionsMax = 64

/**
 * Listens at a new socket and gives every connection to `onConnection`. The effect that is returned ends that, at once.
 * The socket does not keep the process alive.
 */
export const listen = (
  path: string,
  onConnection: (connection: Socket) => void = refuse
): Effect.Effect<Effect.Effect<void>, NodeJS.ErrnoException> =>
  withAddress(path, (address) =>
    Effect.uninterruptible(Effect.callback((resume) => {
      const open = new Set<Socket>()
      const server = createServer((connection) => {
        open.add(connection)
        connection.once("close", () => open.delete(connection))
        onConnection(connection)
      })
      server.maxConnections = connectionsMax
      server.unref()
      server.once("error", (error) => resume(Effect.fail(error)))
      const end = Effect.sync(() => {
        server.close()
        for (const connection of open) connection.destroy()
      })
      // Exclusive: in a worker of `node:cluster` the socket would belong to the primary, and could outlive the worker.
      server.listen({ path: address, exclusive: true }, () => {
        // A connection that cannot be accepted (too many open files) is the caller's loss only.
        server.on("error", () => undefined)
        resume(Effect.succeed(end))
      })
    })))

/**
 * Connects to a socket. Succeeds when a process listens there; otherwise the error of the connection tells:
 * `ECONNREFUSED` when no process of this kernel does, `ENOENT` when the name is gone.
 */
export const knock = (path: string): Effect.Effect<void, NodeJS.ErrnoException> =>
  withAddress(path, (address) =>
    Effect.uninterruptible(Effect.callback((resume) => {
      const connection = connect(address)
      connection.once("error", (error) => resume(Effect.fail(error)))
      connection.once("connect", () => {
        connection.destroy()
        resume(Effect.void)
      })
    })))

/**
 * Connects to a socket and returns all that it sends, as text. Fails with `ETIMEDOUT` unless the whole answer is there
 * within `millisMax`, with `EMSGSIZE` when it is longer than `charactersMax`, and otherwise as `knock` does. A link to
 * a socket is not followed: `ENOTSOCK`.
 */
export const ask = (
  path: string,
  { charactersMax, millisMax }: { readonly charactersMax: number; readonly millisMax: number }
): Effect.Effect<string, NodeJS.ErrnoException> =>
  Effect.andThen(
    Effect.try({ try: () => requireSocket(path), catch: (error) => error as NodeJS.ErrnoException }),
    withAddress(path, (address) =>
      Effect.callback<string, NodeJS.ErrnoException>((resume) => {
        const connection = connect(address)
        let text = ""
        const end = (result: Effect.Effect<string, NodeJS.ErrnoException>) => {
          clearTimeout(timer)
          connection.destroy()
          resume(result)
        }
        // For the whole answer: a socket that sends a byte a second is never idle.
        const timer = setTimeout(() => end(failure("ETIMEDOUT", `no whole answer in ${millisMax} ms`)), millisMax)
        connection.setEncoding("utf8")
        connection.on("error", (error) => end(Effect.fail(error)))
        connection.on("data", (piece: string) => {
          text += piece
          if (text.length > charactersMax) end(failure("EMSGSIZE", `more than ${charactersMax} characters`))
        })
        connection.on("end", () => end(Effect.succeed(text)))
        return Effect.sync(() => {
          clearTimeout(timer)
          connection.destroy()
        })
      }))
  )

const requireSocket = (path: string): void => {
  if (!fs.lstatSync(path).isSocket()) throw errorOf("ENOTSOCK", `${path} is not a socket`)
}

const errorOf = (code: string, message: string): NodeJS.ErrnoException => Object.assign(new Error(message), { code })

const failure = (code: string, message: string) => Effect.fail(errorOf(code, message))

/** Lets only this user, and root, connect. */
export const closeToOthers = (path: string): Effect.Effect<void, NodeJS.ErrnoException> =>
  Effect.try({ try: () => fs.chmodSync(path, 0o600), catch: (error) => error as NodeJS.ErrnoException })
