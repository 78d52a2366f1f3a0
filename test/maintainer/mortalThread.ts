/** A maintainer thread that ends in the middle of whatever it does, the first two times that a lead has a seat there. */
import { existsSync, writeFileSync } from "node:fs"
import { parentPort } from "node:worker_threads"
import { invariant } from "../../src/internal/invariant.ts"
import type { ToThread } from "../../src/maintainer/threads/ThreadMessages.ts"

const port = parentPort
invariant(port !== null, "this is a thread")

const watch = (message: ToThread): void => {
  if (message._tag === "Stop") port.off("message", watch)
  if (message._tag !== "Begin" || message.data.executor !== 0) return
  const { directory } = message.data.options
  const life = [1, 2].find((life) => !existsSync(`${directory}/life-${life}`))
  if (life === undefined) return
  writeFileSync(`${directory}/life-${life}`, "")
  // Somewhere in its work, at another point in every run.
  setTimeout(() => setImmediate(() => process.exit(7)), Math.random() * 40)
}

// The first listener lets the messages in that wait: this one must be there as soon as that of the real thread.
const on = port.on.bind(port)
port.on = (event: string, listener: Parameters<typeof on>[1]) => {
  on("message", watch)
  return on(event, listener)
}
await import("../../src/maintainer/maintainerThread.ts")
