/** The flags that say where other processes reach a log: at a Unix socket, or over HTTP. */
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"

/** Where a log is offered. */
export type LogAddress =
  | { readonly kind: "socket"; readonly path: string }
  | { readonly kind: "http"; readonly url: URL }

/** The path at which `effect-wal/rpc` offers a log when it is given none. */
const defaultPath = "/log"

const httpAddress = (text: string): Option.Option<LogAddress> => {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol) || url.username + url.password + url.search + url.hash !== "") {
    return Option.none()
  }
  if (url.pathname === "/") url.pathname = defaultPath
  return url.pathname.endsWith("/") ? Option.none() : Option.some({ kind: "http", url })
}

const parse = (text: string): Option.Option<LogAddress> =>
  text.includes("://") ? httpAddress(text) : text === "" ? Option.none() : Option.some({ kind: "socket", path: text })

/** A recorder listens without TLS, at the one path that `append` and `tail` take for granted. */
const parseOffer = (text: string): Option.Option<LogAddress> =>
  Option.filter(
    parse(text),
    (address) => address.kind === "socket" || (address.url.protocol === "http:" && address.url.pathname === defaultPath)
  )

const expected = "the path of a socket, or an address such as http://127.0.0.1:8123"

const addressFlagOf = (name: string, description: string, read: typeof parse) =>
  Flag.String(name).pipe(
    Flag.withMetavar("ADDRESS"),
    Flag.withDescription(description),
    Flag.filterMap(read, () => expected)
  )

/** Makes a flag that names a log which another process offers. */
export const addressFlag = (name: string, description: string) => addressFlagOf(name, description, parse)

/** `--offer ADDRESS`. */
export const offerFlag = addressFlagOf(
  "offer",
  "Let other processes append and read: at this Unix socket, or at http://127.0.0.1:PORT. Then only a signal ends it",
  parseOffer
)

/** The address as it is given to the flag. */
export const formatAddress = (address: LogAddress): string =>
  address.kind === "socket"
    ? address.path
    : address.url.origin + (address.url.pathname === defaultPath ? "" : address.url.pathname)
