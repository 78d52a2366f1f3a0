/**
 * Builds what tests start, before the first test and again before each run of the watch mode: the package, as it is
 * published (`dist`), and the bundles of `programs.ts`, of which some are the package's own.
 *
 * A second run beside this one keeps its files. `tsc` writes over what is there, and writes only what has changed since the last
 * run; what it must know for that lies in `dist` and goes with it. Bundles lie in a folder that is named after their content.
 */
import { execFile } from "node:child_process"
import { createHash } from "node:crypto"
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import type { TestProject } from "vitest/node"
import { bundle, writePackageBundles } from "../tools/bundles.ts"
import { packagePrograms } from "../tools/packagePrograms.ts"
import { folderVariable, testPrograms } from "./programs.ts"

const root = join(import.meta.dirname, "..")
const cache = join(root, "node_modules/.cache/effect-wal-tests")

/** Bundles that no run has used for so long go. */
const keptMillis = 24 * 60 * 60 * 1000

const compilePackage = async (): Promise<void> => {
  const incremental = ["--incremental", "--tsBuildInfoFile", "dist/.tsbuildinfo"]
  const tsc = ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json", ...incremental]
  await promisify(execFile)(process.execPath, tsc, { cwd: root }).catch((error: { readonly stdout?: string }) => {
    throw new Error(`the package does not compile:\n${error.stdout ?? String(error)}`)
  })
}

/** The folder of the bundles, two levels below a `package.json`, as `dist/bin` is. */
const buildPrograms = async (): Promise<string> => {
  const [ofTests, ...ofPackage] = await Promise.all([
    bundle(testPrograms),
    ...Object.entries(packagePrograms).map(([name, source]) => bundle({ [name]: source }))
  ])
  writePackageBundles(ofPackage)
  const files = [ofTests, ...ofPackage].flatMap(({ files }) => files)
  const hash = createHash("sha1")
  for (const { content, name } of files) hash.update(name).update(content)
  const place = join(cache, hash.digest("hex").slice(0, 12))
  if (existsSync(place)) utimesSync(place, new Date(), new Date())
  else {
    mkdirSync(cache, { recursive: true })
    for (const name of readdirSync(cache)) {
      const old = join(cache, name)
      if (Date.now() - statSync(old).mtimeMs > keptMillis) rmSync(old, { recursive: true, force: true })
    }
    // Not a temporary directory, which other users may not enter: some processes run as another one.
    const making = join(cache, `making-${process.pid}`)
    mkdirSync(join(making, "programs/all"), { recursive: true })
    cpSync(join(root, "package.json"), join(making, "package.json"))
    for (const { content, name } of files) writeFileSync(join(making, "programs/all", name), content)
    try {
      renameSync(making, place)
    } catch (error) {
      // A run beside this one was faster.
      if (!existsSync(place)) throw error
      rmSync(making, { recursive: true })
    }
  }
  return join(place, "programs/all")
}

const buildAll = async (): Promise<void> => {
  const [programs] = await Promise.all([buildPrograms(), compilePackage()])
  process.env[folderVariable] = programs
}

/** Runs once, before all tests. */
export const setup = async (project: TestProject): Promise<void> => {
  await buildAll()
  project.onTestsRerun(buildAll)
}
