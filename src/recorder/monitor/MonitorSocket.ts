/**
 * The only door to sockets between processes of one machine: a Unix domain socket that answers every connection with
 * one text and closes it. Nothing is read from a connection, and nothing runs between connections.
 *
 * Only the user whose process serves (and root) may connect: the socket has mode 0600 and lies in a directory of mode
 * 0700 under the system's directory for temporary files. It does not lie beside the segments because the path of a
 * socket may have only some 100 bytes.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"
import * as net from "node:net"

/**
 * Why a running recorder cannot be asked, or cannot answer.
 *
 * - `Denied`: it belongs to another user
 * - `NoAnswer`: it exists but does not answer in time
 * - `Unreadable`: its answer is not one of this version
 * - `Io`: the socket cannot be made or used
 */
export const MonitorReason = Schema.Literals(["Denied", "NoAnswer", "Unreadable", "Io"])

/** One of the reasons why a monitor cannot be asked. */
export type MonitorReason = typeof MonitorReason.Type

const advice: Record<MonitorReason, string> = {
  Denied: "the recorder belongs to another user; ask as that user, or as root",
  NoAnswer: "the recorder does not answer; its process is stopped, or its thread is blocked",
  Unreadable: "what the recorder says cannot be read; use the same version of effect-wal as the recorder",
  Io: "the socket cannot be used"
}

/**
 * A recorder's monitor cannot be asked, or cannot be served.
 *
 * @since 0.1.0
 * @category errors
 */
export class MonitorError extends Schema.TaggedError<MonitorError>()("MonitorError", {
  reason: MonitorReason,
  /** The socket, or the file that should name it. */
  path: Schema.String,
  /** The system's message; empty if there is nothing to add. */
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.path}: ${advice[this.reason]}${this.detail === "" ? "" : ` (${this.detail})`}`
  }
  /** Whether asking again may succeed although nothing else has changed. */
  get isRetryable(): boolean {
    return this.reason === "NoAnswer" || this.reason === "Io"
  }
}

/** How long one answer may take, in milliseconds. */
const answerMillisMax = 5_000

/** An answer has some 100 KB; a process that sends more than this is no recorder. */
const answerCharactersMax = 16 * 1024 * 1024

const ioError = (path: string, error: unknown): MonitorError =>
  new MonitorError({ reason: "Io", path, detail: error instanceof Error ? error.message : String(error) })

/**
 * Answers every connection with what `answer` returns at that moment, until the scope closes. Returns the socket's
 * path. The server does not keep the process alive.
 */
export const serve = Effect.fnUntraced(function*(answer: Effect.Effect<string>) {
  const fs = yield* FileSystem.FileSystem
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "effect-wal-" })
  const path = `${directory}/socket`
  const open = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    open.add(socket)
    socket.once("close", () => open.delete(socket))
    // The client is gone; nothing to do.
    socket.on("error", () => socket.destroy())
    socket.setTimeout(answerMillisMax, () => socket.destroy())
    run(Effect.map(answer, (text) => socket.end(text)))
  })
  yield* Effect.acquireRelease(
    Effect.callback<void, MonitorError>((resume) => {
      server.once("error", (error) => resume(Effect.fail(ioError(path, error))))
      server.listen(path, () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of open) socket.destroy()
      })
  )
  // A connection that cannot be accepted (too many open files) fails for its client alone.
  server.on("error", () => undefined)
  server.unref()
  yield* fs.chmod(path, 0o600)
  return path
}, Effect.catchTag("PlatformError", (error) => Effect.fail(ioError("the monitor's socket", error))))

/** No process listens there: the one that made the socket ended without removing it. */
const isNobody = (code: string | undefined): boolean =>
  code === "ECONNREFUSED" || code === "ENOENT" || code === "ENOTDIR" || code === "ENOTSOCK"

/** The answer of the socket's owner; `undefined` if no process listens there any more. */
export const ask = (path: string): Effect.Effect<string | undefined, MonitorError> =>
  Effect.callback((resume) => {
    const socket = net.createConnection(path)
    let text = ""
    const fail = (reason: MonitorReason, detail: string) => {
      socket.destroy()
      resume(Effect.fail(new MonitorError({ reason, path, detail })))
    }
    socket.setEncoding("utf8")
    socket.setTimeout(answerMillisMax, () => fail("NoAnswer", `${answerMillisMax} ms`))
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (isNobody(error.code)) return resume(Effect.succeed(undefined))
      fail(error.code === "EACCES" || error.code === "EPERM" ? "Denied" : "Io", error.message)
    })
    socket.on("data", (piece: string) => {
      text += piece
      if (text.length > answerCharactersMax) fail("Unreadable", `more than ${answerCharactersMax} characters`)
    })
    // An owner that is closing ends the connection without an answer.
    socket.on("end", () => resume(Effect.succeed(text === "" ? undefined : text)))
    return Effect.sync(() => socket.destroy())
  })
