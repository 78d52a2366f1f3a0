/**
 * Keys of objects: names with `/` between them, as in `orders/segments/3/FS.00000012.wal.lz4`. Every store must be
 * able to keep them, a directory as well as a bucket behind a URL. So no name is empty, `.` or `..`, and lengths are
 * bounded.
 */
import { refuseArgument } from "../internal/arguments.ts"

const nameBytesMax = 200
const keyBytesMax = 900

/** What would end a line or a URL somewhere on the way. */
// oxlint-disable-next-line no-control-regex -- finding them is the purpose
const controls = /[\u0000-\u001f\u007f]/

/** Throws unless `key` is one. `name` is that of the argument. */
export const requireKey = (name: string, key: string): void => {
  const isKey = typeof key === "string" && key.isWellFormed() && !controls.test(key) &&
    Buffer.byteLength(key) <= keyBytesMax && key.split("/").every(isName)
  if (!isKey) refuseArgument(name, key, "names with / between them, none of them empty, '.' or '..'")
}

const isName = (name: string): boolean =>
  name !== "" && name !== "." && name !== ".." && Buffer.byteLength(name) <= nameBytesMax

/** Throws unless keys can begin with `prefix`; it may end within a name. */
export const requirePrefix = (name: string, prefix: string): void => {
  if (typeof prefix !== "string" || !prefix.isWellFormed()) refuseArgument(name, prefix, "the beginning of keys")
}

/** Compares keys in the order of listings, that of their bytes in UTF-8. */
export const compareKeys = (left: string, right: string): number =>
  Buffer.compare(Buffer.from(left), Buffer.from(right))
