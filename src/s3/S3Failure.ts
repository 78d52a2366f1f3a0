/**
 * What the failures of an S3 server mean: for every answer that is no success, and for every request without an answer,
 * the reason, what to do about it, and whether the server may have done it.
 */
import type { PutOptions, StoreOperation } from "../store/ObjectStore.ts"
import { storeReason } from "../store/StoreReason.ts"
import type { StoreReason } from "../store/StoreReason.ts"

/** What a server answers when it does not do what was asked. */
interface Refusal {
  readonly status: number
  /** Its code for the error, as in `NoSuchKey`; empty when it has told none, as for HEAD. */
  readonly code: string
  readonly message: string
  /** Where the bucket is, as far as the server tells. */
  readonly region: string
  readonly location: string
}

/** Why a request failed. */
export interface S3Failure {
  readonly reason: StoreReason
  readonly isApplied: "no" | "unknown"
}

/** What the credentials must be allowed, by the names that AWS has for it. */
const permissions: Readonly<Record<StoreOperation, string>> = {
  put: "s3:PutObject",
  get: "s3:GetObject (and s3:ListBucket, without which a missing object is refused, too)",
  head: "s3:GetObject (and s3:ListBucket, without which a missing object is refused, too)",
  list: "s3:ListBucket",
  remove: "s3:DeleteObject"
}

/** Of the codes with which credentials are refused, what to do. */
const refusedCredentials: Readonly<Record<string, string>> = {
  RequestTimeTooSkewed: "the clock of this machine is wrong; set it, as by NTP",
  InvalidAccessKeyId: "the server does not know the access key; is it that of another server?",
  SignatureDoesNotMatch: "the secret access key is wrong",
  ExpiredToken: "the credentials have expired; renew them",
  TokenRefreshRequired: "the credentials have expired; renew them",
  InvalidToken: "the session token is wrong; renew the credentials",
  AccountProblem: "the account is suspended"
}

/** The codes for content that did not arrive as it was sent. */
const damaged: ReadonlySet<string> = new Set([
  "BadDigest",
  "InvalidDigest",
  "IncompleteBody",
  "XAmzContentSHA256Mismatch",
  "XAmzContentChecksumMismatch"
])

/** Why a server refused a request. */
export const failureOf = (
  operation: StoreOperation,
  bucket: string,
  refusal: Refusal,
  onlyIf?: PutOptions["onlyIf"]
): S3Failure => {
  const { code, location, message, region, status } = refusal
  const told = [String(status), code, message].filter((text) => text !== "").join(" ")
  const no = (tag: StoreReason["_tag"], detail: string): S3Failure => ({
    reason: storeReason(tag, detail === "" ? told : `${detail}: ${told}`),
    isApplied: "no"
  })
  if (code === "NoSuchBucket") return no("Unsuitable", `there is no bucket ${bucket}; make it, or correct its name`)
  if (refusedCredentials[code] !== undefined) return no("Denied", refusedCredentials[code])
  if (damaged.has(code)) return no("Corrupt", "")
  if (code === "AuthorizationHeaderMalformed" && region !== "") return no("Unsuitable", regionAdvice(bucket, region))
  // The server has waited in vain for the rest of the request.
  if (code === "RequestTimeout") return { reason: storeReason("Unreachable", told), isApplied: isAppliedBy(operation) }
  switch (status) {
    case 301:
    case 302:
    case 307:
    case 308:
      return no("Unsuitable", region === "" ? endpointAdvice(location) : regionAdvice(bucket, region))
    case 401:
      return no("Denied", "the server does not accept the credentials")
    case 403:
      return no("Denied", `the credentials do not allow it, or are wrong; it takes ${permissions[operation]}`)
    case 404:
      return no(operation === "put" && onlyIf !== undefined ? "Changed" : "NotFound", "")
    case 409:
    case 429:
      return no("Busy", "")
    case 412:
      return no(onlyIf === "absent" ? "Taken" : "Changed", "")
    case 416:
      return no("Corrupt", "the object ends before the range")
    case 501:
      return no("Unsuitable", "the server does not know this kind of request")
  }
  return status >= 500
    ? { reason: storeReason("Busy", told), isApplied: isAppliedBy(operation) }
    : no("Unsuitable", "")
}

const regionAdvice = (bucket: string, region: string): string =>
  `the bucket ${bucket} is in the region ${region}; give region: "${region}"`

const endpointAdvice = (location: string): string =>
  `the bucket is elsewhere; give ${location === "" ? "another endpoint" : `the endpoint of ${location}`}`

/** Whether the server may have done a request whose answer does not tell: those that change nothing do not matter. */
export const isAppliedBy = (operation: StoreOperation): "no" | "unknown" =>
  operation === "put" || operation === "remove" ? "unknown" : "no"

/** Codes of failures in which nothing was sent. */
const unsent: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENETDOWN",
  "UND_ERR_CONNECT_TIMEOUT"
])

const tlsPattern = /CERT|^ERR_TLS|^ERR_SSL|^EPROTO$|^UNABLE_TO_|^HOSTNAME_MISMATCH$/

/** Why a request has no answer. `cause` is what the HTTP client reports. */
export const failureWithoutAnswer = (operation: StoreOperation, cause: unknown): S3Failure => {
  const { code, message } = innermost(cause)
  const told = message.includes(code) ? message : `${code}: ${message}`
  if (tlsPattern.test(code)) {
    const advice = "TLS fails; is it the right endpoint, and does Node know the authority (NODE_EXTRA_CA_CERTS)?"
    return { reason: storeReason("Unsuitable", `${advice} ${told}`), isApplied: "no" }
  }
  return {
    reason: storeReason("Unreachable", told),
    isApplied: unsent.has(code) ? "no" : isAppliedBy(operation)
  }
}

/** The code and the message of the error at the bottom: fetch puts it under one that tells nothing. */
const innermost = (error: unknown): { readonly code: string; readonly message: string } => {
  let found = { code: "", message: String(error) }
  let next = error
  for (let depth = 0; depth < 8 && typeof next === "object" && next !== null; depth++) {
    const code: unknown = Reflect.get(next, "code")
    const message: unknown = Reflect.get(next, "message")
    found = {
      code: typeof code === "string" ? code : found.code,
      message: typeof message === "string" && message !== "" ? message : found.message
    }
    // Of several addresses that were tried, the first tells enough.
    const errors: unknown = Reflect.get(next, "errors")
    next = Array.isArray(errors) ? errors[0] : Reflect.get(next, "cause") ?? Reflect.get(next, "reason")
  }
  return found
}
