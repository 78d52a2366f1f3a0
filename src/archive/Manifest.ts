/**
 * The manifest of an archived log: the one object that changes. It tells who writes, which segments are archived and
 * where the pages of older ones are. What it does not name does not count, whatever lies in the store.
 *
 * ```text
 * LOG/manifest                            this; replaced by If-Match alone
 * LOG/segments/EPOCH/FS.00000012.wal.lz4  a segment, as a cold file is; never changes
 * LOG/index/EPOCH/LEVEL/FIRST             a page: 256 rows (level 1), or 256 references to pages of the level below;
 *                                         never changes. FIRST is the index of the first segment in it
 * ```
 *
 * The rows are consecutive: one for each segment index from `firstIndex` on. When the manifest has 256 of them they
 * become a page, and 256 references become a page of the next level. So it has at most 255 rows, and 255 references a
 * level, whatever the length of the log.
 *
 * A row of a hole stands for a segment that is lost: it was damaged and moved to quarantine, and the loss of its events
 * is acknowledged; or it was deleted before it was archived, because that was allowed.
 *
 * Both kinds of objects are JSON in an envelope with a format number and the XXH64 of the body. A row is a list there:
 *
 * ```text
 * [index, firstId, lastId, closedMillis, storedBytes, wholeBytes, epoch, etag, storedXxh64, contentXxh64, form,
 *  livedSeconds, blocksEvery, blocks, hole]        blocks: distances as LEB128 in base64; hole: null or an object
 * [index, livedSeconds, hole]                      the row of a hole
 * [epoch, first, etag, xxh64]                      a reference to a page
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import { AcknowledgedHole } from "../disk/HoleStore.ts"
import { coldName, SegmentNaming } from "../format/SegmentName.ts"
import { segmentIndexMax } from "../format/SegmentName.ts"
import { whole } from "../internal/options.ts"
import { xxh64 } from "../internal/xxh64.ts"
import { ArchiveError } from "./ArchiveError.ts"
import { Damaged, NewerFormat, NotManifest } from "./ArchiveReason.ts"

/** Rows in a page, and references in a page of pages. A manifest has fewer of each. */
export const pageEntries = 256

/** A row has at most this many places of blocks: all of a segment of 16 MiB, and every fourth of one of 64 MiB. */
const blocksMax = 20

/** The format of what is written. */
const format = 1

const count = whole("number", 0, Number.MAX_SAFE_INTEGER)
const index = whole("number", 0, segmentIndexMax)
const hex64 = Schema.String.check(Schema.isPattern(/^[0-9a-f]{16}$/))
const hex128 = Schema.String.check(Schema.isPattern(/^[0-9a-f]{32}$/))

/**
 * A segment in the archive.
 *
 * @since 0.1.0
 * @category models
 */
export interface SegmentRow {
  readonly index: number
  /** Of its events; 0 when its bytes are not of this package's formats. */
  readonly firstId: number
  /** One less than `firstId` when it has no events. */
  readonly lastId: number
  /** Unix time, from the segment's header; 0 where unknown. */
  readonly closedMillis: number
  /** Of the object, and of its content. */
  readonly storedBytes: number
  readonly wholeBytes: number
  /** Of the archive that has written it; a part of its key. */
  readonly epoch: number
  readonly etag: string
  /** XXH64 of the object, and of its content: 16 hexadecimal digits. */
  readonly storedXxh64: string
  readonly contentXxh64: string
  /** The ending of its name: one LZ4 frame, or one LZ4 block. */
  readonly form: "lz4" | "lz4b"
  /** How long archives of this log had worked when it was archived. Ages are differences of it. */
  readonly livedSeconds: number
  /**
   * `blocks[i]` is where in the object the block `i * blocksEvery` of the LZ4 frame begins. Every block but the last
   * holds as much content as the frame's header says, 1 MiB in ours. No places: the frame must be read from its start.
   */
  readonly blocksEvery: number
  readonly blocks: ReadonlyArray<number>
  /** Events that are lost after those of this segment, whose whole blocks stand in its place. */
  readonly hole: AcknowledgedHole | null
}

/**
 * A segment that is not in the archive, and never will be.
 *
 * @since 0.1.0
 * @category models
 */
export interface HoleRow {
  readonly index: number
  readonly form: "none"
  readonly livedSeconds: number
  /** The events that are lost. `quarantine` is empty when the segment was deleted before it was archived. */
  readonly hole: AcknowledgedHole
}

/**
 * What the archive has of one segment index.
 *
 * @since 0.1.0
 * @category models
 */
export type Row = SegmentRow | HoleRow

/**
 * A reference to a page.
 *
 * @since 0.1.0
 * @category models
 */
export interface PageRef {
  /** Of the archive that has written it; a part of its key. */
  readonly epoch: number
  /** The index of the first segment in it. */
  readonly first: number
  readonly etag: string
  /** XXH64 of the page's bytes: 16 hexadecimal digits. */
  readonly xxh64: string
}

/**
 * Segments that have expired: their objects are removed later.
 *
 * @since 0.1.0
 * @category models
 */
export interface Expired {
  /** Segments before this one. */
  readonly before: number
  /** How long archives of this log had worked when they expired. */
  readonly livedSeconds: number
}

/**
 * The manifest of a log.
 *
 * @since 0.1.0
 * @category models
 */
export interface Manifest {
  /** Of the log: 32 hexadecimal digits. Zeros in format 1, whose logs have none. */
  readonly walId: string
  readonly naming: SegmentNaming
  /** Goes up with every write. */
  readonly counter: number
  /** Goes up with every archive that opens. */
  readonly epoch: number
  /** Who writes, for people. */
  readonly owner: string
  /** Another one for every write, so that no two versions are equal and a lost answer can be looked up. */
  readonly nonce: string
  /** How long archives of this log have worked, by elapsed time. */
  readonly livedSeconds: number
  /** The oldest segment that is kept, and the one after the newest. */
  readonly firstIndex: number
  readonly nextIndex: number
  /** Objects of segments before this one are removed. */
  readonly removedBefore: number
  /** What expired and is not removed yet, oldest first. */
  readonly expired: ReadonlyArray<Expired>
  /** Of the segments that are kept. */
  readonly storedBytes: number
  /** The chained checksum at the end of the newest segment; `null` where there is none. */
  readonly chain: string | null
  /** The number of the first object of the tail that counts; absent where the log never had a tail. */
  readonly tailFrom?: number
  /** By level: pages of rows first. The newest pages of a level come after the older pages of the levels above. */
  readonly pages: ReadonlyArray<ReadonlyArray<PageRef>>
  /** The newest, consecutive, up to `nextIndex`. */
  readonly rows: ReadonlyArray<Row>
}

/** Distances as LEB128: 3 bytes for a block of 1 MiB. */
const packPlaces = (places: ReadonlyArray<number>): string => {
  const bytes: Array<number> = []
  let before = 0
  for (const place of places) {
    let rest = place - before
    before = place
    for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push(rest % 128 + 128)
    bytes.push(rest)
  }
  return Buffer.from(bytes).toString("base64")
}

const unpackPlaces = (packed: string): ReadonlyArray<number> => {
  const places: Array<number> = []
  let at = 0
  let distance = 0
  let unit = 1
  for (const byte of Buffer.from(packed, "base64")) {
    distance += (byte & 127) * unit
    unit *= 128
    if (byte >= 128) continue
    places.push(at += distance)
    distance = 0
    unit = 1
  }
  return places
}

const SegmentJson = Schema.Tuple([
  index,
  count,
  count,
  count,
  count,
  count,
  count,
  Schema.String,
  hex64,
  hex64,
  Schema.Literals(["lz4", "lz4b"]),
  count,
  count,
  Schema.String,
  Schema.NullOr(AcknowledgedHole)
])
const HoleJson = Schema.Tuple([index, count, AcknowledgedHole])
const RowJson = Schema.Union([SegmentJson, HoleJson])

const encodeRow = (row: Row): typeof RowJson.Type =>
  row.form === "none" ? [row.index, row.livedSeconds, row.hole] : [
    row.index,
    row.firstId,
    row.lastId,
    row.closedMillis,
    row.storedBytes,
    row.wholeBytes,
    row.epoch,
    row.etag,
    row.storedXxh64,
    row.contentXxh64,
    row.form,
    row.livedSeconds,
    row.blocksEvery,
    packPlaces(row.blocks),
    row.hole
  ]

const decodeRow = (json: typeof RowJson.Type): Row => {
  if (json.length === 3) return { index: json[0], form: "none", livedSeconds: json[1], hole: json[2] }
  const [
    index,
    firstId,
    lastId,
    closedMillis,
    storedBytes,
    wholeBytes,
    epoch,
    etag,
    storedXxh64,
    contentXxh64,
    form,
    livedSeconds,
    blocksEvery,
    packed,
    hole
  ] = json
  return {
    index,
    firstId,
    lastId,
    closedMillis,
    storedBytes,
    wholeBytes,
    epoch,
    etag,
    storedXxh64,
    contentXxh64,
    form,
    livedSeconds,
    blocksEvery,
    blocks: unpackPlaces(packed),
    hole
  }
}

const RowCodec = RowJson.pipe(
  Schema.decodeTo(Schema.declare((value): value is Row => typeof value === "object" && value !== null), {
    decode: SchemaGetter.transform(decodeRow),
    encode: SchemaGetter.transform(encodeRow)
  })
)

const PageRefCodec = Schema.Tuple([count, index, Schema.String, hex64]).pipe(
  Schema.decodeTo(Schema.Struct({ epoch: count, first: index, etag: Schema.String, xxh64: hex64 }), {
    decode: SchemaGetter.transform(([epoch, first, etag, xxh64]) => ({ epoch, first, etag, xxh64 })),
    encode: SchemaGetter.transform(({ epoch, etag, first, xxh64 }) => [epoch, first, etag, xxh64] as const)
  })
)

const entriesMax = Schema.isMaxLength(pageEntries - 1)

const ManifestCodec = Schema.Struct({
  walId: hex128,
  naming: SegmentNaming,
  counter: count,
  epoch: count,
  owner: Schema.String,
  nonce: Schema.String,
  livedSeconds: count,
  firstIndex: index,
  nextIndex: count,
  removedBefore: count,
  expired: Schema.Array(Schema.Struct({ before: count, livedSeconds: count })),
  storedBytes: count,
  chain: Schema.NullOr(hex64),
  tailFrom: Schema.optionalKey(count),
  pages: Schema.Array(Schema.Array(PageRefCodec).check(entriesMax)),
  rows: Schema.Array(RowCodec).check(entriesMax)
})

/** How many segments a page of this level has: 256 of level 1. */
export const segmentsOfPage = (level: number): number => pageEntries ** level

/** The first segment in the pages and rows of a manifest; it may be one that has expired. */
const firstNamed = ({ nextIndex, pages, rows }: Manifest): number =>
  pages.findLast((refs) => refs.length > 0)?.[0]?.first ?? rows[0]?.index ?? nextIndex

/** Whether rows and pages are consecutive, from the oldest to `nextIndex`. */
const isConsecutive = (manifest: Manifest): boolean => {
  let next = firstNamed(manifest)
  for (let level = manifest.pages.length; level > 0; level--) {
    for (const { first } of manifest.pages[level - 1] ?? []) {
      if (first !== next) return false
      next += segmentsOfPage(level)
    }
  }
  return areRowsFrom(next, manifest.rows) && next + manifest.rows.length === manifest.nextIndex &&
    firstNamed(manifest) <= manifest.firstIndex && manifest.firstIndex <= manifest.nextIndex
}

const areRowsFrom = (first: number, rows: ReadonlyArray<Row>): boolean =>
  rows.every((row, position) => row.index === first + position)

/** 16 hexadecimal digits. */
export const hexOf = (value: bigint): string => value.toString(16).padStart(16, "0")

/** What an envelope begins with: by this a part of one is told from what is not ours. */
const beginningOf = (kind: "manifest" | "page"): string => `{"effectWal":"${kind}"`

const seal = (kind: "manifest" | "page", body: unknown): Uint8Array => {
  const text = JSON.stringify(body)
  const checksum = hexOf(xxh64(Buffer.from(text)))
  return Buffer.from(`${beginningOf(kind)},"format":${format},"checksum":"${checksum}","body":${text}}\n`)
}

const Envelope = Schema.fromJsonString(
  Schema.Struct({
    effectWal: Schema.String,
    format: Schema.Int,
    checksum: Schema.optional(Schema.String),
    body: Schema.optional(Schema.Unknown)
  })
)

/** The body of an envelope that is ours, whole, and of a format that we know. */
const open = (kind: "manifest" | "page", key: string, bytes: Uint8Array): Effect.Effect<unknown, ArchiveError> => {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
  const fail = (reason: ArchiveError["reason"]) => Effect.fail(new ArchiveError({ reason, key }))
  const beginning = beginningOf(kind)
  const isOurs = text.length < beginning.length
    ? text.length > 0 && beginning.startsWith(text)
    : text.startsWith(beginning)
  if (!isOurs) {
    const detail = bytes.length === 0 ? "an empty object" : `${bytes.length} bytes of something else`
    return fail(kind === "manifest" ? new NotManifest({ detail }) : new Damaged({ detail }))
  }
  const envelope = Option.getOrUndefined(Schema.decodeUnknownOption(Envelope)(text))
  if (envelope === undefined) return fail(new Damaged({ detail: `it ends after ${bytes.length} bytes` }))
  if (envelope.format !== format) {
    return fail(new NewerFormat({ detail: `format ${envelope.format}; this version knows ${format}` }))
  }
  const isIntact = envelope.body !== undefined &&
    envelope.checksum === hexOf(xxh64(Buffer.from(JSON.stringify(envelope.body))))
  return isIntact ? Effect.succeed(envelope.body) : fail(new Damaged({ detail: "it does not match its checksum" }))
}

/** The bytes of a manifest. */
export const encodeManifest = (manifest: Manifest): Uint8Array =>
  seal("manifest", Schema.encodeSync(ManifestCodec)(manifest))

/** Reads a manifest. Fails with one line for what is none, is cut off or changed, or is of a newer format. */
export const decodeManifest = (key: string, bytes: Uint8Array): Effect.Effect<Manifest, ArchiveError> =>
  Effect.flatMap(open("manifest", key, bytes), (body) => {
    const manifest = Option.filter(Schema.decodeUnknownOption(ManifestCodec)(body), isConsecutive)
    return Option.match(manifest, {
      onNone: () => Effect.fail(new ArchiveError({ reason: new Damaged({ detail: "not a manifest's fields" }), key })),
      onSome: (manifest) => Effect.succeed<Manifest>(manifest)
    })
  })

const PageCodec = Schema.Struct({
  walId: hex128,
  level: whole("count", 1, 8),
  first: index,
  rows: Schema.Array(RowCodec),
  pages: Schema.Array(PageRefCodec)
})

/**
 * A page: 256 rows when its level is 1, 256 references to pages of the level below otherwise.
 */
export interface Page {
  readonly walId: string
  readonly level: number
  readonly first: number
  readonly rows: ReadonlyArray<Row>
  readonly pages: ReadonlyArray<PageRef>
}

/** The bytes of a page. */
export const encodePage = (page: Page): Uint8Array => seal("page", Schema.encodeSync(PageCodec)(page))

/** Reads the page that stands at a key. */
export const decodePage = (
  key: string,
  bytes: Uint8Array,
  { first, level }: Pick<Page, "first" | "level">
): Effect.Effect<Page, ArchiveError> =>
  Effect.flatMap(open("page", key, bytes), (body) => {
    const isWhole = (page: Page): boolean =>
      page.level === level && page.first === first && (level === 1
        ? page.rows.length === pageEntries && page.pages.length === 0 && areRowsFrom(first, page.rows)
        : page.pages.length === pageEntries && page.rows.length === 0 &&
          page.pages.every((ref, position) => ref.first === first + position * segmentsOfPage(level - 1)))
    return Option.match(Option.filter(Schema.decodeUnknownOption(PageCodec)(body), isWhole), {
      onNone: () => Effect.fail(new ArchiveError({ reason: new Damaged({ detail: "not a page's fields" }), key })),
      onSome: (page) => Effect.succeed<Page>(page)
    })
  })

/**
 * The key of the manifest of a log.
 *
 * @since 0.1.0
 * @category keys
 */
export const manifestKey = (log: string): string => `${log}/manifest`

/**
 * The key of a page of this level.
 *
 * @since 0.1.0
 * @category keys
 */
export const pageKey = (log: string, level: number, { epoch, first }: Pick<PageRef, "epoch" | "first">): string =>
  `${log}/index/${epoch}/${level}/${first}`

/**
 * The name of an archived segment's file, as it was in the log's directory when it was cold.
 *
 * @since 0.1.0
 * @category keys
 */
export const segmentFileName = (naming: SegmentNaming, { form, index }: Pick<SegmentRow, "form" | "index">): string =>
  coldName(naming, index, form === "lz4" ? "frame" : "block")

/**
 * The key of an archived segment.
 *
 * @since 0.1.0
 * @category keys
 */
export const segmentKey = (
  log: string,
  naming: SegmentNaming,
  row: Pick<SegmentRow, "epoch" | "form" | "index">
): string => `${log}/segments/${row.epoch}/${segmentFileName(naming, row)}`

/** The places of a frame's blocks, thinned out until there are few enough for a row. */
export const thinPlaces = (places: ReadonlyArray<number>): Pick<SegmentRow, "blocks" | "blocksEvery"> => {
  let blocksEvery = 1
  while (Math.ceil(places.length / blocksEvery) > blocksMax) blocksEvery *= 2
  return { blocksEvery, blocks: places.filter((_, position) => position % blocksEvery === 0) }
}
