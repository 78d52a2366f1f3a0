/** The door to the compressor: on the asking thread, and in a thread of its own. */
import { assert, describe, it } from "@effect/vitest"
import { randomBytes } from "node:crypto"
import { blocking, threaded } from "../../src/maintainer/Compressor.ts"

const shared = (bytes: Uint8Array): Uint8Array => {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length))
  copy.set(bytes)
  return copy
}

describe.each([["blocking", blocking], ["threaded", threaded]] as const)("the compressor (%s)", (_, compressor) => {
  it("gives back what it was given, in place and aside", async () => {
    const noise = randomBytes(3000)
    for (const content of [noise, Buffer.alloc(1024 * 1024, noise.subarray(0, 700)), noise.subarray(0, 1)]) {
      const block = shared(await compressor.compress(shared(content)))
      for (const options of [{}, { urgent: false }]) {
        const back = await compressor.uncompress(block, options)
        assert.isTrue(content.equals(back), `${content.length} bytes, ${JSON.stringify(options)}`)
        compressor.release(back)
      }
    }
  })

  it("refuses what is no block, in place and aside, and goes on", async () => {
    const content = Buffer.alloc(5000, "content")
    // A letter, then what repeats what lies 65,535 bytes before it.
    const damaged = shared(Uint8Array.of(100, 0, 0, 0, 0x10, 0x61, 0xff, 0xff, 0x50, 0x61, 0x61, 0x61, 0x61, 0x61))
    for (const options of [{}, { urgent: false }]) {
      const refused = await Promise.resolve().then(() => compressor.uncompress(damaged, options)).then(
        () => "not refused",
        (error: unknown) => String(error)
      )
      assert.include(refused, "rror", JSON.stringify(options))
    }
    assert.isTrue(
      content.equals(
        await compressor.uncompress(shared(await compressor.compress(shared(content))), { urgent: false })
      )
    )
  })
})
