/**
 * Makes the kernel have `bytes` of free memory that is really there. A virtual machine gives pages that nobody uses back to
 * its host after a while, and the first touch of such a page takes ten times as long as writing it (16 MiB: 40 ms instead
 * of 4, seen here). Which contestant meets them is chance; so each one that writes much does this before its clock runs.
 */
import { closeSync, openSync, rmSync, writeSync } from "node:fs"
import { join } from "node:path"

const piece = new Uint8Array(2 ** 20)

/** Writes a file of so many bytes into `directory`, not synced, and deletes it. */
export const warmPages = (directory: string, bytes: number): void => {
  const path = join(directory, "warm-pages")
  const fd = openSync(path, "w")
  for (let written = 0; written < bytes; written += piece.length) writeSync(fd, piece)
  closeSync(fd)
  rmSync(path)
}
