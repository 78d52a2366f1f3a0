/**
 * Finds the module that a thread runs. It lies
 *
 * - beside the module that starts the thread: in a checkout, in the command line's bundle, and in a bundle of an
 *   application that has it as an entry
 * - in `dist/bin` of the package, where every module that is started is a bundle of its own
 *
 * A bundle without that entry has no such module, and a bundle in CommonJS may not even know where it lies.
 */
import { existsSync } from "node:fs"
import { extname } from "node:path"

/**
 * Gives the URL of the module `name` for the module whose `import.meta.url` is `here`; `undefined` where there is none.
 */
export const findThreadModule = (name: string, here: string | undefined): URL | undefined => {
  if (here === undefined || !here.startsWith("file:")) return undefined
  const places = [`./${name}${extname(new URL(here).pathname)}`, `../bin/${name}.js`]
  return places.map((place) => new URL(place, here)).find((url) => existsSync(url))
}
