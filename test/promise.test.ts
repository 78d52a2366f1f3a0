/** A log for programs without Effect. */
import { assert, describe, it } from "@effect/vitest"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { onTestFinished } from "vitest"
import { DiskError } from "../src/disk/Disk.ts"
import { open, read } from "../src/promise/index.ts"
import type { OpenOptions, PromiseEvent } from "../src/promise/index.ts"
import { RecorderError } from "../src/recorder/RecorderError.ts"
import { small, threadModule } from "./recorder/fixtures.ts"

const directoryOf = (): string => {
  const root = mkdtempSync(join(tmpdir(), "effect-wal-"))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  return join(root, "log")
}

const textsOf = async (events: AsyncIterable<PromiseEvent>): Promise<Array<string>> => {
  const texts: Array<string> = []
  for await (const { bytes, id } of events) texts.push(`${id} ${Buffer.from(bytes).toString()}`)
  return texts
}

const reasonOf = async (promise: Promise<unknown>): Promise<unknown> => {
  const error: unknown = await promise.then(() => undefined, (error: unknown) => error)
  return error instanceof RecorderError || error instanceof DiskError ? error.reason._tag : String(error)
}

const ways = [["a thread", { threadModule, workers: 1 }], ["no thread", { workers: 0 }]] as const

describe.each(ways)("effect-wal/promise, with %s", (_, way) => {
  const optionsFor = (directory: string): OpenOptions => ({ ...small, ...way, directory })

  it("records, commits and reads, and continues after it was closed", async () => {
    const directory = directoryOf()
    {
      await using log = await open(optionsFor(directory))
      assert.strictEqual(log.append(Buffer.from("one")), 1)
      assert.strictEqual(await log.commit(), 1)
      assert.strictEqual(await log.appendAll([Buffer.from("two"), Buffer.from("three")]), 3)
      assert.strictEqual(await log.appendDurable(Buffer.from("four")), 4)
      assert.strictEqual(await log.commitTo(2), 4)
      assert.deepStrictEqual(await textsOf(log.events({ from: { id: 2 }, to: { id: 3 } })), ["2 two", "3 three"])
      log.append(Buffer.from("five"))
    }
    const log = await open(optionsFor(directory))
    assert.strictEqual(log.append(Buffer.from("six")), 6)
    await log.close()
    const events: Array<PromiseEvent> = []
    for await (const event of read({ directory })) events.push(event)
    assert.deepStrictEqual(events.map(({ id }) => id), [1, 2, 3, 4, 5, 6])
    const time = events[3]!.time!
    assert.instanceOf(time, Date)
    assert.include(await textsOf(read({ directory, from: { time } })), "4 four")
  })

  it("takes a stream, waiting for the disk, and gives one", async () => {
    const directory = directoryOf()
    await using log = await open(optionsFor(directory))
    const lines = Array.from({ length: 2000 }, (_, i) => `line ${i + 1} ${"x".repeat(50)}`)
    await pipeline(Readable.from(lines), log.writable())
    const recorded = await textsOf(log.events())
    assert.deepStrictEqual(recorded, lines.map((line, i) => `${i + 1} ${line}`))
    let count = 0
    for await (const event of log.readable({ from: { id: 1991 } })) {
      count += 1
      assert.strictEqual(event.id, 1990 + count)
    }
    assert.strictEqual(count, 10)
  })

  it("follows until the loop is left", async () => {
    const directory = directoryOf()
    await using log = await open(optionsFor(directory))
    await log.appendDurable(Buffer.from("one"))
    const seen: Array<number> = []
    for await (const { id } of log.events({ follow: true })) {
      seen.push(id)
      if (id === 3) break
      await log.appendDurable(Buffer.from("another"))
    }
    assert.deepStrictEqual(seen, [1, 2, 3])
  })

  it("rejects with the typed error, and with the defect of what it does not understand", async () => {
    const directory = directoryOf()
    const log = await open(optionsFor(directory))
    assert.strictEqual(await reasonOf(open(optionsFor(directory))), "Held")
    assert.throws(() => log.append(new Uint8Array(100_000)), /larger than a block/)
    assert.throws(() => log.append("text" as never), /event is a string of 4 characters, expected a Uint8Array/)
    assert.match(String(await reasonOf(log.appendDurable("text" as never))), /expected a Uint8Array/)
    assert.match(String(await reasonOf(open(undefined as never))), /options is undefined, expected an object/)
    assert.match(String(await reasonOf(open({ directory: 7 } as never))), /WrongOptions: directory is 7/)
    assert.match(String(await reasonOf(textsOf(log.events({ form: 1 } as never)))), /options\.form/)
    await log.close()
    await log.close()
    assert.throws(() => log.append(Buffer.from("late")), /shutting down/)
    assert.strictEqual(await reasonOf(log.appendDurable(Buffer.from("late"))), "Closed")
    assert.strictEqual(await reasonOf(textsOf(read({ directory: `${directory}-not` }))), "NotFound")
  })
})
