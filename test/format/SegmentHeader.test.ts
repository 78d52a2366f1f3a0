import { assert, describe, it } from "@effect/vitest"
import { isSegmentFault } from "../../src/format/SegmentFault.ts"
import { closingWrites, decodeHeader, encodeHeader } from "../../src/format/SegmentHeader.ts"
import type { SegmentHeader } from "../../src/format/SegmentHeader.ts"

const checksumOffset = 48
const checksumBytes = 8

const closedHeader = (version: 1 | 2): SegmentHeader => ({
  version,
  segmentIndex: 7,
  blockCount: 3,
  eventCount: 30,
  firstEventId: 101,
  lastEventId: 130,
  createdNanos: 1_700_000_000_000_000_000n,
  closedNanos: 1_700_000_001_000_000_000n,
  lastChainedChecksum: 0x0123456789abcdefn,
  walId: new Uint8Array(16).fill(version === 1 ? 0 : 5),
  previousChainedChecksum: version === 1 ? 0n : 42n,
  blockBytesMax: version === 1 ? 16_384 : 65_536,
  eventSize: version === 1 ? 64 : 0,
  lastFlushNanos: version === 1 ? 0n : 1_700_000_000_500_000_000n
})

/** What a file shows while the checksum is written over: so many bytes of the new one. */
const withChecksumBytes = (closed: Uint8Array, count: number): Uint8Array => {
  const [fields, checksum] = closingWrites(closed)
  const bytes = Uint8Array.from(fields!.bytes)
  bytes.set(checksum!.bytes.subarray(0, count), checksumOffset)
  return bytes
}

describe.each([1, 2] as const)("the header of format %i", (version) => {
  const closed = encodeHeader(closedHeader(version))

  it("is the open one under the open checksum, and the closed one as soon as the new checksum is begun", () => {
    for (let count = 0; count <= checksumBytes; count++) {
      const found = decodeHeader(withChecksumBytes(closed, count))
      assert(!isSegmentFault(found))
      assert.strictEqual(found.closedNanos, count === 0 ? 0n : closedHeader(version).closedNanos)
      assert.strictEqual(found.eventCount, count === 0 ? 0 : 30)
    }
  })

  it("is damaged when a byte of its checksum is another, also when it is that of the open one", () => {
    const open = withChecksumBytes(closed, 0)
    for (let at = checksumOffset; at < checksumOffset + checksumBytes - 1; at++) {
      const damaged = Uint8Array.from(closed)
      damaged[at] = open[at]!
      if (damaged[at] !== closed[at]) assert(isSegmentFault(decodeHeader(damaged)), `byte ${at}`)
    }
  })
})
