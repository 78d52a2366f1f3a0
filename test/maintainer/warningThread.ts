/** A maintainer thread that only warns, and ends when it is asked to. */
import { parentPort } from "node:worker_threads"

parentPort?.postMessage({ _tag: "Warning", message: "something is wrong" })
parentPort?.once("message", () => parentPort?.close())
