/**
 * When the compressing thread runs. By itself it takes only processors that nobody else wants: whoever wakes for a commit has
 * its processor at once, which a thread of any other priority gives up only at the end of its slice, 2 to 3 ms. A freeze that
 * something waits for must not stand still on a busy machine, though, and neither must a thread that shares locks with the
 * application's. So the thread is one of a usual low priority while freezes are awaited, and when it was found starving; and
 * then for some time more, because a thread cannot get out of the first state and is replaced.
 *
 * @since 0.1.0
 */

/** Compressed in four seconds or more, in which starting a thread (50 ms) does not count. */
const piecesKept = 1024

/** A piece takes 2 to 5 ms. */
const starvingMillisMin = 100

/**
 * Which of the two threads it is to be.
 *
 * @since 0.1.0
 * @category models
 */
export class CompressorPriority {
  #piecesLeft = 0

  /** Asked for each piece that is compressed: whether the thread is to run on idle processors only. */
  onlyWhenIdle(isAwaited: boolean): boolean {
    if (isAwaited) this.#piecesLeft = piecesKept
    else if (this.#piecesLeft > 0) this.#piecesLeft -= 1
    return this.#piecesLeft === 0
  }

  /** Told how long a thread that runs on idle processors only took for one piece. */
  tookWhenIdle(millis: number): void {
    if (millis >= starvingMillisMin) this.#piecesLeft = piecesKept
  }
}
