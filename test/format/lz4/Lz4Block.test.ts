import { assert, describe, it } from "@effect/vitest"
import { compress } from "lz4-napi"
import { decodeBlock } from "../../../src/format/lz4/Lz4Block.ts"
import { Lz4BlockFile } from "../../../src/format/lz4/Lz4BlockFile.ts"
import { Lz4FrameError } from "../../../src/format/lz4/Lz4Frame.ts"
import { SeededRandom } from "../../../src/testing/SeededRandom.ts"

const errorOf = (run: () => unknown): Lz4FrameError => {
  try {
    run()
  } catch (error) {
    if (error instanceof Lz4FrameError) return error
    throw error
  }
  throw new Error("nothing was thrown")
}

/** The content of a block file that comes in chunks of this length. */
const decompressWhole = (file: Uint8Array, contentBytesMax: number, chunkBytes = file.length): Buffer => {
  const decoder = new Lz4BlockFile(file.length, contentBytesMax)
  const pieces: Array<Buffer> = []
  for (let at = 0; at < file.length; at += chunkBytes) {
    for (const piece of decoder.push(file.subarray(at, at + chunkBytes))) pieces.push(Buffer.from(piece))
  }
  decoder.end()
  return Buffer.concat(pieces)
}

const content = Buffer.from("the whole content in one block ".repeat(5000))

describe("the block file", () => {
  it("is a u32 content size and one block, and comes back as it was", async () => {
    const file = Buffer.from(await compress(content))
    assert.strictEqual(file.readUInt32LE(0), content.length)
    assert.isBelow(file.length, content.length / 50)
    assert.isTrue(content.equals(decompressWhole(file, content.length)))
    const field = Buffer.from(file)
    field.writeUInt32LE(file.length - 4)
    assert.isTrue(content.equals(decodeBlock(field, content.length, 0)), "what follows the size is a plain block")
  })

  it("may be empty, and may come from shared memory", async () => {
    assert.strictEqual(decompressWhole(await compress(new Uint8Array(0)), 0).length, 0)
    const shared = new Uint8Array(new SharedArrayBuffer(content.length + 8), 8)
    shared.set(content)
    assert.isTrue(content.equals(decompressWhole(await compress(shared), 1_000_000)))
  })

  it("refuses a claimed size over the limit, or over what its bytes can hold, before allocating it", async () => {
    const file = Buffer.from(await compress(content))
    assert.strictEqual(errorOf(() => decompressWhole(file, content.length - 1)).reason, "SizeMismatch")
    file.writeUInt32LE(0xffff_ffff)
    const error = errorOf(() => decompressWhole(file, 2 ** 32))
    assert.strictEqual(error.reason, "SizeMismatch")
    assert.match(error.message, /the block holds at most/)
  })

  it("comes back as it was, whatever its content and however it comes", async () => {
    const random = new SeededRandom(1)
    for (let round = 0; round < 60; round++) {
      const parts: Array<Buffer> = []
      for (let part = 0; part <= random.below(20); part++) {
        const bytes = 1 + random.below(random.chance(0.1) ? 400_000 : 2_000)
        const before = Buffer.concat(parts)
        if (before.length > 0 && random.chance(0.4)) {
          const from = random.below(before.length)
          parts.push(before.subarray(from, from + bytes))
        } else if (random.chance(0.5)) {
          parts.push(Buffer.alloc(bytes, String(random.below(10)).repeat(1 + random.below(5))))
        } else parts.push(Buffer.from(Array.from({ length: Math.min(bytes, 3000) }, () => random.below(256))))
      }
      const whole = Buffer.concat(parts)
      const file = Buffer.from(await compress(whole))
      const chunkBytes = random.chance(0.3) ? 1 + random.below(7) : 1 + random.below(file.length)
      assert.isTrue(whole.equals(decompressWhole(file, whole.length, chunkBytes)), `round ${round}`)
    }
  })

  it("of a few megabytes that hold a gigabyte takes the memory of a piece, and time for what is read alone", async () => {
    const size = 1024 ** 3
    const match = size - 1 - 5 - 4 - 15
    const file = Buffer.concat([
      Buffer.from(Uint32Array.of(size).buffer),
      Buffer.from([0x1f, 0, 1, 0]),
      Buffer.alloc(Math.floor(match / 255), 255),
      Buffer.from([match % 255, 5 << 4, 0, 0, 0, 0, 0])
    ])
    const before = process.memoryUsage().arrayBuffers
    const decoder = new Lz4BlockFile(file.length, size)
    const begun = performance.now()
    let bytes = 0
    for (const piece of decoder.push(file)) {
      bytes += piece.length
      if (bytes >= 4 * 1024 * 1024) break
    }
    assert.isBelow(performance.now() - begun, 2_000)
    const whole = new Lz4BlockFile(file.length, size)
    bytes = 0
    for (const piece of whole.push(file)) {
      bytes += piece.length
      assert.isBelow(process.memoryUsage().arrayBuffers - before, 32 * 1024 * 1024)
    }
    whole.end()
    assert.strictEqual(bytes, size)
  })

  it("refuses a wrong size, a cut block and too few bytes", async () => {
    const file = Buffer.from(await compress(content))
    const claiming = (bytes: number): Buffer => {
      const claim = Buffer.from(file)
      claim.writeUInt32LE(bytes)
      return claim
    }
    assert.strictEqual(errorOf(() => decompressWhole(claiming(content.length + 1), 1_000_000)).reason, "SizeMismatch")
    assert.strictEqual(errorOf(() => decompressWhole(claiming(content.length - 1), 1_000_000)).reason, "BadBlock")
    for (let bytes = 0; bytes < 5; bytes++) {
      assert.strictEqual(errorOf(() => decompressWhole(file.subarray(0, bytes), 1_000_000)).reason, "Truncated")
    }
    for (let bytes = 5; bytes < file.length; bytes++) {
      const { reason } = errorOf(() => decompressWhole(file.subarray(0, bytes), 1_000_000))
      assert.include(["BadBlock", "SizeMismatch"], reason, `${bytes} bytes`)
    }
  })
})
