import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { decodeBlock } from "../../../src/format/lz4/Lz4Block.ts"
import {
  blockField,
  frameEnd,
  frameHeader,
  Lz4FrameError,
  parseFrameHeader,
  pieceBytes
} from "../../../src/format/lz4/Lz4Frame.ts"
import { xxh32 } from "../../../src/internal/xxh64.ts"
import { Lz4FrameDecoder } from "./frameDecoder.ts"
import { compressPiece } from "./lz4.ts"

/** mulberry32. */
const makeRandom = (seed: number): () => number => () => {
  seed = seed + 0x6d2b79f5 | 0
  let t = Math.imul(seed ^ seed >>> 15, seed | 1)
  t ^= t + Math.imul(t ^ t >>> 7, t | 61)
  return ((t ^ t >>> 14) >>> 0) / 4294967296
}

/** Words drawn again from up to 64 KiB back, between stretches that do not compress. */
const someContent = (bytes: number, seed: number): Uint8Array => {
  const random = makeRandom(seed)
  const content = new Uint8Array(bytes)
  let at = 0
  while (at < bytes) {
    const length = Math.min(bytes - at, 1 + Math.floor(random() * 400))
    if (at > 400 && random() < 0.7) {
      const back = length + Math.floor(random() * (Math.min(at, 65_535) - length))
      content.copyWithin(at, at - back, at - back + length)
    } else {
      for (let i = 0; i < length; i++) content[at + i] = random() * 256
    }
    at += length
  }
  return content
}

const noise = (bytes: number, seed: number): Uint8Array => {
  const random = makeRandom(seed)
  return Uint8Array.from({ length: bytes }, () => random() * 256)
}

const writeFrame = async (content: Uint8Array): Promise<Buffer> => {
  const chunks: Array<Uint8Array> = [frameHeader(content.length)]
  for (let at = 0; at < content.length; at += pieceBytes) {
    chunks.push(...await compressPiece(content.subarray(at, at + pieceBytes)))
  }
  chunks.push(frameEnd(xxh32(content)))
  return Buffer.concat(chunks)
}

const decode = (file: Uint8Array, chunkBytes = file.length): Buffer => {
  const decoder = new Lz4FrameDecoder()
  const pieces: Array<Uint8Array> = []
  for (let at = 0; at < file.length; at += chunkBytes) {
    pieces.push(...decoder.push(file.subarray(at, at + chunkBytes)))
  }
  decoder.end()
  return Buffer.concat(pieces)
}

const thrownBy = (run: () => unknown): Lz4FrameError => {
  try {
    run()
  } catch (error) {
    if (error instanceof Lz4FrameError) return error
    throw error
  }
  throw new Error("nothing was thrown")
}

/** A header with these FLG and BD bytes and optional fields, and a right checksum. */
const headerOf = (flags: number, bd: number, fields: ReadonlyArray<number> = []): Uint8Array => {
  const descriptor = Uint8Array.of(flags, bd, ...fields)
  return Uint8Array.of(0x04, 0x22, 0x4d, 0x18, ...descriptor, xxh32(descriptor) >>> 8 & 0xff)
}

describe("frameHeader and parseFrameHeader", () => {
  it("our header states everything about our frames", () => {
    assert.deepStrictEqual(parseFrameHeader(frameHeader(67_108_864)), {
      headerBytes: 15,
      blockBytesMax: pieceBytes,
      linked: false,
      contentBytes: 67_108_864,
      contentChecksum: true,
      blockChecksum: false
    })
    assert.strictEqual(parseFrameHeader(frameHeader(2 ** 40 + 1)).contentBytes, 2 ** 40 + 1)
  })

  it("reads every block maximum and flag", () => {
    assert.deepStrictEqual(
      [0x40, 0x50, 0x60, 0x70].map((bd) => parseFrameHeader(headerOf(0x60, bd)).blockBytesMax),
      [65_536, 262_144, 1_048_576, 4_194_304]
    )
    assert.deepStrictEqual(parseFrameHeader(headerOf(0x50, 0x70)), {
      headerBytes: 7,
      blockBytesMax: 4_194_304,
      linked: true,
      contentBytes: undefined,
      contentChecksum: false,
      blockChecksum: true
    })
  })

  it("refuses what it cannot read, and says where and why", () => {
    const reasonOf = (bytes: Uint8Array) => thrownBy(() => parseFrameHeader(bytes, 77)).reason
    assert.strictEqual(thrownBy(() => parseFrameHeader(new Uint8Array(7), 77)).offset, 77)
    assert.strictEqual(reasonOf(new Uint8Array(7)), "BadMagic")
    assert.strictEqual(reasonOf(Uint8Array.of(0x02, 0x21, 0x4c, 0x18, 0, 0, 0)), "Unsupported")
    assert.strictEqual(reasonOf(Uint8Array.of(0x5f, 0x2a, 0x4d, 0x18, 0, 0, 0)), "Unsupported")
    assert.strictEqual(reasonOf(headerOf(0x61, 0x40, [1, 2, 3, 4])), "Unsupported")
    assert.strictEqual(reasonOf(headerOf(0xa0, 0x40)), "Unsupported")
    assert.strictEqual(reasonOf(headerOf(0x68, 0x40, [0, 0, 0, 0, 0, 0, 0x20, 0])), "Unsupported")
    assert.strictEqual(reasonOf(headerOf(0x62, 0x40)), "BadHeader")
    assert.strictEqual(reasonOf(headerOf(0x60, 0x41)), "BadHeader")
    assert.strictEqual(reasonOf(headerOf(0x60, 0x30)), "BadHeader")
    assert.strictEqual(reasonOf(headerOf(0x60, 0xc0)), "BadHeader")
    for (let bytes = 0; bytes < 15; bytes++) {
      assert.strictEqual(reasonOf(frameHeader(9).subarray(0, bytes)), "Truncated")
    }
    const wrong = frameHeader(9)
    wrong[6]! ^= 1
    assert.strictEqual(reasonOf(wrong), "BadChecksum")
  })
})

describe("blockField", () => {
  it("tells stored and compressed blocks and the end mark apart", () => {
    assert.isUndefined(blockField(0))
    assert.deepStrictEqual(blockField(5), { storedRaw: false, dataBytes: 5 })
    assert.deepStrictEqual(blockField(0x8000_0005), { storedRaw: true, dataBytes: 5 })
    assert.deepStrictEqual(blockField(0xffff_ffff), { storedRaw: true, dataBytes: 0x7fff_ffff })
  })
})

describe("blockChunks", () => {
  it("compresses from shared memory to one chunk, and leaves the piece as it was", async () => {
    const content = someContent(300_000, 1)
    const shared = new Uint8Array(new SharedArrayBuffer(400_000), 64, content.length)
    shared.set(content)
    const chunks = await compressPiece(shared)
    assert.strictEqual(chunks.length, 1)
    assert.isBelow(chunks[0]!.length, content.length)
    assert.deepStrictEqual(chunks, await compressPiece(content))
    assert.isTrue(content.every((byte, i) => byte === shared[i]))
  })

  it("stores a piece that does not get smaller, without copying it", async () => {
    const piece = noise(5000, 2)
    const [field, data] = await compressPiece(piece)
    assert.deepStrictEqual([...field!], [0x88, 0x13, 0, 0x80])
    assert.strictEqual(data, piece)
  })

  it("takes 1 to pieceBytes bytes", async () => {
    for (const bytes of [0, pieceBytes + 1]) {
      const error: unknown = await compressPiece(new Uint8Array(bytes)).catch((error: unknown) => error)
      assert.instanceOf(error, Error)
      assert.notInstanceOf(error, Lz4FrameError)
    }
    assert.strictEqual((await compressPiece(Uint8Array.of(7))).length, 2)
  })
})

describe("our frames", () => {
  it("come back as they were, for every size around the piece size", async () => {
    for (const bytes of [0, 1, 15, 65_536, pieceBytes - 1, pieceBytes, pieceBytes + 1, 3 * pieceBytes + 17]) {
      const content = someContent(bytes, bytes)
      assert.isTrue(decode(await writeFrame(content), 50_000).equals(content), `${bytes} bytes`)
    }
  })

  it("let a reader walk the size fields and decode one block alone", async () => {
    const content = Buffer.concat([someContent(pieceBytes, 3), noise(pieceBytes, 4), someContent(99_999, 5)])
    const file = await writeFrame(content)
    const header = parseFrameHeader(file)
    const stored: Array<boolean> = []
    let at = header.headerBytes
    for (let i = 0;; i++) {
      const field = blockField(file.readUInt32LE(at))
      if (field === undefined) break
      stored.push(field.storedRaw)
      const block = file.subarray(at, at + 4 + field.dataBytes)
      const before = Buffer.from(block)
      const expected = content.subarray(i * pieceBytes, (i + 1) * pieceBytes)
      assert.isTrue(expected.equals(decodeBlock(block, header.blockBytesMax, at)), `block ${i}`)
      assert.isTrue(before.equals(block), "the block is unchanged")
      at += 4 + field.dataBytes
    }
    assert.deepStrictEqual(stored, [false, true, false])
    assert.strictEqual(at + 8, file.length)
  })
})

const inFolder = async (run: (path: (name: string) => string, lz4: (...args: Array<string>) => void) => unknown) => {
  const folder = mkdtempSync(join(tmpdir(), "lz4-frame-"))
  const lz4 = (...args: Array<string>): void => {
    const { status, stderr } = spawnSync("lz4", ["-f", "-q", ...args], { cwd: folder })
    assert.strictEqual(status, 0, `lz4 ${args.join(" ")}: ${stderr.toString()}`)
  }
  try {
    await run((name) => join(folder, name), lz4)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const toolMissing = spawnSync("lz4", ["--version"]).error !== undefined
const tool = toolMissing ? "the lz4 tool (skipped: there is no `lz4` command here)" : "the lz4 tool"

describe.skipIf(toolMissing)(tool, () => {
  it("accepts our frames and decodes them to the same bytes", () =>
    inFolder(async (path, lz4) => {
      for (const bytes of [0, 1, 5000, 2 * pieceBytes + 4321]) {
        for (const content of [someContent(bytes, bytes), noise(bytes, bytes)]) {
          writeFileSync(path("ours.lz4"), await writeFrame(content))
          lz4("-t", "ours.lz4")
          lz4("-d", "ours.lz4", "ours")
          assert.isTrue(readFileSync(path("ours")).equals(content), `${bytes} bytes`)
        }
      }
    }))

  // The last but one is how another writer of format 1 writes its segments.
  const ways = [
    ["-1"],
    ["-9", "-B5"],
    ["-1", "-B4"],
    ["-1", "-B4", "-BD"],
    ["-9", "-B4", "-BD", "-BX", "--content-size"],
    ["-1", "-B6", "-BX"],
    ["-1", "--content-size"],
    ["-1", "-B7", "-BD", "--no-frame-crc"],
    ["-1", "-B7", "-BD", "--content-size"]
  ]
  it.each(ways.map((way) => [way.join(" "), way] as const))(
    "writes frames that are read here: lz4 %s",
    (_name, way) =>
      inFolder((path, lz4) => {
        // Long enough for two blocks of 4 MiB.
        const content = Buffer.concat([someContent(4_500_000, 6), noise(200_000, 7), someContent(80_000, 8)])
        writeFileSync(path("content"), content)
        lz4(...way, "content", "theirs.lz4")
        const file = readFileSync(path("theirs.lz4"))
        const header = parseFrameHeader(file)
        assert.strictEqual(header.linked, way.includes("-BD"))
        assert.strictEqual(header.blockChecksum, way.includes("-BX"))
        assert.strictEqual(header.contentBytes, way.includes("--content-size") ? content.length : undefined)
        assert.strictEqual(header.contentChecksum, !way.includes("--no-frame-crc"))
        assert.isTrue(decode(file).equals(content))
        assert.isTrue(decode(file, 4093).equals(content))
        assert.strictEqual(thrownBy(() => decode(file.subarray(0, -1))).reason, "Truncated")
      })
  )
})
