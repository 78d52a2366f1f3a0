/**
 * The answer of a compressing thread, in shared memory. That thread writes it once, and the asking thread polls for it.
 * Neither side ever waits for a lock.
 */

const textBytesMax = 240
const headBytes = 16
const state = 0
const bytes = 1
const micros = 2
const State = { Pending: 0, Done: 1, Failed: 2 } as const

/**
 * The length of the result, or what was thrown. `millis` counts from the request or from the end of the previous piece,
 * whichever is later; it is long when the thread does not get a processor.
 */
type CompressorAnswer =
  & { readonly millis: number }
  & ({ readonly length: number } | { readonly error: string })

/** Memory for one answer. */
export const make = (): SharedArrayBuffer => new SharedArrayBuffer(headBytes + textBytesMax)

/** Compressing thread: gives the answer. */
export const put = (memory: SharedArrayBuffer, answer: CompressorAnswer): void => {
  const words = new Int32Array(memory, 0, headBytes / 4)
  const text = "error" in answer ? Buffer.from(answer.error).subarray(0, textBytesMax) : undefined
  if (text !== undefined) new Uint8Array(memory, headBytes).set(text)
  words[bytes] = "error" in answer ? text?.length ?? 0 : answer.length
  words[micros] = Math.min(2 ** 31 - 1, Math.round(answer.millis * 1000))
  Atomics.store(words, state, text === undefined ? State.Done : State.Failed)
}

/** Asking thread: the answer, if it was given. */
export const get = (memory: SharedArrayBuffer): CompressorAnswer | undefined => {
  const words = new Int32Array(memory, 0, headBytes / 4)
  const found = Atomics.load(words, state)
  if (found === State.Pending) return undefined
  const length = words[bytes] ?? 0
  const millis = (words[micros] ?? 0) / 1000
  return found === State.Done
    ? { millis, length }
    : { millis, error: Buffer.from(new Uint8Array(memory, headBytes, length)).toString() }
}
