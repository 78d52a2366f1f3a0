/** Bytes to record that nobody made up: the source and build files of Effect, as they lie in node_modules. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "../../node_modules/effect")

/** So many bytes of real text, in a fixed order; from the beginning again when there is not enough. */
export const realBytes = (bytes: number): Uint8Array => {
  const target = new Uint8Array(bytes)
  const names = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(ts|js|md)$/.test(name))
    .sort()
  let at = 0
  while (at < bytes) {
    for (const name of names) {
      if (at >= bytes) break
      const content = readFileSync(join(root, name))
      const taken = Math.min(content.length, bytes - at)
      target.set(content.subarray(0, taken), at)
      at += taken
    }
  }
  return target
}
