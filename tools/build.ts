/**
 * Builds the package, `npm run build`: to `dist` the modules that are imported, each by itself, with its types; to
 * `dist/bin` what is started, in bundles; and the manual page.
 */
import * as Effect from "effect/Effect"
import { execFileSync } from "node:child_process"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { bundle, writePackageBundles } from "./bundles.ts"
import { manPage, manPagePath } from "./manPage.ts"
import { packagePrograms } from "./packagePrograms.ts"

const root = join(import.meta.dirname, "..")

rmSync(join(root, "dist"), { recursive: true, force: true })
const tsc = join(root, "node_modules/typescript/bin/tsc")
execFileSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: root, stdio: "inherit" })
writePackageBundles(
  await Promise.all(Object.entries(packagePrograms).map(([name, source]) => bundle({ [name]: source })))
)

const page = join(root, manPagePath)
mkdirSync(dirname(page), { recursive: true })
writeFileSync(page, await Effect.runPromise(manPage))
