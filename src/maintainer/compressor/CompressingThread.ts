/**
 * A compressing thread, seen from the thread that asks it.
 *
 * Answers are looked for every millisecond while one is to come. A message would wake the asking thread from within the lock of
 * its port. Where that takes the processor from a thread that runs only on idle ones, the asking thread waits for that lock
 * until the other is let run again: on a busy machine its event loop stood still for 200 ms at every piece.
 *
 * @since 0.1.0
 */
import { Worker } from "node:worker_threads"
import type { CompressorRequest } from "../compressorThread.ts"
import * as CompressorAnswer from "./CompressorAnswer.ts"
import { monotonicMillis } from "./monotonicMillis.ts"
import { takeResultMemory } from "./ResultMemory.ts"

interface Job {
  readonly answer: SharedArrayBuffer
  readonly output: Uint8Array
  readonly resolve: (result: Uint8Array) => void
  readonly reject: (error: Error) => void
}

const lookEveryMillis = 1

/**
 * One thread and what it was asked for, in that order. It keeps the process alive only while somebody waits for it.
 *
 * @since 0.1.0
 * @category models
 */
export class CompressingThread {
  /** What is asked from now on is to be done on idle processors only. It cannot be taken back. */
  onlyWhenIdle = false
  readonly #worker: Worker
  readonly #onAnswer: (millis: number) => void
  #jobs: Array<Job> = []
  #looking: NodeJS.Timeout | undefined
  #isAlive = true
  #isRetired = false

  /** `onAnswer` is told how long the thread took for each job. */
  constructor(module: URL, onAnswer: (millis: number) => void) {
    this.#onAnswer = onAnswer
    this.#worker = new Worker(module, {
      // What it handles is outside of its heap; without a limit the heap of short-lived objects takes 3 MiB more.
      resourceLimits: { maxYoungGenerationSizeMb: 1 }
    })
    this.#worker.unref()
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
      const answer = CompressorAnswer.make()
      const output = new Uint8Array(takeResultMemory(outputBytesMax))
      this.#jobs.push({ answer, output, resolve, reject })
      this.#worker.postMessage(
        {
          askedMillis: monotonicMillis(),
          onlyWhenIdle: this.onlyWhenIdle,
          task,
          input,
          output,
          answer
        } satisfies CompressorRequest
      )
      this.#looking ??= setTimeout(() => this.#look(), lookEveryMillis).unref()
      if (isWaitedFor) this.#looking.ref()
    })
  }

  /** Not to be asked any more: it ends as soon as it has answered what it was asked. */
  retire(): void {
    this.#isRetired = true
    if (this.#jobs.length === 0) void this.#worker.terminate()
  }

  #look(): void {
    for (let job = this.#jobs[0]; job !== undefined; job = this.#jobs[0]) {
      const answer = CompressorAnswer.get(job.answer)
      if (answer === undefined) break
      this.#jobs.shift()
      this.#onAnswer(answer.millis)
      if ("error" in answer) job.reject(new Error(answer.error))
      else job.resolve(job.output.subarray(0, answer.length))
    }
    if (this.#jobs.length > 0) this.#looking?.refresh()
    else {
      this.#looking = undefined
      if (this.#isRetired) void this.#worker.terminate()
    }
  }

  #onDeath(error: Error): void {
    this.#isAlive = false
    clearTimeout(this.#looking)
    for (const job of this.#jobs) job.reject(error)
    this.#jobs = []
  }
}
