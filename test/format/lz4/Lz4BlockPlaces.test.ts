import { assert, describe, it } from "@effect/vitest"
import { blockPlaces, blockPlacesMax, endOfPlaces, placedFrame } from "../../../src/format/lz4/Lz4BlockPlaces.ts"
import { pieceBytes } from "../../../src/format/lz4/Lz4Frame.ts"
import { Lz4FrameParser } from "../../../src/format/lz4/Lz4FrameParser.ts"
import { blockFileOf, frameOf, makeRandom } from "../../fixtures/segments.ts"
import { foreignFrame, skippable } from "./foreignFrames.ts"

const noise = (bytes: number, seed: number): Buffer => {
  const random = makeRandom(seed)
  const content = Buffer.alloc(bytes)
  for (let at = 0; at + 4 <= bytes; at += 4) content.writeUInt32LE(Math.floor(random() * 2 ** 32), at)
  return content
}

/** Where the blocks begin, by the parser that reads every byte. */
const parsedPlaces = (file: Uint8Array): Array<number> => {
  const places: Array<number> = []
  for (const part of new Lz4FrameParser().push(file)) if (part._tag === "Block") places.push(part.offset)
  return places
}

const smallBlock = 64 * 1024

describe("the places of the blocks in a cold file", () => {
  it("are those that the parser finds, in frames as a freeze makes them", async () => {
    // Compressed, stored as it is, and mixed; the last block full, short, of one byte, the only one.
    const mixed = Buffer.concat([Buffer.alloc(pieceBytes, 1), noise(pieceBytes, 1), Buffer.alloc(3 * pieceBytes, 2)])
    for (const bytes of [1, 1000, pieceBytes, pieceBytes + 1, 3 * pieceBytes - 5, mixed.length]) {
      const file = await frameOf(mixed.subarray(0, bytes))
      const places = blockPlaces(file)
      assert.deepStrictEqual(places, parsedPlaces(file))
      assert.strictEqual(places.length, Math.ceil(bytes / pieceBytes))
    }
  })

  it("are found in foreign frames whose blocks can be found: other sizes, block checksums, no content checksum", () => {
    const content = Buffer.concat([Buffer.alloc(2 * smallBlock, 5), noise(smallBlock, 2), Buffer.alloc(777, 6)])
    for (const hasBlockChecksums of [false, true]) {
      for (const hasContentChecksum of [false, true]) {
        const file = foreignFrame(content, { hasBlockChecksums, hasContentChecksum })
        const places = blockPlaces(file)
        assert.deepStrictEqual(places, parsedPlaces(file))
        assert.strictEqual(places.length, 4)
        const frame = placedFrame(file, file.length)!
        // The end mark: a size field of 0.
        assert.strictEqual(file.readUInt32LE(endOfPlaces(places, 1, frame, file.length)!), 0)
      }
    }
  })

  it("are none where a block cannot be found by its number, or decoded alone", async () => {
    const content = Buffer.alloc(3 * smallBlock, 7)
    const whole = foreignFrame(content)
    const files: Readonly<Record<string, Uint8Array>> = {
      "no bytes": new Uint8Array(0),
      "no frame": Buffer.from("this is no frame, and longer than the header of one"),
      "a skippable frame in front": Buffer.concat([skippable(100), whole]),
      "a skippable frame behind": Buffer.concat([whole, skippable(100)]),
      "a second frame": Buffer.concat([whole, whole]),
      "linked blocks": foreignFrame(content, { isLinked: true }),
      "no content size": foreignFrame(content, { claimedBytes: "none" }),
      "a larger content size": foreignFrame(content, { claimedBytes: content.length + smallBlock }),
      "a smaller content size": foreignFrame(content, { claimedBytes: content.length - smallBlock }),
      "a content size that no file can hold": foreignFrame(content, { claimedBytes: 2 ** 40 }),
      "a short block in the middle": foreignFrame(content, { blockBytes: [smallBlock, 100, smallBlock - 100] }),
      "the block form": await blockFileOf(content),
      "a cut frame": whole.subarray(0, -1),
      "a frame cut in a block": whole.subarray(0, whole.length / 2),
      "a frame cut in its header": whole.subarray(0, 10),
      "a frame without content": await frameOf(new Uint8Array(0))
    }
    for (const [name, file] of Object.entries(files)) assert.deepStrictEqual(blockPlaces(file), [], name)
  })

  it("are bounded: a frame of more blocks tells none", () => {
    const most = foreignFrame(Buffer.alloc(blockPlacesMax * smallBlock))
    assert.strictEqual(blockPlaces(most).length, blockPlacesMax)
    assert.deepStrictEqual(blockPlaces(foreignFrame(Buffer.alloc(blockPlacesMax * smallBlock + 1))), [])
  })

  it("are refused when they are not those of the frame", () => {
    const file = foreignFrame(noise(3 * smallBlock, 3))
    const frame = placedFrame(file, file.length)!
    const places = blockPlaces(file)
    assert.strictEqual(endOfPlaces(places, 1, frame, file.length), file.length - 8)
    assert.strictEqual(endOfPlaces([places[0]!, places[2]!], 2, frame, file.length), file.length - 8)
    assert.isUndefined(endOfPlaces(places, 2, frame, file.length))
    const wrong: Readonly<Record<string, ReadonlyArray<number>>> = {
      "none": [],
      "too few": places.slice(1),
      "too many": [...places, file.length - 8],
      "another beginning": [places[0]! + 1, ...places.slice(1)],
      "one twice": [places[0]!, places[0]!, places[2]!],
      "not in order": [places[0]!, places[2]!, places[1]!],
      "beyond the end": [places[0]!, places[1]!, file.length]
    }
    for (const [name, other] of Object.entries(wrong)) {
      assert.isUndefined(endOfPlaces(other, 1, frame, file.length), name)
    }
  })
})
