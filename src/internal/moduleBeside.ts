/**
 * Where the code of a thread is: a module beside the one that asks, as TypeScript in a checkout, as JavaScript in the
 * package and in a bundle.
 *
 * @since 0.1.0
 */
import { extname } from "node:path"

/**
 * The module `name` in the folder of the module whose `import.meta.url` is `here`, with the same ending. Looked up when
 * a thread begins and not before: a bundle that begins none may have no `import.meta.url`.
 *
 * @since 0.1.0
 * @category modules
 */
export const moduleBeside = (name: string, here: string): URL =>
  new URL(`./${name}${extname(new URL(here).pathname)}`, here)
