/**
 * Sequence words: how one writer changes several words of shared memory while readers on other threads never see the
 * change half done. The word is odd while its writer is inside. A reader looks at it, copies, and looks again: an even
 * word that has not changed means that the copy is whole. The writer never waits; a reader tries again.
 *
 * Why that holds:
 *
 * - A word is an element of an `Int32Array`; those never tear, by the language's memory model.
 * - The copy is whole when the writer's stores become visible in their order (odd word, changes, even word) and the
 *   reader's loads happen in theirs. For then a reader that has seen any store of an update sees that update's odd
 *   word, or a later one, at its second look.
 * - V8 keeps them in program order: the odd store and both looks are `Atomics` calls, which it moves nothing
 *   across, and it does not reorder the plain stores that follow.
 * - x64 never reorders stores with stores, or loads with loads. So the even store may be a plain one there.
 * - ARM64 does. There `Atomics.store` is a store-release, which nothing before it can pass, and `Atomics.load` a
 *   load-acquire, which nothing after it can pass, and which cannot pass a store-release before it. So the odd store is
 *   followed by a load, the even store is atomic, and the second look is preceded by a store (to a word of the
 *   reader's).
 * - The language's model alone promises an order only if every word is stored and loaded with `Atomics`. That was
 *   measured at 7 to 8 ns a word on x64, and an update has five or more; so we lean on the three points above instead,
 *   and on a test that drives several threads through millions of updates.
 */

/** Whether the processor keeps stores, and loads, in program order among themselves. */
const isOrdered = process.arch === "x64"

/** Private to this thread; only stored to. */
const fence = new Int32Array(new SharedArrayBuffer(4))

/** Writer: begins a change. Only the one writer of the word may call this, and must call `leave` next. */
export const enter = (words: Int32Array, sequence: number): void => {
  Atomics.store(words, sequence, (words[sequence]! + 1) | 0)
  if (!isOrdered) Atomics.load(words, sequence)
}

/** Writer: completes the change. */
export const leave = (words: Int32Array, sequence: number): void => {
  const even = (words[sequence]! + 1) | 0
  if (isOrdered) words[sequence] = even
  else Atomics.store(words, sequence, even)
}

/** Makes the word even if a writer died inside. The next writer calls it before its first change. */
export const recover = (words: Int32Array, sequence: number): void => {
  const found = Atomics.load(words, sequence)
  if ((found & 1) === 1) Atomics.store(words, sequence, (found + 1) | 0)
}

/** Reader: takes the first look. Pass its result to {@link isWhole} after the copy. */
export const look = (words: Int32Array, sequence: number): number => Atomics.load(words, sequence)

/** Reader: tells whether the copy made since `look` returned `seen` is whole. */
export const isWhole = (words: Int32Array, sequence: number, seen: number): boolean => {
  if (!isOrdered) Atomics.store(fence, 0, 0)
  return (seen & 1) === 0 && Atomics.load(words, sequence) === seen
}
