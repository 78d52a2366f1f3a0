/** Uses a log that another process offers, and puts into words why that does not work. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import { connect } from "../../rpc/LogClient.ts"
import type { RemoteLog } from "../../rpc/LogClient.ts"
import { formatAddress } from "../flags/addressFlag.ts"
import type { LogAddress } from "../flags/addressFlag.ts"
import { OperatingFailure } from "../terminal/CliFailure.ts"
import { socketPathFault } from "./socketPath.ts"

/** Why a call had no answer. */
interface Unanswered {
  /** `nobody` when no process answers, or the one that did is gone; `refused` when one answers, and not as a log. */
  readonly kind: "nobody" | "refused"
  /** A part of a sentence. */
  readonly text: string
}

/** Reads what the clients of RPC and HTTP say. */
export const unansweredOf = ({ reason }: RpcClientError): Unanswered => {
  if (reason._tag === "RpcClientDefect" && !/ended before|empty HTTP response/.test(reason.message)) {
    return { kind: "refused", text: `what answers is no log, or not of this version (${reason.message})` }
  }
  if (reason._tag !== "HttpError") return { kind: "nobody", text: reason.message }
  // As `HttpClientError` has it: the answer, and what Node says of the connection.
  const cause = reason.cause as { readonly response?: { readonly status: number }; readonly cause?: unknown }
  if (reason.kind === "StatusCodeError") {
    const status = cause.response?.status
    return {
      kind: "refused",
      text: status === 401
        ? "the token is missing or wrong; give --token, or set EFFECT_WAL_TOKEN"
        : `what answers is no log, or not of this version (status ${status})`
    }
  }
  const { code, message } = (cause.cause ?? {}) as { readonly code?: unknown; readonly message?: unknown }
  return { kind: "nobody", text: String(code ?? message ?? reason.kind) }
}

/** The log at an address, after it has answered once. Fails in one line when it does not. */
export const connectTo = Effect.fnUntraced(function*(
  address: LogAddress,
  token: Option.Option<Redacted.Redacted<string>>
) {
  const at = formatAddress(address)
  const nobody = (detail: string) =>
    new OperatingFailure({
      message: `${at}: nobody answers (${detail}); start the recorder with --offer, or correct the address`
    })
  const fault = address.kind === "socket" ? socketPathFault(address.path) : undefined
  if (fault !== undefined) return yield* nobody(fault)
  const client = NodeHttpClient.layerNodeHttpOptions(
    address.kind === "socket" ? { keepAlive: true, socketPath: address.path } : { keepAlive: true }
  )
  const log: RemoteLog<Uint8Array> = yield* Effect.provide(
    connect({
      url: address.kind === "socket" ? "http://localhost/log" : address.url.href,
      ...Option.match(token, { onNone: () => ({}), onSome: (token) => ({ token }) })
    }),
    yield* Layer.build(client)
  )
  const positions = yield* Effect.mapError(log.positions, (error) => {
    const { kind, text } = unansweredOf(error)
    return kind === "nobody" ? nobody(text) : new OperatingFailure({ message: `${at}: ${text}` })
  })
  return { at, log, positions }
})
