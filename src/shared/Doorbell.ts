/**
 * A doorbell says "something changed, look again" to whoever sleeps. It is one counter in shared memory: whoever
 * changes something rings (adds one), whoever is about to sleep has read the counter *before* it looked, and sleeps
 * only while the counter still has that value. So a ring between looking and sleeping is never lost, and rings need no
 * acknowledgement.
 *
 * - A waiter in the ringing thread is woken inside `ringUnsafe`, synchronously. So a test that owns the clock owns the
 *   doorbell too.
 * - A shared doorbell (`makeSharedUnsafe`) is also heard from other threads. For this a thread keeps at most one
 *   `Atomics.waitAsync` pending, whatever the number of its waiters, and none is begun while nobody waits: a pending
 *   one cannot be cancelled, it goes away with the next ring.
 * - A local doorbell (`makeUnsafe`) never creates a promise.
 *
 * A thread has one `Doorbell` object for one cell; two objects on one cell do not know each other's waiters. A pending
 * `Atomics.waitAsync` does not keep Node's event loop alive; a thread that lives by its doorbell alone must hold
 * something else open (a message port with a listener, say).
 */
import * as Effect from "effect/Effect"
import { invariant } from "../internal/invariant.ts"

interface Waiter {
  readonly seen: number
  readonly wake: () => void
}

/** A doorbell, as one thread sees it. */
export interface Doorbell {
  /** Whether rings are exchanged with other threads. */
  readonly isShared: boolean
  readonly words: Int32Array
  readonly index: number
  /** @internal the waiters of this thread, in the order in which they came */
  readonly waiters: Set<Waiter>
  /** @internal whether this thread has an `Atomics.waitAsync` pending */
  listening: boolean
}

/**
 * The bytes that a doorbell takes in shared memory: a 64-byte line of its own, whose first four bytes are the counter.
 */
export const doorbellBytes = 64

const makeDoorbell = (buffer: SharedArrayBuffer, byteOffset: number, isShared: boolean): Doorbell => {
  invariant(byteOffset % 4 === 0, "a doorbell lies at a multiple of 4 bytes")
  return { isShared, words: new Int32Array(buffer, byteOffset, 1), index: 0, waiters: new Set(), listening: false }
}

/**
 * Makes a local doorbell on the counter at `byteOffset` of `buffer`: a ring wakes the waiters of the ringing thread
 * only. The counter keeps its value; zeroed memory is a fresh counter.
 */
export const makeUnsafe = (buffer: SharedArrayBuffer, byteOffset: number): Doorbell =>
  makeDoorbell(buffer, byteOffset, false)

/**
 * Makes a shared doorbell on the counter at `byteOffset` of `buffer`: a ring wakes waiters in every thread that made
 * one there. Threads may make theirs in any order. The counter keeps its value; zeroed memory is a fresh counter.
 */
export const makeSharedUnsafe = (buffer: SharedArrayBuffer, byteOffset: number): Doorbell =>
  makeDoorbell(buffer, byteOffset, true)

/**
 * Reads the counter: how often the doorbell was rung, modulo 2^32, as a signed integer. Compare it for equality only.
 */
export const readUnsafe = (self: Doorbell): number => Atomics.load(self.words, self.index)

/**
 * Rings: wakes every waiter. Waiters in this thread run before the call returns, those in other threads (if the
 * doorbell is shared) as soon as their thread is free. A woken waiter sees all changes made before the ring.
 */
export const ringUnsafe = (self: Doorbell): void => {
  countUnsafe(self)
  wakeUnsafe(self)
}

/**
 * Does the first half of a ring: adds one to the counter and wakes no waiter. The caller must call `wakeUnsafe` later.
 * The two are separate because waking a thread is a system call, and the woken thread may take the caller's core.
 */
export const countUnsafe = (self: Doorbell): void => {
  Atomics.add(self.words, self.index, 1)
}

/** Does the second half of a ring: wakes every waiter that has not seen the present count. */
export const wakeUnsafe = (self: Doorbell): void => {
  if (self.isShared) Atomics.notify(self.words, self.index)
  if (self.waiters.size > 0) wakeChanged(self, Atomics.load(self.words, self.index))
}

// A woken waiter may ring or wait again before this returns, so the waiters to wake are chosen first.
const wakeChanged = (self: Doorbell, count: number): void => {
  const changed: Array<Waiter> = []
  for (const waiter of self.waiters) {
    if (waiter.seen !== count) changed.push(waiter)
  }
  for (const waiter of changed) {
    if (self.waiters.delete(waiter)) waiter.wake()
  }
}

// On return there are no waiters, or a waitAsync is pending that ends when the counter changes. A waitAsync for an
// older count has already been notified, so its handler will run and look again.
const listen = (self: Doorbell): void => {
  while (!self.listening && self.waiters.size > 0) {
    const count = Atomics.load(self.words, self.index)
    wakeChanged(self, count)
    if (self.listening || self.waiters.size === 0) return
    const result = Atomics.waitAsync(self.words, self.index, count)
    if (!result.async) continue
    self.listening = true
    void result.value.then(() => {
      self.listening = false
      listen(self)
    })
  }
}

const cancelNothing = (): void => {}

/**
 * Calls `wake` once, as soon as the counter differs from `seen`; at once if it already does. Returns the function that
 * cancels the waiting.
 */
export const onRingUnsafe = (self: Doorbell, seen: number, wake: () => void): () => void => {
  if (readUnsafe(self) !== seen) {
    wake()
    return cancelNothing
  }
  const waiter: Waiter = { seen, wake }
  self.waiters.add(waiter)
  if (self.isShared) listen(self)
  return () => {
    self.waiters.delete(waiter)
  }
}

/**
 * Waits until the counter differs from `seen`; returns at once if it already does. Interruptible: an interruption
 * removes the listener.
 */
export const wait = (self: Doorbell, seen: number): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const cancel = onRingUnsafe(self, seen, () => resume(Effect.void))
    return Effect.sync(cancel)
  })

/**
 * Reads the counter repeatedly, without releasing the thread, until it differs from `seen` or `microsMax` microseconds
 * are over. Returns `true` if it differs. For a ring that is expected at once: waking a sleeping thread would take
 * longer.
 */
export const spinUnsafe = (self: Doorbell, seen: number, microsMax: number): boolean => {
  const until = performance.now() + microsMax / 1000
  do {
    for (let look = 0; look < 20; look++) if (readUnsafe(self) !== seen) return true
  } while (performance.now() < until)
  return false
}
