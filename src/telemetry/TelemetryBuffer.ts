/**
 * The shared memory of the telemetry: one 64-byte header, then one block for each writer (see CounterLayout.ts).
 *
 * ```text
 *   0  magic "EWTL" (u32)   4  version (u32)   8  writers (u32)   12  bytes of a block (u32)   16..63  zero
 *  64  block of writer 0, block of writer 1, …
 * ```
 *
 * A thread that has the buffer can attach to it. A buffer without writers is the no-op: nothing is counted, and every
 * value is zero.
 */
import { invariant } from "../internal/invariant.ts"
import { blockBytes, groups, groupsBytes, lineBytes } from "./CounterLayout.ts"

const magic = 0x4c_54_57_45
const version = 1

/** The largest number of writers of a buffer: the application's thread, the maintainer, and a large pool of workers. */
const writersLimit = 256

/** Makes memory for `writersMax` writers, with all counts at zero and all minima at the unsigned 64-bit maximum. */
export const makeBuffer = (writersMax: number): SharedArrayBuffer => {
  invariant(
    Number.isInteger(writersMax) && writersMax >= 0 && writersMax <= writersLimit,
    `telemetry has 0 to ${writersLimit} writers, not ${writersMax}`
  )
  const buffer = new SharedArrayBuffer(lineBytes + writersMax * blockBytes)
  new Uint32Array(buffer).set([magic, version, writersMax, blockBytes])
  for (let writer = 0; writer < writersMax; writer++) {
    resetMinima(new Uint32Array(buffer, blockOffset(writer), groupsBytes / 4))
  }
  return buffer
}

/** Sets the minima in the words of a zeroed block to their first value, the unsigned 64-bit maximum. */
export const resetMinima = (words: Uint32Array): void => {
  for (const group of groups) {
    for (const field of group.fields) {
      if (field.merge === "min") words.fill(0xffff_ffff, field.offset / 4, (field.offset + field.bytes) / 4)
    }
  }
}

/** Reads how many writers a buffer has. Throws if the buffer was not made by telemetry, or by another version of it. */
export const writersOf = (buffer: SharedArrayBuffer): number => {
  invariant(buffer.byteLength >= lineBytes, "a telemetry buffer has a header")
  const [foundMagic, foundVersion, writersMax, foundBlockBytes] = new Uint32Array(buffer, 0, 4)
  invariant(foundMagic === magic, "the buffer to attach to was made by telemetry")
  invariant(
    foundVersion === version && foundBlockBytes === blockBytes,
    "the telemetry buffer was made by the same version of this package"
  )
  invariant(
    writersMax !== undefined && buffer.byteLength === lineBytes + writersMax * blockBytes,
    "the telemetry buffer holds a block for each of its writers"
  )
  return writersMax
}

/** Gives where the block of a writer begins, in bytes from the start of the buffer. */
export const blockOffset = (writer: number): number => lineBytes + writer * blockBytes
