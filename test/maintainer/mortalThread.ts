/** A maintainer thread that ends in the middle of whatever it does, the first two times that one is started here. */
import { existsSync, writeFileSync } from "node:fs"
import { workerData } from "node:worker_threads"
import type { ThreadData } from "../../src/maintainer/maintainerThread.ts"

await import("../../src/maintainer/maintainerThread.ts")

const { executor, options }: ThreadData = workerData
const life = [1, 2].find((life) => !existsSync(`${options.directory}/life-${life}`))
if (executor === 0 && life !== undefined) {
  writeFileSync(`${options.directory}/life-${life}`, "")
  // Somewhere in its work, at another point in every run.
  setTimeout(() => setImmediate(() => process.exit(7)), Math.random() * 40)
}
