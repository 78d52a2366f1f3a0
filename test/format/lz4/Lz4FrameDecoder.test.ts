import { assert, describe, it } from "@effect/vitest"
import { compressSync } from "lz4-napi"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { frameEnd, frameHeader, Lz4FrameError, type Lz4FrameErrorReason } from "../../../src/format/lz4/Lz4Frame.ts"
import { Lz4FrameParser } from "../../../src/format/lz4/Lz4FrameParser.ts"
import { InvariantViolation } from "../../../src/internal/invariant.ts"
import { xxh32 } from "../../../src/internal/xxh64.ts"
import { playSample, samples } from "../../samples.ts"
import { Lz4FrameDecoder } from "./frameDecoder.ts"
import { compressPiece } from "./lz4.ts"

/** mulberry32. */
const makeRandom = (seed: number): () => number => () => {
  seed = seed + 0x6d2b79f5 | 0
  let t = Math.imul(seed ^ seed >>> 15, seed | 1)
  t ^= t + Math.imul(t ^ t >>> 7, t | 61)
  return ((t ^ t >>> 14) >>> 0) / 4294967296
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value >>> 0)
  return bytes
}

/** A frame of these block parts; FLG and BD are given, the checksum of the header is made. */
const frameOf = (flags: number, bd: number, blocks: ReadonlyArray<Uint8Array>): Buffer => {
  const descriptor = Uint8Array.of(flags, bd)
  const header = Buffer.of(0x04, 0x22, 0x4d, 0x18, flags, bd, xxh32(descriptor) >>> 8 & 0xff)
  return Buffer.concat([header, ...blocks, u32(0)])
}

const independent = 0x60
const linked = 0x40
const max64KiB = 0x40

const block = (data: Uint8Array): Buffer => Buffer.concat([u32(data.length), data])
const stored = (data: Uint8Array): Buffer => Buffer.concat([u32(data.length | 0x8000_0000), data])
const skippable = (data: Uint8Array): Buffer => Buffer.concat([u32(0x184d2a53), u32(data.length), data])

const ourFrame = async (content: Uint8Array): Promise<Buffer> =>
  Buffer.concat([frameHeader(content.length), ...await compressPiece(content), frameEnd(xxh32(content))])

const decode = (file: Uint8Array, chunkBytes = Math.max(1, file.length)): Buffer => {
  const decoder = new Lz4FrameDecoder()
  const pieces: Array<Uint8Array> = []
  for (let at = 0; at < file.length; at += chunkBytes) {
    pieces.push(...decoder.push(file.subarray(at, at + chunkBytes)))
  }
  decoder.end()
  return Buffer.concat(pieces)
}

const errorOf = (file: Uint8Array, chunkBytes?: number): Lz4FrameError => {
  try {
    decode(file, chunkBytes)
  } catch (error) {
    if (error instanceof Lz4FrameError) return error
    throw error
  }
  throw new Error("nothing was thrown")
}

const assertRefused = (file: Uint8Array, reason: Lz4FrameErrorReason, offset: number): void => {
  const error = errorOf(file)
  assert.deepStrictEqual({ reason: error.reason, offset: error.offset }, { reason, offset })
  const split = errorOf(file, 1)
  assert.deepStrictEqual({ reason: split.reason, offset: split.offset }, { reason, offset }, "byte by byte")
}

// Written by lz4 1.9.4 from 66,000 bytes, byte i being i % 13 * 7.
const goldenContent = Buffer.from(Uint8Array.from({ length: 66_000 }, (_, i) => i % 13 * 7))
/** `lz4 -1 -B4 -BD --no-frame-crc`: two linked blocks, neither size nor checksum. */
const goldenLinked = Buffer.from(
  "04224d184040c017010000df00070e151c232a31383f464d540d00" + "ff".repeat(256)
    + "db504d5400070e0b0000000ffdffffb95031383f464d00000000",
  "hex"
)
/** `lz4 -1 -B4 -BX --content-size`: two independent blocks, with every checksum there is. */
const goldenChecked = Buffer.from(
  "04224d187c40d0010100000000008a17010000df00070e151c232a31383f464d540d00" + "ff".repeat(256)
    + "db504d5400070e8761157318000000df151c232a31383f464d5400070e0d00ffac5031383f464df16f24bd000000008f5d5257",
  "hex"
)
/** `lz4 -B7 -BD --no-frame-crc`, as another writer of format 1 writes it, of "effect-wal ": one stored block. */
const goldenStored = Buffer.from("04224d186040820b0000806566666563742d77616c2000000000", "hex")
/** `lz4 -l` of the same. */
const goldenLegacy = Buffer.from("02214c180c000000b06566666563742d77616c20", "hex")

describe("Lz4FrameDecoder", () => {
  it("reads frames of the lz4 tool, however they are cut into chunks", () => {
    for (const chunkBytes of [1, 2, 3, 7, 64, 1000]) {
      assert.isTrue(decode(goldenLinked, chunkBytes).equals(goldenContent), `linked, by ${chunkBytes}`)
      assert.isTrue(decode(goldenChecked, chunkBytes).equals(goldenContent), `checked, by ${chunkBytes}`)
      assert.strictEqual(decode(goldenStored, chunkBytes).toString(), "effect-wal ")
    }
  })

  it("finds history across many short linked blocks", () => {
    const random = makeRandom(11)
    const content = Buffer.from(Uint8Array.from({ length: 150_000 }, () => random() * 256))
    // The same bytes again, so that every block refers to what is just under 64 KiB before it.
    for (let at = 60_000; at < content.length; at += 60_000) content.copy(content, at, 0, 60_000)
    const blocks: Array<Buffer> = []
    for (let at = 0; at < content.length;) {
      const part = content.subarray(at, at + 1 + Math.floor(random() * 9000))
      const compressed = compressSync(part, content.subarray(Math.max(0, at - 65_536), at)).subarray(4)
      blocks.push(compressed.length < part.length ? block(compressed) : stored(part))
      at += part.length
    }
    const file = frameOf(linked, max64KiB, blocks)
    assert.isBelow(file.length, 110_000, "the writer found most of the repetitions")
    assert.isTrue(decode(file, 777).equals(content))
    // The same blocks called independent: the first that refers back is refused.
    assert.strictEqual(errorOf(frameOf(independent, max64KiB, blocks)).reason, "BadBlock")
  })

  it("starts every frame with an empty history", () => {
    const first = frameOf(linked, max64KiB, [stored(goldenContent.subarray(0, 1000))])
    // One literal, then a match 100 bytes back.
    const second = frameOf(linked, max64KiB, [block(Uint8Array.of(0x10, 7, 100, 0, 0x50, 1, 2, 3, 4, 5))])
    assertRefused(Buffer.concat([first, second]), "BadBlock", first.length + 7)
  })

  it("reads concatenated frames and passes over skippable ones, also empty ones", async () => {
    const one = Buffer.from("one ".repeat(50))
    const file = Buffer.concat([
      skippable(new Uint8Array(70_000).fill(4)),
      await ourFrame(one),
      skippable(new Uint8Array(0)),
      goldenChecked,
      Buffer.concat([frameHeader(0), frameEnd(xxh32(new Uint8Array(0)))]),
      goldenLinked,
      skippable(Uint8Array.of(1, 2, 3))
    ])
    const expected = Buffer.concat([one, goldenContent, goldenContent])
    for (const chunkBytes of [1, 5, 1000, file.length]) assert.isTrue(decode(file, chunkBytes).equals(expected))
  })

  it("accepts a stored block of no bytes and hands out no empty piece", () => {
    const file = frameOf(independent, max64KiB, [stored(new Uint8Array(0)), stored(Uint8Array.of(5))])
    const pieces = [...new Lz4FrameDecoder().push(file)]
    assert.deepStrictEqual(pieces.map((piece) => [...piece]), [[5]])
  })

  it("hands out pieces that stay as they are", () => {
    const decoder = new Lz4FrameDecoder()
    const chunk = Buffer.from(frameOf(linked, max64KiB, [stored(Uint8Array.of(1, 2)), stored(Uint8Array.of(3, 4))]))
    const pieces = [...decoder.push(chunk)]
    chunk.fill(0)
    void [...decoder.push(goldenLinked)]
    assert.deepStrictEqual(pieces.map((piece) => [...piece]), [[1, 2], [3, 4]])
  })

  it("decodes a piece only when it is taken", () => {
    const file = frameOf(independent, max64KiB, [stored(Uint8Array.of(1)), block(Uint8Array.of(0, 0, 0))])
    const pieces = new Lz4FrameDecoder().push(file)[Symbol.iterator]()
    assert.deepStrictEqual([...pieces.next().value ?? []], [1])
    assert.throws(() => pieces.next(), Lz4FrameError)
  })

  it("is a defect to push or end before all pieces were taken, or after an error", () => {
    const untaken = new Lz4FrameDecoder()
    untaken.push(goldenLinked)
    assert.throws(() => untaken.end(), InvariantViolation)
    const failed = new Lz4FrameDecoder()
    assert.throws(() => [...failed.push(new Uint8Array(4))], Lz4FrameError)
    assert.throws(() => failed.push(new Uint8Array(4)), InvariantViolation)
  })
})

describe("Lz4FrameDecoder refuses", () => {
  it("what is not a frame, and what follows one", () => {
    assertRefused(new Uint8Array(0), "Truncated", 0)
    assertRefused(Buffer.from("not lz4"), "BadMagic", 0)
    assertRefused(goldenLegacy, "Unsupported", 0)
    assertRefused(Buffer.concat([goldenStored, goldenLegacy]), "Unsupported", goldenStored.length)
    assertRefused(Buffer.concat([goldenStored, Buffer.alloc(9)]), "TrailingBytes", goldenStored.length)
    assertRefused(Buffer.concat([goldenStored, Buffer.alloc(3)]), "TrailingBytes", goldenStored.length)
  })

  it("a block over the frame's maximum, by its field or by its content", () => {
    assertRefused(frameOf(independent, max64KiB, [stored(new Uint8Array(65_537))]), "BadBlock", 7)
    assertRefused(frameOf(independent, max64KiB, [u32(0x7fff_ffff)]), "BadBlock", 7)
    const tooLong = compressSync(Buffer.alloc(65_537)).subarray(4)
    assertRefused(frameOf(independent, max64KiB, [block(tooLong)]), "BadBlock", 7)
    const longest = compressSync(Buffer.alloc(65_536)).subarray(4)
    assert.strictEqual(decode(frameOf(independent, max64KiB, [block(longest)])).length, 65_536)
  })

  it("hostile blocks", () => {
    const hostile: Array<readonly [string, ReadonlyArray<number>]> = [
      ["no token after the literals' length", [0xf0]],
      ["a length that never ends", [0xf0, ...Array.from({ length: 3000 }, () => 0xff)]],
      ["literals past the end", [0x50, 1, 2, 3]],
      ["half an offset", [0x10, 1, 1]],
      ["offset 0", [0x10, 1, 0, 0, 0x50, 1, 2, 3, 4, 5]],
      ["an offset before the content", [0x10, 1, 2, 0, 0x50, 1, 2, 3, 4, 5]],
      ["a match past the block maximum", [
        0x1f,
        1,
        1,
        0,
        ...Array.from({ length: 300 }, () => 0xff),
        0,
        0x50,
        1,
        2,
        3,
        4,
        5
      ]]
    ]
    for (const [name, data] of hostile) {
      for (const flags of [independent, linked]) {
        assert.strictEqual(errorOf(frameOf(flags, max64KiB, [block(Uint8Array.from(data))])).reason, "BadBlock", name)
      }
    }
  })

  it("content that is shorter or longer than claimed, as soon as that is known", async () => {
    const content = Buffer.from("effect-wal")
    const [field, data] = await compressPiece(content)
    const claiming = (bytes: number) => Buffer.concat([frameHeader(bytes), field!, data!, frameEnd(xxh32(content))])
    assert.strictEqual(decode(claiming(10)).toString(), "effect-wal")
    assertRefused(claiming(9), "SizeMismatch", 15)
    assertRefused(claiming(11), "SizeMismatch", 15 + 14)
    assertRefused(claiming(2 ** 32), "SizeMismatch", 15 + 14)
  })

  it("wrong checksums of header, block and content, naming their place", () => {
    const flipped = (at: number) => {
      const file = Buffer.from(goldenChecked)
      file[at]! ^= 0x10
      return file
    }
    assertRefused(flipped(14), "BadChecksum", 0)
    assertRefused(flipped(19 + 279), "BadChecksum", 19 + 279)
    assertRefused(flipped(goldenChecked.length - 1), "BadChecksum", goldenChecked.length - 4)
  })

  it("every truncation of a frame", async () => {
    const ours = await ourFrame(Buffer.from("every truncation ".repeat(20)))
    for (const file of [ours, goldenLinked, goldenChecked, skippable(goldenStored)]) {
      for (let bytes = 0; bytes < file.length; bytes++) {
        const error = errorOf(file.subarray(0, bytes), 100)
        assert.deepStrictEqual([error.reason, error.offset], ["Truncated", bytes])
      }
    }
  })
})

describe("Lz4FrameDecoder, given damaged files", () => {
  it("never returns other content for any single wrong byte in a frame with a content checksum", async () => {
    const content = Buffer.from("event 1, event 2, event 3, event 21, event 22; aaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
    const file = await ourFrame(content)
    assert.isBelow(file.length, content.length + 15, "the block is compressed")
    let refused = 0
    for (let at = 0; at < file.length; at++) {
      for (let flip = 1; flip < 256; flip++) {
        const damaged = Buffer.from(file)
        damaged[at]! ^= flip
        let decoded: Buffer
        try {
          decoded = decode(damaged)
        } catch (error) {
          assert.instanceOf(error, Lz4FrameError, `byte ${at} ^ ${flip}`)
          refused++
          continue
        }
        assert.isTrue(decoded.equals(content), `byte ${at} ^ ${flip}`)
      }
    }
    assert.isAbove(refused, file.length * 255 * 0.99)
  })

  it("never hangs, fails in another way, or returns more than the format can hold, for random damage", async ({ annotate }) => {
    const ours = await ourFrame(Buffer.from("random damage ".repeat(60)))
    const whole = [ours, goldenLinked, goldenChecked, goldenStored, Buffer.concat([skippable(goldenStored), ours])]
    let refused = 0
    const tried = await playSample("frameFuzz", annotate, (seed) => {
      const random = makeRandom(seed)
      const below = (limit: number) => Math.floor(random() * limit)
      let file = Buffer.from(whole[below(whole.length)]!)
      for (let damages = 1 + below(4); damages > 0; damages--) {
        const at = below(file.length)
        const to = at + below(Math.min(40, file.length - at))
        switch (below(4)) {
          case 0:
            file[at] = below(256)
            break
          case 1:
            file[at] = random() < 0.5 ? 0xff : 0
            break
          case 2:
            file = Buffer.concat([file.subarray(0, at), file.subarray(to)])
            break
          case 3:
            file = Buffer.concat([file.subarray(0, to), file.subarray(at)])
            break
        }
        if (file.length === 0) file = Buffer.of(4)
      }
      try {
        const decoded = decode(file, 1 + below(file.length))
        assert.isAtMost(decoded.length, file.length * 255)
      } catch (error) {
        assert.instanceOf(error, Lz4FrameError)
        refused++
      }
    })
    if (tried >= samples.frameFuzz.atLeast) assert.isAbove(refused, tried / 2)
  })
})

describe("Lz4FrameDecoder's memory", () => {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as () => void
  const heldBytes = (): number => {
    collect()
    // The first collection may leave its sweeping to another thread; the second waits for it.
    collect()
    return process.memoryUsage().arrayBuffers
  }

  it("holds one block and one piece, however much content a file has or claims", async () => {
    const zeros = new Uint8Array(1_048_576)
    const [chunk] = await compressPiece(zeros)
    const before = heldBytes()
    const decoder = new Lz4FrameDecoder()
    let contentBytes = 0
    let heldBytesMax = 0
    const take = (bytes: Uint8Array): void => {
      for (const piece of decoder.push(bytes)) {
        contentBytes += piece.length
        if (contentBytes % (16 * zeros.length) === 0) heldBytesMax = Math.max(heldBytesMax, heldBytes() - before)
      }
    }
    take(frameHeader(2 ** 32))
    heldBytesMax = Math.max(heldBytesMax, heldBytes() - before)
    // 256 MiB of content in one push of about 1 MiB.
    take(Buffer.concat(Array.from({ length: 256 }, () => chunk!)))
    assert.strictEqual(contentBytes, 256 * zeros.length)
    // One block, two pieces (the one just taken and the one before it), and the pushed chunk itself.
    assert.isAtMost(heldBytesMax, 4.5 * zeros.length)
    assert.isAtLeast(heldBytesMax, zeros.length)
  })
})

describe("Lz4FrameParser", () => {
  /** The parts of a file and what ends it. */
  const partsOf = (parser: Lz4FrameParser, file: Uint8Array): ReadonlyArray<string> => {
    const parts: Array<string> = []
    try {
      for (const part of parser.push(file)) {
        parts.push(
          JSON.stringify(part._tag === "Block" ? { ...part, block: Buffer.from(part.block).toString("hex") } : part)
        )
      }
      parser.end()
      parts.push("end")
    } catch (error) {
      parts.push(String(error))
    }
    return parts
  }

  it("that was reset reads a file as a new one does, wherever the file before broke off", async () => {
    const frame = await ourFrame(Buffer.from("to be read again and again and again and again"))
    const before = Buffer.concat([frame, skippable(Buffer.alloc(20)), frame, Buffer.from("rubbish")])
    for (const file of [frame, skippable(Buffer.alloc(3)), Buffer.from("none"), Buffer.alloc(0)]) {
      const expected = partsOf(new Lz4FrameParser(), file)
      for (let length = 0; length <= before.length; length++) {
        const parser = new Lz4FrameParser()
        partsOf(parser, before.subarray(0, length))
        parser.reset()
        assert.deepStrictEqual(partsOf(parser, file), expected, `behind ${length} bytes`)
      }
    }
  })
})
