/**
 * The flag `--archive URL`: which store, and the name of the log in it. Its last part is the name, what is before it is
 * the store: `s3://bucket/prefix/log` or `file:///directory/log`.
 */
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import { fileURLToPath } from "node:url"

/** Where the archive of a log is. */
export interface ArchiveAddress {
  /** As it was given. */
  readonly url: string
  readonly store:
    | { readonly kind: "directory"; readonly path: string }
    | { readonly kind: "bucket"; readonly url: string }
  readonly log: string
}

const parse = (url: string): Option.Option<ArchiveAddress> => {
  const [, store = "", log = ""] = /^(\w+:\/\/.*[^/])\/+([A-Za-z0-9][\w.=-]*)\/?$/.exec(url) ?? []
  if (/^s3:\/\/[A-Za-z0-9][\w.-]*(\/|$)/.test(store)) {
    return Option.some({ url, log, store: { kind: "bucket", url: store } })
  }
  const isDirectory = store.startsWith("file:///") && URL.canParse(store)
  return isDirectory
    ? Option.map(pathOf(store), (path) => ({ url, log, store: { kind: "directory", path } }))
    : Option.none()
}

/** None for what is encoded in a way that no path has. */
const pathOf = Option.liftThrowable((url: string): string => fileURLToPath(url))

/** A flag that names an archive. */
export const archiveUrlFlag = (name: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar("URL"),
    Flag.withDescription(description),
    Flag.filterMap(parse, () => "a URL as in s3://bucket/prefix/log or file:///directory/log")
  )

/** `--archive URL`. */
export const archiveFlag = archiveUrlFlag(
  "archive",
  "The archive of the log: s3://BUCKET/PREFIX/LOG, or file:///DIRECTORY/LOG"
)
