/**
 * Unix sockets: listening at one, and asking whether a process listens at one.
 *
 * The kernel answers, not the process: a socket is alive as long as its process has it open, even while that process is
 * stopped or busy, and dead from the moment the process is gone. It finds the socket by its inode, so names and numbers
 * of processes, hosts and mounts play no part.
 *
 * Errors are those of the system, with an errno in `code`.
 */
import * as Effect from "effect/Effect"
import { connect, createServer } from "node:net"

/** The longest path that fits into an address on every system: macOS has room for 103 bytes, Linux for 107. */
export const addressBytesMax = 103

/**
 * Listens at a new socket. The effect that is returned ends that, at once. Connections are closed as they come. The
 * socket does not keep the process alive.
 */
export const listen = (path: string): Effect.Effect<Effect.Effect<void>, NodeJS.ErrnoException> =>
  Effect.uninterruptible(Effect.callback((resume) => {
    const server = createServer((connection) => connection.on("error", () => connection.destroy()).destroy())
    server.unref()
    server.once("error", (error) => resume(Effect.fail(error)))
    // Exclusive: in a worker of `node:cluster` the socket would belong to the primary, and could outlive the worker.
    server.listen({ path, exclusive: true }, () => {
      // A connection that cannot be accepted (too many open files) is the caller's loss only.
      server.on("error", () => undefined)
      resume(Effect.succeed(Effect.sync(() => void server.close())))
    })
  }))

/**
 * Connects to a socket. Succeeds when a process listens there; otherwise the error of the connection tells:
 * `ECONNREFUSED` when no process of this kernel does, `ENOENT` when the name is gone.
 */
export const knock = (path: string): Effect.Effect<void, NodeJS.ErrnoException> =>
  Effect.uninterruptible(Effect.callback((resume) => {
    const connection = connect(path)
    connection.once("error", (error) => resume(Effect.fail(error)))
    connection.once("connect", () => {
      connection.destroy()
      resume(Effect.void)
    })
  }))
