/**
 * Runs a tool of this folder's package from the folder it is called in, with the Node that runs this.
 *
 *     node tools/run.ts publint --strict .
 */
import { spawnSync } from "node:child_process"
import { installTools, toolPath } from "./installed.ts"

const [command, ...args] = process.argv.slice(2)
if (command === undefined) {
  process.stderr.write("usage: node tools/run.ts COMMAND [ARGUMENT…]\n")
  process.exit(2)
}
installTools()
const { status } = spawnSync(process.execPath, [toolPath(command), ...args], { stdio: "inherit" })
process.exit(status ?? 1)
