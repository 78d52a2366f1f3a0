/** What another writer of format 1 leaves on disk: segments with orders. */
import { format1Layout } from "../../src/format/SegmentLayout.ts"
import { buildSegment, format1Events } from "../fixtures/segments.ts"
import type { BuiltSegment } from "../fixtures/segments.ts"

/**
 * A segment as another writer leaves it: closed, or unclosed after a crash; preallocated. Without events it was prepared and
 * never used.
 */
export const segmentOfAnother = (options: {
  readonly segmentIndex: number
  readonly ids: readonly [number, number]
  readonly closed?: boolean
  readonly blocks?: number
}): BuiltSegment => {
  const [fromId, toId] = options.ids
  return buildSegment({
    layout: format1Layout,
    segmentIndex: options.segmentIndex,
    firstEventId: fromId,
    commits: toId < fromId ? [] : [format1Events(fromId, toId)],
    closed: options.closed ?? true,
    blocks: options.blocks ?? 16
  })
}

/**
 * The file that `lz4 -B7 -BD --no-frame-crc` (1.9.4) made of `goldenContent`: two linked blocks of 4 MiB at most, neither
 * content size nor checksum. Written as hex; `xx*n` stands for n times the byte xx.
 */
export const goldenFrame = (): Buffer =>
  Buffer.concat(
    goldenFrameText.trim().split(/\s+/).map((part) => {
      const [hex = "", times] = part.split("*")
      return times === undefined ? Buffer.from(hex, "hex") : Buffer.alloc(Number(times), Buffer.from(hex, "hex"))
    })
  )

/** Segment 1 with orders 21 to 40, preallocated for 300 blocks, so it is larger than a block of the frame. */
export const goldenContent = (): BuiltSegment => segmentOfAnother({ segmentIndex: 1, ids: [21, 40], blocks: 300 })

const goldenFrameText = `
  04224d184070df95420000f203534601400100000001000000140000001500010012280700fc120000002a36fe9c9717
  00cac471fe9c97175284d53367b75ebe140ad5cef13ee29e3000041800040800934d5f56bf28afe4c70060000c020004
  4000220852680022252722001202070001020001240011010b000d02001316120022f055400013264000130318001301
  24001101e2000e02001317130022d85940001327400013041800130224002f02018100031318280022c05d4000132840
  0013051800170324000f0200011319150022a86140001329400013061800130424000f7f000423001a28002290654000
  132a400013071800130524001f02000104131b28002278694000132b400013081800140624000f810004131c28002260
  6d4000132c4000130918000424000f3e01033200001d2300320048714000132d4000130a1800130124001f0241000413
  1e28002230754000132e4000042f00150224000412000a0200131f0f002218794000132f4000048002130324001f0100
  01041320400022007d400013304000048002130424000450000c02001321110022e88040001331400004800214052400
  0fbf0003230022400022d084400013324000048002130624000f0003051323400022b888400013334000048002042400
  0f000305122423003200a08c400013344000048002170124000f02000113251500228890400013354000048002130224
  000f7f01042300264000227094400013364000048002130324000f000305032f00320058984000133711000480021404
  24000f81000404280522409c40001338400004af01130524000410000f0200
  ff*16442
  b2500000000000610b00001f000100
  ff*2902
  7d50000000000000000000
`
