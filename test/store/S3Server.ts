/**
 * A small S3 server, as far as `S3Store` needs one: it verifies signatures and MD5, honours conditions or ignores them
 * as it is told, and answers wrongly when a test wants that. Signatures are computed here anew, from AWS's description.
 */
import * as Effect from "effect/Effect"
import { createHash, createHmac } from "node:crypto"
import { createServer } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

export interface ServerOptions {
  readonly bucket: string
  /** In another one, a signature is refused, and the right one is told. */
  readonly region?: string
  readonly accessKeyId?: string
  readonly secretAccessKey?: string
  readonly sessionToken?: string
  /** Conditions that are ignored, silently. */
  readonly ignores?: ReadonlyArray<"If-None-Match" | "If-Match" | "If-Match of GET" | "Content-MD5" | "Range">
  /** Whether the server overwrites although it refuses. */
  readonly overwrites?: boolean
  /** Unix time by the server's clock. Without it, any time of a signature is right. */
  readonly nowMillis?: () => number
  /** The longest page of a listing. */
  readonly pageLength?: number
}

/** What happens to a request, instead of what should. */
export type Mishap =
  /** An answer, whether or not the request is done. */
  | {
    readonly kind: "answer"
    readonly status: number
    readonly code?: string
    readonly headers?: Readonly<Record<string, string>>
    readonly isDone?: boolean
  }
  /** The connection is cut, without an answer. */
  | { readonly kind: "cut"; readonly isDone: boolean }
  /** Half of the answer's content, and then the connection is cut. */
  | { readonly kind: "half" }
  /** No answer at all. */
  | { readonly kind: "silence" }

interface Stored {
  readonly bytes: Buffer
  readonly etag: string
  readonly modified: Date
}

interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer | string
}

export interface S3Server {
  readonly endpoint: string
  readonly objects: Map<string, Stored>
  /** Method, path and headers of every request that arrived. */
  readonly requests: Array<
    { readonly method: string; readonly path: string; readonly headers: IncomingMessage["headers"] }
  >
  /** What happens to the next requests of a method. */
  readonly mishaps: Array<{ readonly method: string; readonly mishap: Mishap }>
}

const hash = (text: string | Buffer): string => createHash("sha256").update(text).digest("hex")
const hmac = (key: string | Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest()

/** As RFC 3986 wants it. */
const encoded = (text: string): string =>
  [...Buffer.from(text)].map((byte) => {
    const character = String.fromCharCode(byte)
    return /[A-Za-z0-9_.~-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`
  }).join("")

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

const refusal = (status: number, code: string, more = "", headers: Readonly<Record<string, string>> = {}): Answer => ({
  status,
  headers: { "content-type": "application/xml", ...headers },
  body:
    `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>told by the server</Message>${more}</Error>`
})

const unquoted = (etag: string): string => etag.replace(/^"|"$/g, "")

/** Starts a server for as long as the scope lives. */
export const startServer = (options: ServerOptions) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const objects = new Map<string, Stored>()
      const requests: S3Server["requests"] = []
      const mishaps: S3Server["mishaps"] = []
      const server = createServer((request, response) => {
        void answerTo(request, response)
      })
      const answerTo = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
        const parts: Array<Buffer> = []
        try {
          for await (const part of request) parts.push(part)
        } catch {
          // Its sender has ended it before all of it was sent: it is no request.
          return
        }
        const body = Buffer.concat(parts)
        const { headers, method = "", url = "" } = request
        requests.push({ method, path: url, headers })
        const at = mishaps.findIndex((each) => each.method === method)
        const mishap = at === -1 ? undefined : mishaps.splice(at, 1)[0]?.mishap
        const isDone = mishap === undefined || mishap.kind === "half" || ("isDone" in mishap && mishap.isDone === true)
        const right = isDone ? handle(options, objects, { method, url, headers, body }) : undefined
        if (mishap?.kind === "silence") return
        if (mishap?.kind === "cut") return void request.socket.destroy()
        const answer: Answer = mishap?.kind === "answer"
          ? mishap.code === undefined
            ? { status: mishap.status, ...(mishap.headers === undefined ? {} : { headers: mishap.headers }) }
            : refusal(mishap.status, mishap.code, "", mishap.headers)
          : right!
        const content = Buffer.from(answer.body ?? "")
        response.writeHead(answer.status, { "content-length": content.length, ...answer.headers })
        if (method === "HEAD") return void response.end()
        if (mishap?.kind !== "half") return void response.end(content)
        response.write(content.subarray(0, content.length >> 1), () => request.socket.destroy())
      }
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      return { server, made: { endpoint, objects, requests, mishaps } satisfies S3Server }
    }),
    ({ server }) =>
      Effect.promise(() =>
        new Promise((resolve) => {
          server.closeAllConnections()
          server.close(resolve)
        })
      )
  ).pipe(Effect.map(({ made }): S3Server => made))

interface Received {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage["headers"]
  readonly body: Buffer
}

const handle = (options: ServerOptions, objects: Map<string, Stored>, request: Received): Answer => {
  const [path = "", search = ""] = request.url.split("?")
  const query = new URLSearchParams(search)
  const refused = verify(options, request, path, query)
  if (refused !== undefined) return refused
  const [, bucket = "", ...names] = path.split("/").map(decodeURIComponent)
  if (bucket !== options.bucket) return refusal(404, "NoSuchBucket")
  const key = names.join("/")
  if (key === "") return list(options, objects, query)
  const present = objects.get(key)
  switch (request.method) {
    case "PUT":
      return put(options, objects, request, key)
    case "DELETE":
      objects.delete(key)
      return { status: 204 }
    case "GET":
    case "HEAD":
      return present === undefined ? refusal(404, "NoSuchKey") : get(options, present, request.headers)
    default:
      return refusal(405, "MethodNotAllowed")
  }
}

const put = (
  options: ServerOptions,
  objects: Map<string, Stored>,
  { body, headers }: Received,
  key: string
): Answer => {
  const isIgnored = (name: NonNullable<ServerOptions["ignores"]>[number]) => options.ignores?.includes(name) === true
  const md5 = createHash("md5").update(body).digest()
  const told = headers["content-md5"]
  if (told !== undefined && told !== md5.toString("base64") && !isIgnored("Content-MD5")) {
    return refusal(400, "BadDigest")
  }
  const present = objects.get(key)
  const etag = md5.toString("hex")
  const store = () =>
    objects.set(key, { bytes: body, etag, modified: new Date(1_700_000_000_000 + objects.size * 1000) })
  const isTaken = headers["if-none-match"] === "*" && present !== undefined && !isIgnored("If-None-Match")
  const match = headers["if-match"]
  const isChanged = match !== undefined && !isIgnored("If-Match") && present?.etag !== match
  if (isTaken || isChanged) {
    if (options.overwrites === true) store()
    return isChanged && present === undefined ? refusal(404, "NoSuchKey") : refusal(412, "PreconditionFailed")
  }
  store()
  return { status: 200, headers: { etag: `"${etag}"` } }
}

const get = (
  options: ServerOptions,
  { bytes, etag, modified }: Stored,
  headers: IncomingMessage["headers"]
): Answer => {
  const facts = { "etag": `"${etag}"`, "last-modified": modified.toUTCString() }
  const match = headers["if-match"]
  if (match !== undefined && unquoted(match) !== etag && options.ignores?.includes("If-Match of GET") !== true) {
    return refusal(412, "PreconditionFailed")
  }
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers["range"] ?? "") ?? []
  if (first === undefined || options.ignores?.includes("Range") === true) {
    return { status: 200, headers: facts, body: bytes }
  }
  const from = Number(first)
  if (from >= bytes.length) return refusal(416, "InvalidRange")
  const part = bytes.subarray(from, Number(last) + 1)
  const range = `bytes ${from}-${from + part.length - 1}/${bytes.length}`
  return { status: 206, headers: { ...facts, "content-range": range }, body: part }
}

const list = (options: ServerOptions, objects: Map<string, Stored>, query: URLSearchParams): Answer => {
  const prefix = query.get("prefix") ?? ""
  const after = query.get("start-after") ?? ""
  const keys = [...objects.keys()]
    .filter((key) => key.startsWith(prefix) && Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0)
    .sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)))
  const length = Math.min(options.pageLength ?? 1000, Number(query.get("max-keys")))
  const contents = keys.slice(0, length).map((key) => {
    const { bytes, etag, modified } = objects.get(key)!
    const facts = `<LastModified>${modified.toISOString()}</LastModified><ETag>&quot;${etag}&quot;</ETag>`
    return `<Contents><Key>${escaped(key)}</Key>${facts}<Size>${bytes.length}</Size></Contents>`
  })
  const body = `<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <IsTruncated>${keys.length > length}</IsTruncated>${contents.join("\n  ")}
</ListBucketResult>`
  return { status: 200, headers: { "content-type": "application/xml" }, body }
}

/** Refuses a request whose signature is not right. */
const verify = (
  options: ServerOptions,
  request: Received,
  path: string,
  query: URLSearchParams
): Answer | undefined => {
  const { headers, method } = request
  const authorization = headers["authorization"] ?? ""
  const [, id = "", day = "", region = ""] = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request,/
    .exec(authorization) ?? []
  const [, signedHeaders = "", signature] = /, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(authorization) ??
    []
  if (signature === undefined) return refusal(403, "AccessDenied")
  if (id !== (options.accessKeyId ?? "wal")) return refusal(403, "InvalidAccessKeyId")
  const expected = options.region ?? "us-east-1"
  if (region !== expected) return refusal(400, "AuthorizationHeaderMalformed", `<Region>${expected}</Region>`)
  if (headers["x-amz-security-token"] !== options.sessionToken) return refusal(400, "InvalidToken")
  const time = String(headers["x-amz-date"])
  const [, year, month, date, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(time) ?? []
  const signedMillis = Date.parse(`${year}-${month}-${date}T${hour}:${minute}:${second}Z`)
  if (options.nowMillis !== undefined && Math.abs(options.nowMillis() - signedMillis) > 15 * 60_000) {
    return refusal(403, "RequestTimeTooSkewed")
  }
  const names = signedHeaders.split(";")
  // What must be signed: otherwise another could change it on the way.
  const mustBeSigned = ["host", "x-amz-date", "content-md5", "if-match", "if-none-match", "x-amz-security-token"]
  if (mustBeSigned.some((name) => headers[name] !== undefined && !names.includes(name))) {
    return refusal(403, "AccessDenied")
  }
  const pairs = [...query].map(([name, value]) => `${encoded(name)}=${encoded(value)}`).sort()
  const canonical = [
    method,
    path.split("/").map((name) => encoded(decodeURIComponent(name))).join("/"),
    pairs.join("&"),
    ...names.map((name) => `${name}:${String(headers[name] ?? "").trim()}`),
    "",
    signedHeaders,
    String(headers["x-amz-content-sha256"])
  ].join("\n")
  const scope = `${day}/${region}/s3/aws4_request`
  const key = [day, region, "s3", "aws4_request"].reduce<string | Buffer>(
    hmac,
    `AWS4${options.secretAccessKey ?? "walwalwal"}`
  )
  const right = hmac(key, ["AWS4-HMAC-SHA256", time, scope, hash(canonical)].join("\n")).toString("hex")
  return right === signature ? undefined : refusal(403, "SignatureDoesNotMatch")
}
