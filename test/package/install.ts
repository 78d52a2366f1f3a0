/**
 * Packs what would be published and installs it into two empty projects, once for all tests of the package. Without npm's
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
    /** A project that has it installed, with the applications of `consumer/`, for the library alone. */
    readonly library: string
    /** The same, with what the command line needs. */
    readonly project: string
  }
}

const root = resolve(import.meta.dirname, "../..")

/** The version of the optional peer that the package asks for. */
const platformNode = (): string => {
  const { peerDependencies }: { readonly peerDependencies: Record<string, string> } = JSON.parse(
    readFileSync(join(root, "package.json"), "utf8")
  )
  return `@effect/platform-node@${peerDependencies["@effect/platform-node"]}`
}

const makeProject = (directory: string, packages: ReadonlyArray<string>): void => {
  mkdirSync(directory)
  writeFileSync(join(directory, "package.json"), JSON.stringify({ private: true, type: "module" }))
  npm(["install", ...packages], directory)
  cpSync(join(import.meta.dirname, "consumer"), directory, { recursive: true })
}

/** Runs once, before all tests of the package; gives back what cleans up. */
export const setup = (project: TestProject): () => void => {
  const directory = mkdtempSync(join(tmpdir(), "effect-wal-package-"))
  const library = join(directory, "library")
  const whole = join(directory, "project")
  project.provide("library", library)
  project.provide("project", whole)
  project.provide("tarball", undefined)
  execFileSync("npm", ["run", "-s", "build"], { cwd: root, stdio: "inherit" })
  const [packed]: ReadonlyArray<{ readonly filename: string }> = JSON.parse(
    npm(["pack", "--ignore-scripts", "--json", "--pack-destination", directory], root)
  )
  const tarball = join(directory, packed?.filename ?? "")
  try {
    installTools()
    makeProject(library, [tarball])
    makeProject(whole, [tarball, platformNode()])
    project.provide("tarball", tarball)
  } catch (error) {
    if (!isOffline(error)) throw error
    process.stderr.write("npm reaches neither its cache nor a registry: the tests of the package are SKIPPED\n")
  }
  return () => rmSync(directory, { recursive: true, force: true })
}
