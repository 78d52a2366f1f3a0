/** A maintainer thread whose executors only warn, and end when they are asked to. */
import { parentPort } from "node:worker_threads"
import type { FromThread, ToThread } from "../../src/maintainer/threads/ThreadMessages.ts"

const send = (message: FromThread): void => parentPort?.postMessage(message)

parentPort?.on("message", (message: ToThread) => {
  if (message._tag === "Begin") send({ _tag: "Warning", seat: message.seat, message: "something is wrong" })
  if (message._tag === "End") send({ _tag: "Ended", seat: message.seat, defect: undefined })
  if (message._tag === "Stop") parentPort?.close()
})
