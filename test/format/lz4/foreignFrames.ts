/** Frames that other writers may make: every kind that the frame format allows, and some that it does not. */
import { compressSync } from "lz4-napi"
import { xxh32 } from "../../../src/internal/xxh64.ts"

export interface ForeignFrameOptions {
  /** Content of each block; full ones when not given. */
  readonly blockBytes?: ReadonlyArray<number>
  /** 4: blocks of up to 64 KiB, 6: 1 MiB. */
  readonly code?: 4 | 6
  readonly claimedBytes?: number | "none"
  readonly isLinked?: boolean
  readonly hasBlockChecksums?: boolean
  readonly hasContentChecksum?: boolean
}

/** A standard frame of any kind. */
export const foreignFrame = (content: Uint8Array, options: ForeignFrameOptions = {}): Buffer => {
  const { claimedBytes = content.length, code = 4, hasBlockChecksums, hasContentChecksum = true, isLinked } = options
  const hasSize = claimedBytes !== "none"
  const descriptor = Buffer.alloc(hasSize ? 10 : 2)
  descriptor[0] = 1 << 6 | (isLinked === true ? 0 : 0x20) | (hasBlockChecksums === true ? 0x10 : 0) |
    (hasSize ? 0x08 : 0) | (hasContentChecksum ? 0x04 : 0)
  descriptor[1] = code << 4
  if (hasSize) descriptor.writeBigUInt64LE(BigInt(claimedBytes), 2)
  const magic = Buffer.from([0x04, 0x22, 0x4d, 0x18])
  const parts: Array<Buffer> = [magic, descriptor, Buffer.of(xxh32(descriptor) >>> 8 & 0xff)]
  const full = 1 << 2 * code + 8
  let at = 0
  for (let index = 0; at < content.length; index++) {
    const piece = content.subarray(at, at + (options.blockBytes?.[index] ?? full))
    at += piece.length
    const data = compressSync(Buffer.from(piece)).subarray(4)
    const isSmaller = data.length < piece.length
    parts.push(u32(isSmaller ? data.length : 0x8000_0000 + piece.length), Buffer.from(isSmaller ? data : piece))
    if (hasBlockChecksums === true) parts.push(u32(xxh32(isSmaller ? data : piece)))
  }
  parts.push(u32(0))
  if (hasContentChecksum) parts.push(u32(xxh32(content)))
  return Buffer.concat(parts)
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

/** A frame without content, which a reader passes over. */
export const skippable = (bytes: number): Buffer =>
  Buffer.concat([Buffer.from([0x5a, 0x2a, 0x4d, 0x18]), u32(bytes), Buffer.alloc(bytes, 9)])
