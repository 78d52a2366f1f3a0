/**
 * When the compressing thread runs. While a freeze gives way to commits, the thread takes only processors that nothing
 * else wants. A thread that wakes for a commit then has its processor at once; from a thread of any other priority it
 * would get it only at the end of a slice, some 2 ms.
 *
 * On a busy machine an idle-only thread can starve, and while it starves it may hold a lock that the application needs
 * (the kernel's memory locks, at least). So the thread runs at ordinary low priority whenever something waits for a
 * freeze, and for the next 1,024 pieces after it was seen starving. Linux does not let a thread leave the idle class,
 * so changing back means starting another thread.
 *
 * All threads that ask decide together, in shared memory: one of them may wait for a freeze while another gives way.
 */

/** Compressed in three seconds or more, beside which starting a thread (60 ms) does not count. */
const piecesKept = 1024

/** A piece takes 2 to 5 ms. */
const starvingMillisMin = 100

const onlyWhenIdle = 0
const piecesLeft = 1

/** How one compressing thread runs, and how it must run for each piece. */
export class CompressorPriority {
  readonly memory: SharedArrayBuffer
  readonly #words: Int32Array

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(8)) {
    this.memory = memory
    this.#words = new Int32Array(memory)
  }

  /** Whether what is asked from now on is done on idle processors only. This cannot be taken back. */
  get isOnlyWhenIdle(): boolean {
    return Atomics.load(this.#words, onlyWhenIdle) !== 0
  }

  setOnlyWhenIdle(): void {
    Atomics.store(this.#words, onlyWhenIdle, 1)
  }

  /** For so many more pieces the thread must have ordinary low priority. */
  get piecesLeft(): number {
    return Math.max(0, Atomics.load(this.#words, piecesLeft))
  }

  set piecesLeft(pieces: number) {
    Atomics.store(this.#words, piecesLeft, pieces)
  }

  /**
   * Whether the thread that compresses the next piece must run on idle processors only. `urgent` is that of
   * `CompressOptions`.
   */
  mustBeOnlyWhenIdle(urgent: boolean | undefined): boolean {
    if (urgent === true) this.piecesLeft = piecesKept
    else if (this.piecesLeft > 0) Atomics.sub(this.#words, piecesLeft, 1)
    return this.piecesLeft === 0 && (this.isOnlyWhenIdle || urgent === false)
  }

  /** Notes how long an idle-only thread took for one piece. */
  tookWhenIdle(millis: number): void {
    if (millis >= starvingMillisMin) this.piecesLeft = piecesKept
  }
}
