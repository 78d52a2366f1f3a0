/** A maintainer thread that ends in the middle of whatever it does, the first two times that a lead has a seat there. */
import { existsSync, writeFileSync } from "node:fs"
import { parentPort } from "node:worker_threads"
import type { ToThread } from "../../src/maintainer/threads/ThreadMessages.ts"

// Messages come when the first listener is there, in a later turn of the event loop.
await import("../../src/maintainer/maintainerThread.ts")

parentPort?.on("message", (message: ToThread) => {
  if (message._tag !== "Begin" || message.data.executor !== 0) return
  const { directory } = message.data.options
  const life = [1, 2].find((life) => !existsSync(`${directory}/life-${life}`))
  if (life === undefined) return
  writeFileSync(`${directory}/life-${life}`, "")
  // Somewhere in its work, at another point in every run.
  setTimeout(() => setImmediate(() => process.exit(7)), Math.random() * 40)
})
