/** When a compressing thread starts, and what becomes of the pieces when none does. */
import { assert, describe, it } from "@effect/vitest"
import { uncompressSync } from "lz4-napi"
import { MessageChannel } from "node:worker_threads"
import { afterEach, beforeEach, vi } from "vitest"
import type { Subscriber } from "../../../src/maintainer/compressor/CompressorExchange.ts"
import { CompressorPriority } from "../../../src/maintainer/compressor/CompressorPriority.ts"
import { make } from "../../../src/maintainer/compressor/ThreadedCompressor.ts"

const content = new Uint8Array(new SharedArrayBuffer(5000)).fill(97)

const isContent = (compressed: Uint8Array): void =>
  assert.isTrue(Buffer.from(content).equals(uncompressSync(Buffer.from(compressed))))

/** A compressor whose requests for a thread are counted, and answered by `answer`. */
const counting = (answer: (subscriber: Subscriber) => void = () => {}) => {
  let wanted = 0
  const compressor = make((subscriber) => ({
    want: () => {
      wanted += 1
      answer(subscriber)
    },
    end: () => {}
  }))
  return { compressor, wanted: () => wanted }
}

const messageOf = (starting: Promise<void>): Promise<string> =>
  starting.then(() => "it started", (error: Error) => error.message)

describe("a compressing thread", () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it("starts a second after the first log was opened, and not with it", async () => {
    const { compressor, wanted } = counting()
    void compressor.start()
    await vi.advanceTimersByTimeAsync(999)
    assert.strictEqual(wanted(), 0)
    await vi.advanceTimersByTimeAsync(1)
    assert.strictEqual(wanted(), 1)
  })

  it("does not start for logs that have closed by then, and starts for one that is opened after them", async () => {
    const { compressor, wanted } = counting()
    void compressor.start()
    await vi.advanceTimersByTimeAsync(500)
    compressor.stop()
    await vi.advanceTimersByTimeAsync(10_000)
    assert.strictEqual(wanted(), 0)
    void compressor.start()
    await vi.advanceTimersByTimeAsync(1000)
    assert.strictEqual(wanted(), 1)
  })

  it("starts with the first piece, and once", async () => {
    const { compressor, wanted } = counting()
    void compressor.start()
    void compressor.compress(content)
    void compressor.compress(content)
    await vi.advanceTimersByTimeAsync(10_000)
    assert.strictEqual(wanted(), 1)
  })
})

describe("without a compressing thread", () => {
  it("pieces are compressed here, and the one who started it is told why", async () => {
    const { compressor, wanted } = counting(({ refuse }) => refuse(new Error("there is none")))
    const starting = messageOf(compressor.start())
    isContent(await compressor.compress(content))
    isContent(await compressor.compress(content, { urgent: false }))
    assert.match(await starting, /segments are compressed in the thread of their maintainer.*: there is none$/)
    assert.strictEqual(wanted(), 1)
  })

  it("pieces that a thread took with it as it started are compressed here", async () => {
    const { port1 } = new MessageChannel()
    const { compressor } = counting(({ connect, disconnect }) => {
      connect({ thread: 1, port: port1, priority: new CompressorPriority().memory })
      setImmediate(() => disconnect(1, new Error("stillborn")))
    })
    const starting = messageOf(compressor.start())
    const [first, second] = await Promise.all([compressor.compress(content), compressor.compress(content)])
    isContent(first)
    isContent(second)
    assert.match(await starting, /: stillborn$/)
    isContent(await compressor.compress(content))
  })
})
