/**
 * Memory for what a compressing thread makes, kept from one piece to the next as `PieceMemory` keeps what goes in.
 *
 * @since 0.1.0
 */

/** Two pieces are compressed, one is decoded, and one result is being written. */
const keptMax = 4

const kept: Array<SharedArrayBuffer> = []

/**
 * Shared memory of at least so many bytes.
 *
 * @since 0.1.0
 * @category memory
 */
export const takeResultMemory = (bytes: number): SharedArrayBuffer => {
  const at = kept.findIndex((buffer) => buffer.byteLength >= bytes)
  return (at < 0 ? undefined : kept.splice(at, 1)[0]) ?? new SharedArrayBuffer(bytes)
}

/**
 * Gives memory back that no thread reads or writes any more.
 *
 * @since 0.1.0
 * @category memory
 */
export const keepResultMemory = (buffer: SharedArrayBuffer): void => {
  if (kept.length < keptMax) kept.push(buffer)
}
