/**
 * A Unix socket that answers every connection with one text and closes it. Nothing is read from a connection, and
 * nothing runs between connections. Only the user whose process serves, and root, may connect.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as UnixSocket from "../../disk/UnixSocket.ts"
import { plainText } from "../../internal/plainText.ts"

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
    return plainText(`${this.path}: ${advice[this.reason]}${this.detail === "" ? "" : ` (${this.detail})`}`)
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

const ioError = (path: string) => (error: NodeJS.ErrnoException): MonitorError =>
  new MonitorError({ reason: "Io", path, detail: error.message })

/**
 * Answers every connection with what `answer` returns at that moment, until the scope closes. The server does not keep
 * the process alive.
 */
export const serve = Effect.fnUntraced(function*(path: string, answer: Effect.Effect<string>) {
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const listening = UnixSocket.listen(path, (connection) => {
    // The client is gone; nothing to do.
    connection.on("error", () => connection.destroy())
    // However slowly the client reads.
    const timer = setTimeout(() => connection.destroy(), answerMillisMax).unref()
    connection.once("close", () => clearTimeout(timer))
    run(Effect.map(answer, (text) => connection.end(text)))
  })
  yield* Effect.acquireRelease(Effect.mapError(listening, ioError(path)), (end) => end)
  yield* Effect.mapError(UnixSocket.closeToOthers(path), ioError(path))
})

/** What the errno of a connection means. No process listens where a socket refuses: its process ended. */
const reasonByErrno: Readonly<Record<string, MonitorReason | "Nobody">> = {
  ECONNREFUSED: "Nobody",
  ENOENT: "Nobody",
  ENOTDIR: "Nobody",
  ENOTSOCK: "Nobody",
  EACCES: "Denied",
  EPERM: "Denied",
  ETIMEDOUT: "NoAnswer",
  EMSGSIZE: "Unreadable"
}

/** The answer of the socket's owner; `undefined` if no process listens there. */
export const ask = (path: string): Effect.Effect<string | undefined, MonitorError> =>
  UnixSocket.ask(path, { millisMax: answerMillisMax, charactersMax: answerCharactersMax }).pipe(
    // An owner that is closing ends the connection without an answer.
    Effect.map((text) => text === "" ? undefined : text),
    Effect.catch((error) => {
      const reason = reasonByErrno[error.code ?? ""] ?? "Io"
      return reason === "Nobody"
        ? Effect.undefined
        : Effect.fail(new MonitorError({ reason, path, detail: error.message }))
    })
  )
