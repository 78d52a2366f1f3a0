/**
 * `effect-wal tail`: writes the events of a log that another process records to standard output. They are durable, in
 * order, and without a gap. With `--follow` it waits for more, also while the recorder is being restarted.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import * as Stream from "effect/Stream"
import type { LogEvent } from "../../recorder/LogEvent.ts"
import type { RemoteLog } from "../../rpc/LogClient.ts"
import { jsonLine } from "../events/EventJson.ts"
import type { LogAddress } from "../flags/addressFlag.ts"
import type { Framing } from "../flags/framingFlags.ts"
import { connectTo, unansweredOf } from "../remote/RemoteLog.ts"
import { OperatingFailure } from "../terminal/CliFailure.ts"
import { say, writeOutput } from "../terminal/StandardStreams.ts"

/** What its flags give. */
interface Given {
  readonly from: LogAddress
  readonly id: Option.Option<number>
  readonly token: Option.Option<Redacted.Redacted<string>>
  readonly follow: boolean
  readonly framing: Framing
  readonly json: boolean
}

/** How often a recorder that went away is looked for. */
const lookInterval = "200 millis"

/** Runs the command. */
export const tail = Effect.fnUntraced(function*(given: Given) {
  const { at, log } = yield* connectTo(given.from, given.token)
  let next = Option.getOrUndefined(given.id)
  const format = formatOf(given)
  const read = Effect.suspend(() =>
    Stream.runForEachArray(
      log.events({ from: next === undefined ? "oldest" : { id: next }, follow: given.follow, name: "tail" }),
      (events) => {
        next = (events.at(-1)?.id ?? 0) + 1
        return writeOutput(Buffer.concat(events.map(format)))
      }
    )
  )
  const fail = (error: RpcClientError) => Effect.fail(failure(at, error, next))
  if (!given.follow) return yield* Effect.catchTag(read, "RpcClientError", fail)
  while (true) {
    const { text } = yield* Effect.flip(Effect.andThen(read, Effect.never)).pipe(
      Effect.flatMap((error) =>
        error._tag === "RpcClientError" ? Effect.succeed(unansweredOf(error)) : Effect.fail(error)
      )
    )
    yield* say(`warning: ${goneText(at, text, `waiting for it, to continue with event ${next ?? 1}`)}`)
    yield* untilBack(log, at, next)
  }
}, Effect.scoped)

const goneText = (at: string, detail: string, rest: string): string =>
  `${at}: the recorder went away (${detail}); ${rest}`

const failure = (at: string, error: RpcClientError, next: number | undefined) => {
  const { kind, text } = unansweredOf(error)
  const rest = next === undefined ? "nothing was read" : `continue with --id ${next}`
  return new OperatingFailure({ message: kind === "refused" ? `${at}: ${text}` : goneText(at, text, rest) })
}

/** Waits until a recorder answers again, with a log that has all that was read. */
const untilBack = Effect.fnUntraced(function*(log: RemoteLog<Uint8Array>, at: string, next: number | undefined) {
  while (true) {
    yield* Effect.sleep(lookInterval)
    const looked = yield* Effect.result(log.positions)
    if (looked._tag === "Success") {
      const { durable } = looked.success
      if (next === undefined || durable >= next - 1) return
      return yield* new OperatingFailure({
        message: `${at}: the log there ends with event ${durable}, and event ${next - 1} was read before; ` +
          "it is another log, or an older state of it"
      })
    }
    if (unansweredOf(looked.failure).kind === "refused") return yield* failure(at, looked.failure, next)
  }
})

const formatOf = ({ framing, json }: Given) => ({ event, id, time }: LogEvent<Uint8Array>): Uint8Array => {
  if (json) return Buffer.from(jsonLine(id, time, Buffer.from(event.buffer, event.byteOffset, event.length)))
  if (framing === "lines") return event
  const prefixed = Buffer.alloc(4 + event.length)
  prefixed.writeUInt32LE(event.length)
  prefixed.set(event, 4)
  return prefixed
}
