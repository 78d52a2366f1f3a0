import { assert, describe, it } from "@effect/vitest"
import { compress } from "lz4-napi"
import { decodeBlock, decompressWhole } from "../../../src/format/lz4/Lz4Block.ts"
import { Lz4FrameError } from "../../../src/format/lz4/Lz4Frame.ts"

const errorOf = (run: () => unknown): Lz4FrameError => {
  try {
    run()
  } catch (error) {
    if (error instanceof Lz4FrameError) return error
    throw error
  }
  throw new Error("nothing was thrown")
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
