/**
 * What segments count towards the limit of cold ones, worked out from their bytes: a segment counts by its length up to
 * the end of its last block (in format 1 also by its events), a full one as one, and even the smallest as a 128th.
 */
import { Lz4BlockFile } from "../../src/format/lz4/Lz4BlockFile.ts"
import { SegmentVerifier } from "../../src/format/SegmentVerifier.ts"
import { Lz4FrameDecoder } from "../format/lz4/frameDecoder.ts"
import type { SegmentOnDisk } from "./DirectoryWatch.ts"
import { fullBytesOf, slotBytesOf } from "./Scenario.ts"
import type { Scenario } from "./Scenario.ts"

/** The share of a full segment; `undefined` when the bytes cannot be decoded. */
const shareOf = ({ content, path }: SegmentOnDisk, scenario: Pick<Scenario, "wal">): number | undefined => {
  const verifier = new SegmentVerifier()
  let events = 0
  try {
    const pieces = Array.from(decoded(path, content), (piece) => piece.slice())
    verifier.push(Buffer.concat(pieces), true, ({ eventCount }) => {
      events += eventCount
    })
  } catch {
    return undefined
  }
  // Of what has rotted, the bytes before the damage are a part.
  if (verifier.fault !== undefined) return undefined
  const bytes = verifier.point?.offset
  const fullBytes = fullBytesOf(scenario)
  const byEvents = scenario.wal.format === 1 ? 64 + (fullBytes - 64) * events * 64 / slotBytesOf(scenario) : 0
  return bytes === undefined ? undefined : Math.max(bytes, byEvents) / fullBytes
}

const decoded = (path: string, bytes: Uint8Array): Iterable<Uint8Array> =>
  path.endsWith(".lz4")
    ? new Lz4FrameDecoder().push(bytes)
    : path.endsWith(".lz4b")
    ? new Lz4BlockFile(bytes.length, 2 ** 30).push(bytes)
    : [bytes]

const weightMin = 1 / 128

/** The weights of segments in a setup. */
export class Weights {
  readonly #scenario: Pick<Scenario, "wal">
  /** Of files that do not change any more. */
  readonly #cold = new Map<string, number>()

  constructor(scenario: Pick<Scenario, "wal">) {
    this.#scenario = scenario
  }

  /** What it counts at most: as a full one when it cannot be decoded, because it has rotted. */
  of(file: SegmentOnDisk): number {
    return this.#exactly(file) ?? 1
  }

  /** What it counts at least. */
  atLeast(file: SegmentOnDisk): number {
    return this.#exactly(file) ?? weightMin
  }

  #exactly(file: SegmentOnDisk): number | undefined {
    const known = this.#cold.get(file.path)
    if (known !== undefined) return known
    const share = shareOf(file, this.#scenario)
    if (share === undefined) return undefined
    const weight = Math.min(1, Math.max(weightMin, Math.ceil(1024 * share) / 1024))
    if (!file.isHot) this.#cold.set(file.path, weight)
    return weight
  }

  /** The bytes of this file have changed after all. */
  forget(path: string): void {
    this.#cold.delete(path)
  }

  /** Of a cold file that is gone, which this has weighed before; at most 1. */
  ofGone(path: string): number {
    return this.#cold.get(path) ?? 1
  }

  /** At most. Of a segment in two forms, one counts. */
  sum(files: ReadonlyArray<SegmentOnDisk>): number {
    return [...oneForm(files)].reduce((sum, file) => sum + this.of(file), 0)
  }

  sumAtLeast(files: ReadonlyArray<SegmentOnDisk>): number {
    return [...oneForm(files)].reduce((sum, file) => sum + this.atLeast(file), 0)
  }
}

const oneForm = (files: ReadonlyArray<SegmentOnDisk>): Iterable<SegmentOnDisk> =>
  new Map(files.map((file) => [file.segmentIndex, file])).values()
