/**
 * Preloaded into a command (`slowly`, `drawnTwiceBefore`): a test can see it at its work, and end it in the middle.
 *
 * With `OPEN_MILLIS`, opening a segment takes so many milliseconds, and standard error tells when it begins. With
 * `DRAWN_FROM`, the command asks for the segments from this index on, and gets them after it has drawn its progress twice.
 */
import fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import { isMainThread } from "node:worker_threads"

type Open = Parameters<typeof fs.open>

const { open } = fs
const { DRAWN_FROM, OPEN_MILLIS } = process.env

const openSlowly = (...args: Open): void => {
  fs.writeSync(2, "opening a segment\n")
  setTimeout(() => open(...args), Number(OPEN_MILLIS))
}

let drawn = 0
const held: Array<Open> = []

const openWhenDrawn = (...args: Open): void => {
  const index = Number(/FS\.(\d+)/.exec(String(args[0]))?.[1])
  if (index < Number(DRAWN_FROM) || drawn >= 2) return open(...args)
  held.push(args)
}

if (DRAWN_FROM !== undefined && isMainThread) {
  const write = process.stderr.write.bind(process.stderr)
  const writeAndCount = (text: string): boolean => {
    if (held.length > 0 && text.startsWith("\r")) drawn += 1
    if (drawn >= 2) { for (const args of held.splice(0)) open(...args) }
    return write(text)
  }
  Object.assign(process.stderr, { write: writeAndCount })
}

const openAsTold = DRAWN_FROM === undefined ? openSlowly : isMainThread ? openWhenDrawn : open
Object.assign(fs, {
  open: (...args: Open): void => (/FS\.\d+\.wal/.test(String(args[0])) ? openAsTold : open)(...args)
})
syncBuiltinESMExports()
