/**
 * Finds the code of a thread: a module beside the one that starts the thread. It is TypeScript in a checkout, and
 * JavaScript in the package and in a bundle.
 */
import { extname } from "node:path"

/**
 * Gives the URL of the module `name` in the folder of the module whose `import.meta.url` is `here`, with the same file
 * extension. Call it only when a thread starts: a bundle that starts none may have no `import.meta.url`.
 */
export const moduleBeside = (name: string, here: string): URL =>
  new URL(`./${name}${extname(new URL(here).pathname)}`, here)
