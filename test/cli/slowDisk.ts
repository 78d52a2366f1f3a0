/**
 * Preloaded into a command (`slowly`, `drawnTwiceBefore`), so that it can be seen at its work, and ended in the middle of it.
 *
 * With `OPEN_MILLIS` opening a segment takes so long, and is said on standard error when it begins. With `DRAWN_FROM` the
 * segments from this index on are opened when the command has drawn its progress twice since the first of them was to be.
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
