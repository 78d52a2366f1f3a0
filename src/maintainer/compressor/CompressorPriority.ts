/**
 * When the compressing thread runs. While a freeze gives way to commits it takes only processors that nobody else wants: whoever
 * wakes for a commit then has its processor at once, which a thread of any other priority gives up only at the end of its slice, some 2 ms.
 * A freeze that something waits for must not stand still on a busy machine, though, and neither must a thread that shares locks
 * with the application's, if only those of the kernel for their memory. So the thread has a usual low priority while a
 * freeze is awaited, and when it was found starving; and then for some time more, because a thread cannot get out of the other state
 * and is replaced.
 *
 * @since 0.1.0
 */
import type { Pace } from "../steps/FreezePace.ts"

/** Compressed in three seconds or more, in which starting a thread (60 ms) does not count. */
const piecesKept = 1024

/** A piece takes 2 to 5 ms. */
const starvingMillisMin = 100

/**
 * What the thread is to be from one piece to the next.
 *
 * @since 0.1.0
 * @category models
 */
export class CompressorPriority {
  #piecesLeft = 0

  /** Asked for each piece that is compressed: whether the thread is to run on idle processors only. `isSo`: whether it does. */
  onlyWhenIdle(pace: Pace, isSo: boolean): boolean {
    if (pace === "awaited") this.#piecesLeft = piecesKept
    else if (this.#piecesLeft > 0) this.#piecesLeft -= 1
    return this.#piecesLeft === 0 && (isSo || pace === "givesWay")
  }

  /** Told how long a thread that runs on idle processors only took for one piece. */
  tookWhenIdle(millis: number): void {
    if (millis >= starvingMillisMin) this.#piecesLeft = piecesKept
  }
}
