/** The version of the package, from the `package.json` that lies two folders above, of the source as of the bundle. */
import { createRequire } from "node:module"

/** The version alone. */
export const { version }: { readonly version: string } = createRequire(import.meta.url)("../../package.json")

/** What `--version` prints. */
export const versionLine = `effect-wal v${version}`
