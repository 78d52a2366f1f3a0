/**
 * Packs what would be published and installs it into an empty project, once for all tests of the package. Without npm's
 * cache and without a registry there is nothing to install from: then the tests are skipped, and the reason is printed.
 */
import { execFileSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import type { TestProject } from "vitest/node"
import { installTools } from "../../tools/installed.ts"
import { isOffline, npm } from "./npm.ts"

declare module "vitest" {
  interface ProvidedContext {
    /** The packed package; undefined when nothing can be installed here. */
    readonly tarball: string | undefined
    /** A project that has it installed, and nothing else but its peers, with the applications of `consumer/`. */
    readonly project: string
  }
}

const root = resolve(import.meta.dirname, "../..")
const { devDependencies }: { readonly devDependencies: { readonly "@types/node": string } } = JSON.parse(
  readFileSync(join(root, "package.json"), "utf8")
)

const makeProject = (directory: string, tarball: string): void => {
  mkdirSync(directory)
  writeFileSync(join(directory, "package.json"), JSON.stringify({ private: true, type: "module" }))
  // Whoever writes for Node in TypeScript has its types.
  npm(["install", tarball, `@types/node@${devDependencies["@types/node"]}`], directory)
  cpSync(join(import.meta.dirname, "consumer"), directory, { recursive: true })
}

/** Runs once, before all tests of the package; gives back what cleans up. */
export const setup = (project: TestProject): () => void => {
  const directory = mkdtempSync(join(tmpdir(), "effect-wal-package-"))
  const consumer = join(directory, "project")
  project.provide("project", consumer)
  project.provide("tarball", undefined)
  execFileSync("npm", ["run", "-s", "build"], { cwd: root, stdio: "inherit" })
  const [packed]: ReadonlyArray<{ readonly filename: string }> = JSON.parse(
    npm(["pack", "--ignore-scripts", "--json", "--pack-destination", directory], root)
  )
  const tarball = join(directory, packed?.filename ?? "")
  try {
    installTools()
    makeProject(consumer, tarball)
    project.provide("tarball", tarball)
  } catch (error) {
    if (!isOffline(error)) throw error
    process.stderr.write("npm reaches neither its cache nor a registry: the tests of the package are SKIPPED\n")
  }
  return () => rmSync(directory, { recursive: true, force: true })
}
