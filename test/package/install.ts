/**
 * Packs what would be published and installs it into an empty project, once for all tests of the package. Without npm's
 * cache and without a registry there is nothing to install from: then the tests are skipped, and the reason is printed.
 */
import { execFileSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import type { TestProject } from "vitest/node"
import { installTools } from "../../tools/installed.ts"
import { isOffline, npm } from "./npm.ts"

declare module "vitest" {
  interface ProvidedContext {
    /** The packed package; undefined when nothing can be installed here. */
    readonly tarball: string | undefined
    /** A project that has it installed, with the applications of `consumer/`. */
    readonly project: string
  }
}

const root = resolve(import.meta.dirname, "../..")

/** Runs once, before all tests of the package; gives back what cleans up. */
export const setup = (project: TestProject): () => void => {
  const directory = mkdtempSync(join(tmpdir(), "effect-wal-package-"))
  const installed = join(directory, "project")
  project.provide("project", installed)
  project.provide("tarball", undefined)
  execFileSync("npm", ["run", "-s", "build"], { cwd: root, stdio: "inherit" })
  const [packed]: ReadonlyArray<{ readonly filename: string }> = JSON.parse(
    npm(["pack", "--ignore-scripts", "--json", "--pack-destination", directory], root)
  )
  const tarball = join(directory, packed?.filename ?? "")
  mkdirSync(installed)
  writeFileSync(join(installed, "package.json"), JSON.stringify({ private: true, type: "module" }))
  try {
    installTools()
    npm(["install", tarball], installed)
    project.provide("tarball", tarball)
    cpSync(join(import.meta.dirname, "consumer"), installed, { recursive: true })
  } catch (error) {
    if (!isOffline(error)) throw error
    process.stderr.write("npm reaches neither its cache nor a registry: the tests of the package are SKIPPED\n")
  }
  return () => rmSync(directory, { recursive: true, force: true })
}
