/**
 * When the compressing thread runs. While a freeze gives way to commits, the thread takes only processors that nothing
 * else wants. A thread that wakes for a commit then has its processor at once; from a thread of any other priority it
 * would get it only at the end of a slice, some 2 ms.
 *
 * On a busy machine an idle-only thread can starve, and while it starves it may hold a lock that the application needs
 * (the kernel's memory locks, at least). So the thread runs at ordinary low priority whenever something waits for the
 * freeze, and for the next 1,024 pieces after it was seen starving. Linux does not let a thread leave the idle class,
 * so changing back means starting another thread.
 */

/** Compressed in three seconds or more, beside which starting a thread (60 ms) does not count. */
const piecesKept = 1024

/** A piece takes 2 to 5 ms. */
const starvingMillisMin = 100

/** Decides for each piece how the thread must run. */
export class CompressorPriority {
  #piecesLeft = 0

  /**
   * Whether the thread that compresses the next piece must run on idle processors only. `urgent` is that of
   * `CompressOptions`; `isSo`: whether the present thread does.
   */
  onlyWhenIdle(urgent: boolean | undefined, isSo: boolean): boolean {
    if (urgent === true) this.#piecesLeft = piecesKept
    else if (this.#piecesLeft > 0) this.#piecesLeft -= 1
    return this.#piecesLeft === 0 && (isSo || urgent === false)
  }

  /** Notes how long an idle-only thread took for one piece. */
  tookWhenIdle(millis: number): void {
    if (millis >= starvingMillisMin) this.#piecesLeft = piecesKept
  }
}
