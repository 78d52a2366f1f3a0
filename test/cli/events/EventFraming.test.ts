import { assert, describe, it } from "@effect/vitest"
import { makeSplitter } from "../../../src/cli/events/EventFraming.ts"
import type { SplitFault } from "../../../src/cli/events/EventFraming.ts"
import type { Framing, LongLineRule } from "../../../src/cli/flags/framingFlags.ts"
import { SeededRandom } from "../../../src/testing/SeededRandom.ts"

const split = (framing: Framing, chunks: ReadonlyArray<Buffer>, eventBytesMax = 1000, rule: LongLineRule = "fail") => {
  const splitter = makeSplitter(framing, eventBytesMax, rule)
  const events: Array<string> = []
  const take = (found: Iterable<Uint8Array>) => {
    for (const event of found) events.push(Buffer.from(event).toString("latin1"))
  }
  for (const chunk of chunks) {
    take(splitter.push(chunk))
    if (splitter.fault() !== undefined) break
  }
  if (splitter.fault() === undefined) take(splitter.end())
  const fault: SplitFault | undefined = splitter.fault()
  return { events, fault, longLines: splitter.longLines() }
}

const message = (text: string): Buffer => {
  const bytes = Buffer.alloc(4 + text.length, text, "latin1")
  bytes.writeUInt32LE(text.length)
  bytes.write(text, 4, "latin1")
  return bytes
}

const cutAt = (bytes: Buffer, positions: ReadonlyArray<number>): Array<Buffer> =>
  [0, ...positions].map((from, index) => bytes.subarray(from, positions[index]))

describe("EventFraming", () => {
  it("keeps the line feed with its line, and a last line without one as it is", () => {
    assert.deepStrictEqual(split("lines", [Buffer.from("a\n\n\r\nb")]).events, ["a\n", "\n", "\r\n", "b"])
    assert.deepStrictEqual(split("lines", [Buffer.from("a\n")]).events, ["a\n"])
    assert.deepStrictEqual(split("lines", []).events, [])
  })

  it("gives the same events wherever the chunks are cut", () => {
    const lines = Buffer.from("one\n\ntwo is longer\nthree\n\n\nend")
    const messages = Buffer.concat(["", "abc", "", "x".repeat(300), "\n"].map(message))
    for (const [framing, bytes] of [["lines", lines], ["length-prefixed", messages]] as const) {
      const whole = split(framing, [bytes]).events
      for (let first = 0; first <= bytes.length; first++) {
        for (let second = first; second <= Math.min(bytes.length, first + 12); second++) {
          const cut = split(framing, cutAt(bytes, [first, second]))
          assert.deepStrictEqual(cut.events, whole, `${framing} cut at ${first} and ${second}`)
          assert.isUndefined(cut.fault)
        }
      }
      const bytewise = split(framing, Array.from(bytes, (byte) => Buffer.from([byte])))
      assert.deepStrictEqual(bytewise.events, whole)
    }
  })

  it("leaves out a line that is too long, wherever the chunks are cut, and counts it", () => {
    const bytes = Buffer.from("one\n1234567890\ntwo\n12345678\n1234567\n" + "x".repeat(40))
    for (let first = 0; first <= bytes.length; first++) {
      for (let second = first; second <= bytes.length; second++) {
        const { events, fault, longLines } = split("lines", cutAt(bytes, [first, second]), 8, "skip")
        assert.deepStrictEqual(events, ["one\n", "two\n", "1234567\n"], `cut at ${first} and ${second}`)
        assert.deepStrictEqual([fault, longLines], [undefined, { count: 3, first: 2 }])
      }
    }
  })

  it("makes several events of a line that is too long, which together are the line, and counts it", () => {
    const bytes = Buffer.from("one\n1234567890\ntwo\n12345678\n1234567\n" + "x".repeat(40))
    for (let first = 0; first <= bytes.length; first++) {
      for (let second = first; second <= bytes.length; second++) {
        const { events, fault, longLines } = split("lines", cutAt(bytes, [first, second]), 8, "split")
        assert.strictEqual(events.join(""), bytes.toString())
        assert.isTrue(events.every((event) => event.length <= 8))
        assert.includeMembers(events, ["one\n", "two\n", "1234567\n"])
        assert.deepStrictEqual([fault, longLines], [undefined, { count: 3, first: 2 }])
      }
    }
  })

  it("gives back any bytes as lines", () => {
    const random = new SeededRandom(7)
    for (let round = 0; round < 200; round++) {
      const bytes = Buffer.from(
        Array.from({ length: random.below(200) }, () => random.below(4) === 0 ? 10 : random.below(256))
      )
      const { events } = split("lines", cutAt(bytes, [Math.floor(bytes.length / 3)]))
      assert.strictEqual(events.join(""), bytes.toString("latin1"))
    }
  })

  it("stops before an event that is too large, having given those before it", () => {
    const lines = split("lines", [Buffer.from("a\n123"), Buffer.from("4567"), Buffer.from("890\nb\n")], 8)
    assert.deepStrictEqual(lines.events, ["a\n"])
    assert.deepStrictEqual(lines.fault, { kind: "TooLarge", events: 1, bytes: 11 })
    const fits = split("lines", [Buffer.from("1234567\n")], 8)
    assert.deepStrictEqual(fits.events, ["1234567\n"])
    const messages = split("length-prefixed", [message("12345678"), Buffer.from([9, 0, 0, 0])], 8)
    assert.deepStrictEqual(messages.events, ["12345678"])
    assert.deepStrictEqual(messages.fault, { kind: "TooLarge", events: 1, bytes: 9 })
  })

  it("says when the input ends inside a prefix or a message", () => {
    const inPrefix = split("length-prefixed", [message("a"), Buffer.from([1, 0])])
    assert.deepStrictEqual(inPrefix.events, ["a"])
    assert.deepStrictEqual(inPrefix.fault, { kind: "Truncated", events: 1, bytes: 2, bytesExpected: 4 })
    const inMessage = split("length-prefixed", [message("abcdef").subarray(0, 7)])
    assert.deepStrictEqual(inMessage.fault, { kind: "Truncated", events: 0, bytes: 7, bytesExpected: 10 })
  })
})
