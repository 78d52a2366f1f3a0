/**
 * A Unix socket that answers every connection with one text and closes it. Nothing is read from a connection, and
 * nothing runs between connections. Only the user whose process serves, and root, may connect.
 */
import * as Effect from "effect/Effect"
import * as UnixSocket from "../../disk/UnixSocket.ts"
import { MonitorError } from "./MonitorError.ts"
import { Denied, Io, NoAnswer, Unreadable } from "./MonitorReason.ts"

/** How long one answer may take, in milliseconds. */
const answerMillisMax = 5_000

/** An answer has some 100 KB; a process that sends more than this is no recorder. */
const answerCharactersMax = 16 * 1024 * 1024

const ioError = (path: string) => (error: NodeJS.ErrnoException): MonitorError =>
  new MonitorError({ reason: new Io({ detail: error.message }), path })

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

/** No process listens where a socket refuses: its process ended. */
const errnosOfNobody: ReadonlySet<string> = new Set(["ECONNREFUSED", "ENOENT", "ENOTDIR", "ENOTSOCK"])

/** What any other errno of a connection means; what is not here is `Io`. */
const reasonByErrno: Readonly<Record<string, typeof Denied | typeof NoAnswer | typeof Unreadable>> = {
  EACCES: Denied,
  EPERM: Denied,
  ETIMEDOUT: NoAnswer,
  EMSGSIZE: Unreadable
}

/** The answer of the socket's owner; `undefined` if no process listens there. */
export const ask = (path: string): Effect.Effect<string | undefined, MonitorError> =>
  UnixSocket.ask(path, { millisMax: answerMillisMax, charactersMax: answerCharactersMax }).pipe(
    // An owner that is closing ends the connection without an answer.
    Effect.map((text) => text === "" ? undefined : text),
    Effect.catch(({ code = "", message }) =>
      errnosOfNobody.has(code)
        ? Effect.undefined
        : Effect.fail(new MonitorError({ reason: new (reasonByErrno[code] ?? Io)({ detail: message }), path }))
    )
  )
