/**
 * Preloaded into a command (`slowDisk`): opening a segment takes `OPEN_MILLIS`, and is said on standard error when it begins. So
 * a command can be seen at its work, and ended in the middle of it.
 */
import fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"

const { open } = fs
const millis = Number(process.env.OPEN_MILLIS)

const openSlowly = (...args: Parameters<typeof open>): void => {
  if (!/FS\.\d+\.wal/.test(String(args[0]))) return open(...args)
  fs.writeSync(2, "opening a segment\n")
  setTimeout(() => open(...args), millis)
}
Object.assign(fs, { open: openSlowly })
syncBuiltinESMExports()
