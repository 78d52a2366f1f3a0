/**
 * A compressing thread, seen from the thread that asks it.
 *
 * While an answer is due, the asking thread polls for it every millisecond. A message instead would wake the asking
 * thread while the compressing thread holds the lock of the port. If an idle-only thread loses its processor at that
 * moment, the asking thread waits for the lock until the idle-only thread runs again: on a busy machine its event loop
 * stood still for 200 ms at every piece.
 */
import { Worker } from "node:worker_threads"
import { threadFlags } from "../../internal/threadFlags.ts"
import * as CompressorAnswer from "./CompressorAnswer.ts"
import { monotonicMillis } from "./monotonicMillis.ts"
import { takePiece } from "./PieceMemory.ts"

/** What the thread is to do with one piece. */
export interface CompressorRequest {
  /** When it was asked for, by `monotonicMillis`. */
  readonly askedMillis: number
  /** From now on the thread runs only on processors that nothing else wants, where the operating system can do that. */
  readonly onlyWhenIdle: boolean
  readonly task: "compress" | "uncompress"
  readonly input: Uint8Array
  /** Shared memory with room for the result. */
  readonly output: Uint8Array
  /** Memory of a `CompressorAnswer`. */
  readonly answer: SharedArrayBuffer
}

interface Job {
  readonly answer: SharedArrayBuffer
  readonly output: Uint8Array
  readonly resolve: (result: Uint8Array) => void
  readonly reject: (error: Error) => void
}

const lookEveryMillis = 1

/** One thread and what it was asked for, in that order. It keeps the process alive only while a caller waits for it. */
export class CompressingThread {
  /** What is asked from now on is done on idle processors only. This cannot be taken back. */
  onlyWhenIdle = false
  readonly #worker: Worker
  readonly #onAnswer: (millis: number) => void
  #jobs: Array<Job> = []
  #looking: NodeJS.Timeout | undefined
  #isAlive = true
  #isRetired = false

  /** `onAnswer` is called with the time that the thread took for each job. */
  constructor(module: URL, onAnswer: (millis: number) => void) {
    this.#onAnswer = onAnswer
    this.#worker = new Worker(module, {
      ...threadFlags(),
      // The pieces lie outside its heap. Without a limit the heap of short-lived objects takes 3 MiB more.
      resourceLimits: { maxYoungGenerationSizeMb: 1 }
    })
    this.#worker.unref()
    this.#worker.once("error", (error) => this.#onDeath(error))
    this.#worker.once("exit", (code) => this.#onDeath(new Error(`the compressor's thread ended with code ${code}`)))
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  /**
   * Compresses or decodes one piece. The result is at most `outputBytesMax` long. With `isWaitedFor` the process stays
   * alive until it is there.
   */
  ask(
    task: CompressorRequest["task"],
    input: Uint8Array,
    outputBytesMax: number,
    isWaitedFor = true
  ): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const answer = CompressorAnswer.make()
      const output = takePiece(outputBytesMax)
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

  /** Ends the thread after its last answer. It must not be asked any more. */
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
