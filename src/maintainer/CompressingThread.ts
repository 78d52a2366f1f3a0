/**
 * A compressing thread, seen from the thread that asks it.
 *
 * @since 0.1.0
 */
import { Worker } from "node:worker_threads"
import type { CompressorReply, CompressorRequest, CompressorStart } from "./compressorThread.ts"
import { takeResultMemory } from "./ResultMemory.ts"

interface Job {
  readonly output: Uint8Array
  readonly resolve: (result: Uint8Array) => void
  readonly reject: (error: Error) => void
}

/**
 * One thread and what it was asked for. It keeps the process alive only while there is work.
 *
 * @since 0.1.0
 * @category models
 */
export class CompressingThread {
  readonly start: CompressorStart
  readonly #worker: Worker
  readonly #onAnswer: (millis: number) => void
  readonly #jobs = new Map<number, Job>()
  #nextId = 0
  #isAlive = true
  #isRetired = false
  /** Since when it has worked on its oldest job. Not known of the first one, which waits for the thread to begin. */
  #busySince: number | undefined

  /** `onAnswer` is told how long each job but the first took. */
  constructor(module: URL, start: CompressorStart, onAnswer: (millis: number) => void) {
    this.start = start
    this.#onAnswer = onAnswer
    this.#worker = new Worker(module, {
      workerData: start,
      // What it handles is outside of its heap; without a limit the heap of short-lived objects takes 3 MiB more.
      resourceLimits: { maxYoungGenerationSizeMb: 1 }
    })
    this.#worker.unref()
    this.#worker.on("message", (reply: CompressorReply) => this.#onReply(reply))
    this.#worker.once("error", (error) => this.#onDeath(error))
    this.#worker.once("exit", (code) => this.#onDeath(new Error(`the compressor's thread ended with code ${code}`)))
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  /** What comes of one piece, in memory that had so much room. With `isWaitedFor` the process lives until then. */
  ask(
    task: CompressorRequest["task"],
    input: Uint8Array,
    outputBytesMax: number,
    isWaitedFor = true
  ): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const id = this.#nextId++
      const output = new Uint8Array(takeResultMemory(outputBytesMax))
      if (id > 0 && this.#jobs.size === 0) this.#busySince = performance.now()
      this.#jobs.set(id, { output, resolve, reject })
      if (isWaitedFor) this.#worker.ref()
      this.#worker.postMessage({ id, task, input, output } satisfies CompressorRequest)
    })
  }

  /** Not to be asked any more: it ends as soon as it has answered what it was asked. */
  retire(): void {
    this.#isRetired = true
    if (this.#jobs.size === 0) this.#rest()
  }

  #rest(): void {
    this.#worker.unref()
    if (this.#isRetired) void this.#worker.terminate()
  }

  #onReply(reply: CompressorReply): void {
    const now = performance.now()
    if (this.#busySince !== undefined) this.#onAnswer(now - this.#busySince)
    this.#busySince = now
    const job = this.#jobs.get(reply.id)
    this.#jobs.delete(reply.id)
    if (this.#jobs.size === 0) this.#rest()
    if (job === undefined) return
    if ("error" in reply) job.reject(new Error(reply.error))
    else job.resolve(job.output.subarray(0, reply.length))
  }

  #onDeath(error: Error): void {
    this.#isAlive = false
    for (const job of this.#jobs.values()) job.reject(error)
    this.#jobs.clear()
  }
}
