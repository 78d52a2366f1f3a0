/**
 * A compressing thread, seen from the thread that has started it. Each thread that asks it has a line to it: a port of
 * its own (see `CompressorLine`).
 */
import { MessageChannel, Worker } from "node:worker_threads"
import type { MessagePort } from "node:worker_threads"
import { threadFlags } from "../../internal/threadFlags.ts"
import { CompressorPriority } from "./CompressorPriority.ts"

/** One end of a line, to be given to the thread that asks. */
export interface LineEnd {
  /** The number of the compressing thread at the other end. */
  readonly thread: number
  readonly port: MessagePort
  /** The memory of the thread's `CompressorPriority`. */
  readonly priority: SharedArrayBuffer
}

/** What the thread is told: of another line, or that no other follows. */
export type CompressorMessage = { readonly _tag: "Line"; readonly port: MessagePort } | { readonly _tag: "NoMore" }

let threads = 0

/** It does not keep the process alive. */
export class CompressingThread {
  readonly number = ++threads
  readonly priority: CompressorPriority
  readonly #worker: Worker

  /** `onEnd` is called once, with the reason if it has died. `piecesLeft` is that of `CompressorPriority`. */
  constructor(module: URL, piecesLeft: number, onEnd: (error: Error) => void) {
    this.priority = new CompressorPriority()
    this.priority.piecesLeft = piecesLeft
    this.#worker = new Worker(module, {
      ...threadFlags(),
      name: "wal-compressor",
      // The pieces lie outside its heap. Without a limit the heap of short-lived objects takes 3 MiB more.
      resourceLimits: { maxYoungGenerationSizeMb: 1 }
    })
    this.#worker.unref()
    let cause: Error | undefined
    this.#worker.once("error", (error: Error) => {
      cause = error
    })
    this.#worker.once("exit", (code) => onEnd(cause ?? new Error(`the compressor's thread ended with code ${code}`)))
  }

  /** Makes another line. */
  connect(): LineEnd {
    const { port1, port2 } = new MessageChannel()
    this.#worker.postMessage({ _tag: "Line", port: port2 } satisfies CompressorMessage, [port2])
    return { thread: this.number, port: port1, priority: this.priority.memory }
  }

  /** The thread ends when the last of its lines is closed. */
  retire(): void {
    this.#worker.postMessage({ _tag: "NoMore" } satisfies CompressorMessage)
  }
}
