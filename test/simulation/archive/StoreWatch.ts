/**
 * Looks at the store at the very moment at which it changes, whoever asked for it and however late, and so holds what is
 * promised for every moment: what the manifest names is there and whole, it has no gap, nothing of it changes or goes
 * while it is named, and nothing local goes before it is named.
 */
import * as Effect from "effect/Effect"
import { decompressFrameSync, uncompressSync } from "lz4-napi"
import {
  decodeManifest,
  decodePage,
  manifestKey,
  pageEntries,
  pageKey,
  segmentKey
} from "../../../src/archive/Manifest.ts"
import type { Manifest, PageRef, Row, SegmentRow } from "../../../src/archive/Manifest.ts"
import { isSegmentFault } from "../../../src/format/SegmentFault.ts"
import { decodeHeader, headerBytesMax } from "../../../src/format/SegmentHeader.ts"
import type { SegmentHeader } from "../../../src/format/SegmentHeader.ts"
import { chainsSegments } from "../../../src/format/SegmentLayout.ts"
import { closedSegment } from "../../../src/maintainer/steps/SegmentProof.ts"
import type { StoredObject } from "../../../src/testing/SimulatedStore.ts"
import type { Model } from "../Model.ts"
import { Violation } from "../Trace.ts"

export const log = "orders"

/** The object of an expired segment stays for a day, from the request on that may come late by some minutes. */
const removalMillisMin = (24 * 60 - 15) * 60_000

/** Where the archived log ends; `undefined` where that is not known. */
interface LogEnd {
  readonly chain: bigint | undefined
  readonly lastId: number | undefined
}

export class StoreWatch {
  /** The manifest that stands in the store now. */
  manifest: Manifest | undefined
  /** Segments may go unarchived (`onArchiveBehind: "free"`), so there may be rows of holes. */
  mayLose = false
  /** In this life, by the clock that no one sets. */
  now: () => number = () => 0
  violated: (violation: Violation) => void = () => {}
  /** As a planted bug has it. */
  nameOf: (key: string) => string = (key) => key
  /** Where the archived log ends. */
  end: LogEnd = { chain: undefined, lastId: undefined }
  /** What stands in the store, as it was written. */
  readonly #objects = new Map<string, StoredObject>()
  /** The keys of the segments that count, and of the pages. */
  #named: ReadonlySet<string> = new Set()
  /** Since when a segment that was named does not count any more. */
  readonly #expiredMillis = new Map<string, number>()
  readonly #pages = new Map<string, ReadonlyArray<Row>>()
  readonly #model: Model

  constructor(model: Model) {
    this.#model = model
  }

  /** Whether a manifest that stands in the store names the segment, or did until it expired. */
  hasArchived(segmentIndex: number): boolean {
    return this.manifest !== undefined && segmentIndex < this.manifest.nextIndex
  }

  /** A local segment has gone, in every form. */
  gone(segmentIndex: number): void {
    if (this.mayLose || this.hasArchived(segmentIndex)) return
    this.violated(
      new Violation(
        `segment ${segmentIndex} was deleted; the archive has those before ${this.manifest?.nextIndex ?? "any"}`
      )
    )
  }

  readonly changed = (key: string, before: StoredObject | undefined, after: StoredObject | undefined): void => {
    if (after === undefined) this.#objects.delete(key)
    else this.#objects.set(key, after)
    try {
      if (key === manifestKey(log)) this.#manifestChanged(after)
      else this.#objectChanged(key, before, after)
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      this.violated(error)
    }
  }

  #objectChanged(key: string, before: StoredObject | undefined, after: StoredObject | undefined): void {
    if (before === undefined || after !== undefined && Buffer.compare(before.bytes, after.bytes) === 0) return
    if (this.#named.has(key)) {
      throw new Violation(`${key} is named, and was ${after === undefined ? "removed" : "changed"}`)
    }
    if (after !== undefined) return
    const expired = this.#expiredMillis.get(key)
    if (expired !== undefined && this.now() - expired < removalMillisMin) {
      throw new Violation(`${key} was removed ${this.now() - expired} ms after it expired`)
    }
  }

  #manifestChanged(after: StoredObject | undefined): void {
    if (after === undefined) throw new Violation("the manifest was removed")
    const before = this.manifest
    const manifest = Effect.runSync(Effect.orDie(decodeManifest(manifestKey(log), after.bytes)))
    for (const name of ["counter", "epoch", "nextIndex", "firstIndex", "removedBefore"] as const) {
      if (before !== undefined && manifest[name] < before[name]) {
        throw new Violation(`${name} of the manifest went back from ${before[name]} to ${manifest[name]}`)
      }
    }
    this.#isBounded(manifest)
    const rows = this.#rowsOf(manifest)
    this.#isWithoutGap(manifest, rows)
    const named = new Set(
      manifest.pages.flatMap((refs, at) => refs.map((ref) => this.nameOf(pageKey(log, at + 1, ref))))
    )
    for (const row of rows) {
      if (row.form === "none" || row.index < manifest.removedBefore) continue
      const key = segmentKey(log, manifest.naming, row)
      const since = this.#expiredMillis.get(key)
      if (row.index < manifest.firstIndex) {
        if (since === undefined) this.#expiredMillis.set(key, this.now())
        // It may go as soon as its day is over, before the manifest that no longer tells of it.
        else if (this.now() - since >= removalMillisMin) continue
      } else {
        if (since !== undefined) throw new Violation(`${key} has expired, and counts again`)
        named.add(key)
      }
      const etag = this.#objects.get(key)?.etag
      if (etag !== row.etag) {
        throw new Violation(
          `the manifest names ${key}, which is ${etag === undefined ? "not there" : "another object"}`
        )
      }
    }
    for (const row of rows) {
      if (row.index >= (before?.nextIndex ?? manifest.firstIndex)) this.#continues(manifest, row)
    }
    this.#named = named
    this.manifest = manifest
  }

  /** However long the log is. */
  #isBounded({ pages, rows }: Manifest): void {
    const most = Math.max(rows.length, ...pages.map((refs) => refs.length))
    if (most >= pageEntries) throw new Violation(`the manifest has ${most} rows or references in one place`)
  }

  #isWithoutGap({ nextIndex, removedBefore }: Manifest, rows: ReadonlyArray<Row>): void {
    const first = rows[0]?.index ?? nextIndex
    const isRow = (row: Row, at: number): boolean => row.index === first + at
    if (!rows.every(isRow) || first + rows.length !== nextIndex || rows.length > 0 && first > removedBefore) {
      throw new Violation(`the rows of the manifest have a gap, or do not end before ${nextIndex}`)
    }
  }

  /** A new row holds a whole segment that continues the one before it, with events that nobody can lose any more. */
  #continues(manifest: Manifest, row: Row): void {
    const { chain, lastId } = this.end
    if (row.form === "none") {
      if (!this.mayLose) throw new Violation(`segment ${row.index} is a hole in the archive`)
      const { firstEventId, lastEventId } = row.hole
      // Segments that are lost together have one hole, each of them.
      if (lastId !== undefined && firstEventId !== lastId + 1 && lastEventId !== lastId) {
        throw new Violation(`the hole of segment ${row.index} begins with ${firstEventId} after ${lastId}`)
      }
      this.end = { chain: undefined, lastId: lastEventId }
      return
    }
    const bytes = this.#objects.get(segmentKey(log, manifest.naming, row))!.bytes
    const header = headerOf(row, bytes)
    const isOrdered = lastId === undefined || row.lastId === 0 || row.firstId === lastId + 1
    const isChained = chain === undefined || !chainsSegments(header.version) || header.previousChainedChecksum === chain
    if (!isOrdered || !isChained) throw new Violation(`segment ${row.index} does not continue the archive`)
    this.#model.promise(row.lastId, "archived")
    this.end = { chain: header.lastChainedChecksum, lastId: row.lastId === 0 ? lastId : row.lastId }
  }

  #rowsOf(manifest: Manifest): ReadonlyArray<Row> {
    const paged = manifest.pages.toReversed().flatMap((refs, at) =>
      refs.flatMap((ref) => this.#pageRows(manifest.pages.length - at, ref))
    )
    return [...paged, ...manifest.rows]
  }

  #pageRows(level: number, ref: PageRef): ReadonlyArray<Row> {
    const key = this.nameOf(pageKey(log, level, ref))
    const known = this.#pages.get(key)
    if (known !== undefined) return known
    const object = this.#objects.get(key)
    if (object?.etag !== ref.etag) {
      throw new Violation(`the manifest names ${key}, which is not there, or another object`)
    }
    const page = Effect.runSync(Effect.orDie(decodePage(key, object.bytes, { level, first: ref.first })))
    const rows = level === 1 ? page.rows : page.pages.flatMap((below) => this.#pageRows(level - 1, below))
    this.#pages.set(key, rows)
    return rows
  }
}

/** The header of an archived segment, of which every byte is proved here, by none of the readers of the package. */
const headerOf = (row: SegmentRow, bytes: Uint8Array): SegmentHeader => {
  const stored = Buffer.from(bytes)
  const content = row.form === "lz4" ? decompressFrameSync(stored) : uncompressSync(stored)
  const proof = closedSegment.begin(row.index)
  proof.push(content)
  const facts = proof.end()
  const header = decodeHeader(content.subarray(0, headerBytesMax))
  const isRight = !isSegmentFault(facts) && !isSegmentFault(header) && content.length === row.wholeBytes &&
    (facts.events === 0 || facts.firstEventId === row.firstId) && (facts.lastEventId ?? 0) === row.lastId
  if (!isRight) throw new Violation(`the row of segment ${row.index} does not tell what its object is`)
  return header
}
