/**
 * What segments count towards the limit of cold ones, worked out from their bytes: a segment counts by its length up to
 * the end of its last block, a full one as one, and even the smallest as a 128th.
 */
import { Lz4BlockFile } from "../../src/format/lz4/Lz4BlockFile.ts"
import { Lz4FrameDecoder } from "../../src/format/lz4/Lz4FrameDecoder.ts"
import { SegmentVerifier } from "../../src/format/SegmentVerifier.ts"
import type { SegmentOnDisk } from "./DirectoryWatch.ts"

/** The length up to the end of its last whole block; `undefined` when the bytes cannot be decoded. */
const contentBytesOf = ({ content, path }: SegmentOnDisk): number | undefined => {
  const verifier = new SegmentVerifier()
  try {
    const pieces = Array.from(decoded(path, content), (piece) => piece.slice())
    verifier.push(Buffer.concat(pieces), true, () => {})
  } catch {
    return undefined
  }
  return verifier.point?.offset
}

const decoded = (path: string, bytes: Uint8Array): Iterable<Uint8Array> =>
  path.endsWith(".lz4")
    ? new Lz4FrameDecoder().push(bytes)
    : path.endsWith(".lz4b")
    ? new Lz4BlockFile(bytes.length, 2 ** 30).push(bytes)
    : [bytes]

/** The weights of segments among which a full one has so many bytes. */
export class Weights {
  readonly #fullBytes: number
  /** Of files that do not change any more. */
  readonly #cold = new Map<string, number>()

  constructor(fullBytes: number) {
    this.#fullBytes = fullBytes
  }

  of(file: SegmentOnDisk): number {
    const known = this.#cold.get(file.path)
    if (known !== undefined) return known
    const contentBytes = contentBytesOf(file)
    const units = contentBytes === undefined ? 1024 : Math.ceil(1024 * contentBytes / this.#fullBytes)
    const weight = Math.min(1024, Math.max(8, units)) / 1024
    if (!file.isHot) this.#cold.set(file.path, weight)
    return weight
  }

  /** Of a segment in two forms, one counts. */
  sum(files: ReadonlyArray<SegmentOnDisk>): number {
    const byIndex = new Map(files.map((file) => [file.segmentIndex, file]))
    return [...byIndex.values()].reduce((sum, file) => sum + this.of(file), 0)
  }
}
