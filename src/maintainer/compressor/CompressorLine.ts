/**
 * A line to a compressing thread, seen from the thread that asks it.
 *
 * While an answer is due, the asking thread polls for it every millisecond. A message instead would wake the asking
 * thread while the compressing thread holds the lock of the port. If an idle-only thread loses its processor at that
 * moment, the asking thread waits for the lock until the idle-only thread runs again: on a busy machine its event loop
 * stood still for 200 ms at every piece.
 */
import type { LineEnd } from "./CompressingThread.ts"
import * as CompressorAnswer from "./CompressorAnswer.ts"
import { CompressorPriority } from "./CompressorPriority.ts"
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

/** What a thread was asked for on one line, in that order. It keeps the process alive only while a caller waits. */
export class CompressorLine {
  readonly thread: number
  readonly priority: CompressorPriority
  readonly #port: LineEnd["port"]
  readonly #onClosed: () => void
  #jobs: Array<Job> = []
  #looking: NodeJS.Timeout | undefined
  #isClosing = false
  #hasAnswered = false

  /** `onClosed` is called after the last answer on a line that was closed. */
  constructor({ port, priority, thread }: LineEnd, onClosed: () => void) {
    this.thread = thread
    this.priority = new CompressorPriority(priority)
    this.#port = port
    this.#onClosed = onClosed
  }

  /** Whether the thread has ever done what it was asked. */
  get hasAnswered(): boolean {
    return this.#hasAnswered
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
      this.#port.postMessage(
        {
          askedMillis: monotonicMillis(),
          onlyWhenIdle: this.priority.isOnlyWhenIdle,
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

  /** Closes the line after its last answer. It must not be asked any more. */
  close(): void {
    this.#isClosing = true
    if (this.#jobs.length === 0) this.#closeNow()
  }

  /** The thread has ended: what it has not answered is rejected. */
  fail(error: Error): void {
    clearTimeout(this.#looking)
    for (const job of this.#jobs.splice(0)) job.reject(error)
    this.#closeNow()
  }

  #look(): void {
    for (let job = this.#jobs[0]; job !== undefined; job = this.#jobs[0]) {
      const answer = CompressorAnswer.get(job.answer)
      if (answer === undefined) break
      this.#jobs.shift()
      this.#hasAnswered = true
      if (this.priority.isOnlyWhenIdle) this.priority.tookWhenIdle(answer.millis)
      if ("error" in answer) job.reject(new Error(answer.error))
      else job.resolve(job.output.subarray(0, answer.length))
    }
    if (this.#jobs.length > 0) this.#looking?.refresh()
    else {
      this.#looking = undefined
      if (this.#isClosing) this.#closeNow()
    }
  }

  #closeNow(): void {
    this.#port.close()
    this.#onClosed()
  }
}
