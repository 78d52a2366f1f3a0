/**
 * The maintainers' tools have a package of their own, so that `npm ci` at the root stays light and none of them can become
 * a dependency of the library. They are installed when one of them is first wanted.
 */
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync, realpathSync } from "node:fs"
import { join } from "node:path"

const modules = join(import.meta.dirname, "node_modules")

/** What `npm ci` wrote last is older than what is asked for, or there is nothing yet. */
const isStale = (): boolean => {
  const installed = join(modules, ".package-lock.json")
  if (!existsSync(installed)) return true
  const wanted: { readonly dependencies: Record<string, string> } = JSON.parse(
    readFileSync(join(import.meta.dirname, "package.json"), "utf8")
  )
  const found: { readonly packages: Record<string, { readonly version: string }> } = JSON.parse(
    readFileSync(installed, "utf8")
  )
  return Object.entries(wanted.dependencies).some(
    ([name, version]) => found.packages[`node_modules/${name}`]?.version !== version
  )
}

/** Installs the tools unless they are there. What npm said is in the error when it fails. */
export const installTools = (): void => {
  if (!isStale()) return
  process.stderr.write("The maintainers' tools are not installed yet: running npm ci in tools/ (once).\n")
  execFileSync("npm", ["ci", "--prefer-offline", "--fetch-retries=1", "--no-audit", "--no-fund"], {
    cwd: import.meta.dirname,
    stdio: ["ignore", "ignore", "pipe"],
    shell: process.platform === "win32"
  })
}

/** The file that a tool's command stands for. */
export const toolPath = (command: string): string => realpathSync(join(modules, ".bin", command))
