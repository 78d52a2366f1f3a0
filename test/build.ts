/**
 * Builds the package before the first test, because the tests of the command line run what is installed. `tsc` writes over
 * what is there, so that a second run beside this one keeps its files, and writes only what has changed since the last run; what
 * it must know for that lies in `dist` and goes with it.
 */
import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"

/** Runs once, before all tests. */
export const setup = (): void => {
  const root = fileURLToPath(new URL("..", import.meta.url))
  const incremental = ["--incremental", "--tsBuildInfoFile", "dist/.tsbuildinfo"]
  execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json", ...incremental], {
    cwd: root,
    stdio: "inherit"
  })
}
