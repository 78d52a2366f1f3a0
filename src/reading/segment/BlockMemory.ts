/**
 * The memory that segments are read into, and how long it may be kept. Reading into memory that was used before is
 * about four times faster than reading into fresh memory, whose pages the system must first provide.
 */
import { FrameMemory } from "./FrameReader.ts"

/** Gives buffers to read into. */
export interface BlockMemory {
  /** A buffer of at least `bytes`. The same one again until it was handed out; it may contain anything. */
  readonly take: (bytes: number) => Uint8Array
  /** The buffer taken last was handed out to a caller: the next `take` gives another one. */
  readonly handOut: () => void
  /** For the compressed bytes of the files; it is never handed out. */
  readonly frame: FrameMemory
}

/** Every buffer is a new one; callers may keep views on it. */
export const freshMemory = (): BlockMemory => {
  let spare: Uint8Array = new Uint8Array(0)
  return {
    take: (bytes) => {
      if (spare.length < bytes) spare = allocate(bytes)
      return spare
    },
    handOut: () => {
      spare = new Uint8Array(0)
    },
    frame: new FrameMemory()
  }
}

/** Takes turns between `count` buffers: a buffer is overwritten `count` hand-outs after its own. */
export const rotatingMemory = (count: number): BlockMemory => {
  const buffers: Array<Uint8Array> = Array.from({ length: count }, () => new Uint8Array(0))
  let turn = 0
  return {
    take: (bytes) => {
      const buffer = buffers[turn]!
      if (buffer.length >= bytes) return buffer
      return buffers[turn] = allocate(bytes)
    },
    handOut: () => {
      turn = (turn + 1) % count
    },
    frame: new FrameMemory()
  }
}

/** Memory of its own, not filled with zeros: it is read into before it is looked at. */
const allocate = (bytes: number): Uint8Array => Buffer.allocUnsafeSlow(bytes)
