/**
 * Who may ask. What is asked must come from the page itself or from a program, never from another site that a browser
 * shows: its name in `Host` must be one that is expected, which stops DNS rebinding, and what a browser says of the
 * origin must be this one. With a token, each request must bring it.
 */
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { createHash, timingSafeEqual } from "node:crypto"
import * as Options from "../internal/options.ts"

/**
 * Who may ask.
 *
 * @since 0.1.0
 * @category models
 */
export interface AccessOptions {
  /** Each request must bring this, as `Authorization: Bearer TOKEN`. Default: none. */
  readonly token?: Redacted.Redacted<string> | undefined
  /** Names under which the server is reached, beside this machine's own. With a token, any name by default. */
  readonly hosts?: ReadonlyArray<string> | undefined
}

/** The fields of these options. */
export const accessFields = {
  token: Schema.optional(
    Schema.declare((value): value is Redacted.Redacted<string> =>
      Redacted.isRedacted(value) && typeof Redacted.value(value) === "string" && Redacted.value(value) !== ""
    )
  ),
  hosts: Schema.optional(Schema.Array(Options.text("a name of a host")))
}

/** The names of this machine for itself. */
const ownHosts: ReadonlyArray<string> = ["localhost", "127.0.0.1", "[::1]"]

/** Answers why a request is refused; `undefined` when it is not. */
const refusalOf = (options: AccessOptions) => {
  const wanted = options.token === undefined ? undefined : digestOf(Redacted.value(options.token))
  const hosts = options.token !== undefined && options.hosts === undefined
    ? undefined
    : new Set([...ownHosts, ...options.hosts ?? []].map((host) => host.toLowerCase()))
  return (
    { headers }: HttpServerRequest.HttpServerRequest
  ): { readonly status: number; readonly error: string } | undefined => {
    const host = (headers["host"] ?? "").toLowerCase().replace(/:\d+$/, "")
    if (hosts !== undefined && !hosts.has(host)) {
      return { status: 403, error: `this server is not known as ${host || "a server without a name"}` }
    }
    const site = headers["sec-fetch-site"]
    if (site !== undefined && site !== "same-origin" && site !== "none") {
      return { status: 403, error: "another site may not ask" }
    }
    if (wanted === undefined) return undefined
    const given = /^Bearer (.+)$/i.exec(headers["authorization"] ?? "")?.[1] ?? ""
    // Digests have one length, and are compared in a time that tells nothing.
    if (timingSafeEqual(digestOf(given), wanted)) return undefined
    return { status: 401, error: "the token is missing or wrong" }
  }
}

const digestOf = (text: string): Buffer => createHash("sha256").update(text).digest()

/** Answers with `answer`, unless the request is refused. */
export const guarded = (options: AccessOptions) => {
  const refusal = refusalOf(options)
  return <E, R>(
    answer: (
      request: HttpServerRequest.HttpServerRequest
    ) => Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
      const refused = refusal(request)
      return refused === undefined
        ? answer(request)
        : Effect.succeed(HttpServerResponse.jsonUnsafe({ error: refused.error }, {
          status: refused.status,
          headers: { ...protections, ...(refused.status === 401 ? { "www-authenticate": "Bearer" } : {}) }
        }))
    })
}

/** Headers of every answer: nothing foreign is loaded or run, nothing is kept, and no other site shows or reads it. */
export const protections = {
  "cache-control": "no-store",
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'"
  ].join("; "),
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY"
} as const
