/** Where a bucket is: its URL, and the URLs of the objects in it. */
import { refuseArgument } from "../internal/arguments.ts"
import { requireKey } from "../store/ObjectKey.ts"

/** A bucket, and what the keys in it begin with. */
export interface S3Address {
  readonly bucket: string
  /** Empty, or a key and a `/`. */
  readonly prefix: string
  /** For people: without the endpoint, and never with credentials. */
  readonly name: string
  readonly region: string
  /** The URL of the bucket, without a `/` at its end. */
  readonly url: string
}

/** Older and private servers allow more than AWS does. */
const bucketPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/

/** The region where none is given. A server of one's own takes it, and AWS tells which it should have been. */
const defaultRegion = "us-east-1"

/** Reads the options of a store. Throws when the URL is none of a bucket, or the endpoint none of a server. */
export const addressOf = (options: {
  readonly url: string
  readonly endpoint?: string | undefined
  readonly region?: string | undefined
}): S3Address => {
  const [, bucket = "", path = ""] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(String(options.url)) ?? []
  if (!bucketPattern.test(bucket)) refuseArgument("options.url", options.url, "a URL as in s3://bucket/prefix")
  const begin = path.replace(/\/+$/, "")
  if (begin !== "") requireKey("options.url", begin)
  const region = options.region ?? defaultRegion
  if (!/^[A-Za-z0-9-]+$/.test(region)) refuseArgument("options.region", region, "a region as in eu-central-1")
  return {
    bucket,
    prefix: begin === "" ? "" : `${begin}/`,
    name: `s3://${bucket}${begin === "" ? "" : `/${begin}`}`,
    region,
    url: options.endpoint === undefined ? urlAtAws(bucket, region) : `${originOf(options.endpoint)}/${bucket}`
  }
}

/** AWS has a host for each bucket; but no certificate for a name with dots. */
const urlAtAws = (bucket: string, region: string): string => {
  const host = `s3.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`
  return bucket.includes(".") ? `https://${host}/${bucket}` : `https://${bucket}.${host}`
}

const originOf = (endpoint: string): string => {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  const isOrigin = url !== undefined && /^https?:$/.test(url.protocol) && url.username === "" && url.search === ""
  if (!isOrigin) return refuseArgument("options.endpoint", endpoint, "a URL as in https://storage.example:9000")
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`
}

/** The URL of an object. */
export const urlOf = (address: S3Address, key: string): string =>
  `${address.url}/${`${address.prefix}${key}`.split("/").map(encode).join("/")}`

/** The URL of the bucket, with a query. */
export const queryUrl = (address: S3Address, query: Readonly<Record<string, string>>): string =>
  `${address.url}/?${Object.entries(query).map(([name, value]) => `${encode(name)}=${encode(value)}`).join("&")}`

/** As a signature wants it: everything is encoded that is not unreserved in RFC 3986. */
const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
