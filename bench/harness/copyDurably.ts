import { closeSync, copyFileSync, fsyncSync, openSync } from "node:fs"

/** A copy that the disk is done with: nothing of it is written while a clock runs. */
export const copyDurably = (from: string, to: string): void => {
  copyFileSync(from, to)
  const fd = openSync(to, "r+")
  fsyncSync(fd)
  closeSync(fd)
}
