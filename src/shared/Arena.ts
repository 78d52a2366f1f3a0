/**
 * The memory between the thread that appends and the thread that writes: K slots of segment bytes in one
 * SharedArrayBuffer. One slot is filled while others wait for the disk. A slot is given back only when its segment is
 * durable, so until then every byte that was appended can be written again.
 *
 * ```text
 *            activate                 rotate                 durable, closed              zeroed
 *   Blank ─────────────► Active ─────────────────► Full ─────────────────────► Spent ─────────────► Blank
 *            (writer)               (writer)              (maintainer)            (maintainer)
 * ```
 *
 * Only the side named under an arrow may make that step. The writer stores events behind the watermark and then raises
 * the watermark (one atomic store); the maintainer reads the watermark and may use every byte below it. The seal record
 * of a slot says how much of it is durable and how to go on; it is written to the one of two lines that is not in use
 * and then switched to (one atomic store), so a maintainer that dies at any point leaves a whole record behind.
 *
 * ```text
 *  bytes of the buffer, every group on 64-byte lines of its own
 *     0  constants     magic, slots, slot bytes, format version, event size, largest block
 *    64  origin        wal_id (16 B), segment index and chain that the first segment follows
 *   128  from writer   active slot, flushes asked for, work doorbell
 *   192  from keeper   durable doorbell, durable event id (u64), flushes served, held-back code, since when, next try
 *   256  keeper alone  last closed segment index, its chain (u64), time of the last flush (u64)
 *   320  retention     hot segments known (count and up to which index, one u64), limit of hot segments
 *   384  slot 0: watermark │ state, index, first id, created, … │ record A │ record B     4 lines each
 *        …
 *        data of slot 0, slot 1, …, each from a multiple of 4,096
 *        batch marks of slot 0, slot 1, …: see `BatchMarks`
 * ```
 */
import { lengthBytes, segmentPayloadBytesMax } from "../format/Limits.ts"
import { layoutFault, versionOf } from "../format/SegmentLayout.ts"
import type { SegmentLayout } from "../format/SegmentLayout.ts"
import type { SealState } from "../format/SegmentSealer.ts"
import { sealStart } from "../format/SegmentSealer.ts"
import { invariant } from "../internal/invariant.ts"
import * as Doorbell from "./Doorbell.ts"

/**
 * The states of a slot.
 */
export const SlotState = { Blank: 0, Active: 1, Full: 2, Spent: 3 } as const

/** Why the maintainer cannot make appended events durable now; 0 if it can. */
export const HeldBack = { None: 0, DiskFull: 1, DiskFailing: 2, HotLimit: 3, MaintainerDown: 4 } as const

/** One of the codes of `HeldBack`. */
export type HeldBack = typeof HeldBack[keyof typeof HeldBack]

const magic = 0x57414c41
const line = 64
const globalLines = 6
const slotLines = 4
const dataAlignment = 4096

const word = {
  magic: 0,
  slots: 1,
  slotBytes: 2,
  version: 3,
  eventSize: 4,
  blockBytesMax: 5,
  walId: 16,
  activeSlot: 32,
  flushAsked: 33,
  work: 34,
  durable: 48,
  flushServed: 49,
  heldBack: 52,
  closedIndex: 64,
  hotLimit: 82,
  // within a slot's control lines
  watermark: 0,
  state: 16,
  segmentIndex: 17,
  record: 18,
  limit: 19,
  continued: 26,
  hasBatches: 27
} as const

/** In units of 8 bytes from the beginning of the buffer. */
const long = {
  durableEventId: 25,
  heldBackSince: 27,
  nextTry: 28,
  closedChain: 33,
  flushNanos: 34,
  hotKnown: 40,
  // within a slot's control lines
  firstEventId: 10,
  createdNanos: 11,
  chainStart: 12,
  recordA: 16,
  recordB: 24
} as const

invariant(
  word.record < 20 && long.firstEventId * 2 >= word.limit + 1 && word.continued >= long.chainStart * 2 + 2,
  "the fields of a slot's second line do not overlap"
)
invariant(long.recordA * 8 === 2 * line && long.recordB * 8 === 3 * line, "a seal record has a line of its own")

/**
 * An arena, as one thread sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Arena {
  readonly buffer: SharedArrayBuffer
  readonly slots: number
  /** The payload bytes of a slot. */
  readonly slotBytes: number
  readonly layout: SegmentLayout
  /** The writer rings it when there is work for the maintainer. */
  readonly work: Doorbell.Doorbell
  /** The maintainer rings it when events became durable, when a slot is blank again, and when events are held back. */
  readonly durable: Doorbell.Doorbell
  readonly words: Int32Array
  readonly longs: BigInt64Array
  readonly doubles: Float64Array
}

/**
 * The sizes of an arena, and the layout of its segments.
 *
 * @since 0.1.0
 * @category models
 */
export interface ArenaOptions {
  /** At least 2: one is filled while the others are written. */
  readonly slots: number
  /** Payload bytes of a segment. */
  readonly slotBytes: number
  readonly layout: SegmentLayout
}

const slotWord = (slot: number, field: number): number => (globalLines + slot * slotLines) * (line / 4) + field
const slotLong = (slot: number, field: number): number => (globalLines + slot * slotLines) * (line / 8) + field
const dataStart = (slots: number): number =>
  Math.ceil((globalLines + slots * slotLines) * line / dataAlignment) * dataAlignment
const slotStride = (slotBytes: number): number => Math.ceil(slotBytes / dataAlignment) * dataAlignment
const batchMarksBytes = (slotBytes: number, layout: SegmentLayout): number =>
  Math.ceil(slotBytes / batchMarkUnit(layout) / line / 8) * line

/**
 * Makes an arena whose slots are all blank.
 */
export const makeUnsafe = (options: ArenaOptions): Arena => {
  const { layout, slotBytes, slots } = options
  invariant(slots >= 2, "an arena has at least 2 slots")
  invariant(slotBytes > 0 && slotBytes <= segmentPayloadBytesMax, `a slot has 1 to ${segmentPayloadBytesMax} bytes`)
  const fault = layoutFault(layout, slotBytes)
  invariant(fault === undefined, `the layout of an arena is one that a reader accepts: ${fault}`)
  const slotsEnd = dataStart(slots) + slots * slotStride(slotBytes)
  const buffer = new SharedArrayBuffer(slotsEnd + slots * batchMarksBytes(slotBytes, layout))
  const words = new Int32Array(buffer)
  words[word.slots] = slots
  words[word.slotBytes] = slotBytes
  words[word.version] = layout.version
  words[word.eventSize] = layout.eventSize
  words[word.blockBytesMax] = layout.blockBytesMax
  words[word.activeSlot] = -1
  for (let slot = 0; slot < slots; slot++) words[slotWord(slot, word.record)] = -1
  Atomics.store(words, word.magic, magic)
  return attach(buffer)
}

/**
 * Attaches to the arena in a buffer that another thread made.
 */
export const attach = (buffer: SharedArrayBuffer): Arena => {
  const words = new Int32Array(buffer)
  invariant(Atomics.load(words, word.magic) === magic, "the buffer holds an arena")
  const constant = (field: number): number => words[field] ?? 0
  return {
    buffer,
    slots: constant(word.slots),
    slotBytes: constant(word.slotBytes),
    layout: {
      version: versionOf(constant(word.version)),
      eventSize: constant(word.eventSize),
      blockBytesMax: constant(word.blockBytesMax)
    },
    work: Doorbell.makeSharedUnsafe(buffer, word.work * 4),
    durable: Doorbell.makeSharedUnsafe(buffer, word.durable * 4),
    words,
    longs: new BigInt64Array(buffer),
    doubles: new Float64Array(buffer)
  }
}

/**
 * Gives the offset of a slot's payload in the arena's buffer; never 0.
 */
export const slotStart = (self: Arena, slot: number): number =>
  dataStart(self.slots) + slot * slotStride(self.slotBytes)

/**
 * Gives a view on all payload bytes of a slot.
 */
export const slotData = (self: Arena, slot: number): Uint8Array =>
  new Uint8Array(self.buffer, slotStart(self, slot), self.slotBytes)

/**
 * There is one batch mark for so many payload bytes. No two events begin in the same ones, since no event is shorter:
 * it has the fixed size, or its length in front.
 */
export const batchMarkUnit = ({ eventSize }: SegmentLayout): number => eventSize === 0 ? lengthBytes : eventSize

/**
 * Gives a view on a slot's batch marks, a bit each.
 */
export const batchMarks = (self: Arena, slot: number): Uint8Array => {
  const bytes = batchMarksBytes(self.slotBytes, self.layout)
  return new Uint8Array(self.buffer, slotStart(self, self.slots) + slot * bytes, bytes)
}

/**
 * Tells whether one of a slot's batch marks is set.
 */
export const hasBatches = (self: Arena, slot: number): boolean =>
  Atomics.load(self.words, slotWord(slot, word.hasBatches)) === 1

/**
 * Writer: one of a slot's batch marks is about to be set.
 */
export const putHasBatchesUnsafe = (self: Arena, slot: number): void => {
  Atomics.store(self.words, slotWord(slot, word.hasBatches), 1)
}

/**
 * Gives the index of a slot's watermark in `words`, for the writer's single store per event.
 */
export const watermarkWord = (slot: number): number => slotWord(slot, word.watermark)

/**
 * Gives the index of a slot's limit in `words`. The writer must not write past the limit. While the slot is active, the
 * limit only becomes lower (format 1: a block that was sealed before it was full takes the room of a full one).
 */
export const limitWord = (slot: number): number => slotWord(slot, word.limit)

/**
 * Maintainer: lowers a slot's limit. It is never raised while the slot is in use.
 */
export const lowerLimitUnsafe = (self: Arena, slot: number, limit: number): void => {
  if (limit < Atomics.load(self.words, limitWord(slot))) Atomics.store(self.words, limitWord(slot), limit)
}

/**
 * Reads the state of a slot, a `SlotState`.
 */
export const stateOf = (self: Arena, slot: number): number => Atomics.load(self.words, slotWord(slot, word.state))

/**
 * Reads how many bytes of a slot's segment the writer has published.
 */
export const watermarkOf = (self: Arena, slot: number): number => Atomics.load(self.words, watermarkWord(slot))

/**
 * Reads the index of the segment in a slot.
 */
export const segmentIndexOf = (self: Arena, slot: number): number =>
  Atomics.load(self.words, slotWord(slot, word.segmentIndex)) >>> 0

/**
 * Reads the id of the first event in a slot.
 */
export const firstEventIdOf = (self: Arena, slot: number): number =>
  self.doubles[slotLong(slot, long.firstEventId)] ?? 0

/**
 * Reads the first event of the oldest segment in memory after this one, or the event that comes next where that has
 * none; `undefined` when there is no such segment, or no recorder.
 */
export const firstEventAfter = (self: Arena, segmentIndex: number): number | undefined => {
  let oldest: { readonly segmentIndex: number; readonly firstEventId: number } | undefined
  for (let slot = 0; slot < self.slots; slot++) {
    const state = stateOf(self, slot)
    const index = segmentIndexOf(self, slot)
    const isRecorded = state === SlotState.Active || state === SlotState.Full
    if (!isRecorded || index <= segmentIndex || index >= (oldest?.segmentIndex ?? Infinity)) continue
    oldest = { segmentIndex: index, firstEventId: firstEventIdOf(self, slot) }
  }
  return oldest?.firstEventId
}

/**
 * Reads when a slot's segment was begun: Unix time in nanoseconds.
 */
export const createdNanosOf = (self: Arena, slot: number): bigint => self.longs[slotLong(slot, long.createdNanos)] ?? 0n

/**
 * Reads the number of the slot that is being filled; -1 while there is none.
 */
export const activeSlot = (self: Arena): number => Atomics.load(self.words, word.activeSlot)

/**
 * The values that an activation stores in a blank slot.
 */
interface Activation {
  readonly segmentIndex: number
  readonly firstEventId: number
  readonly createdNanos: bigint
  /** Of a segment that an earlier run has begun, and whose events are in the slot already. */
  readonly begun?: BegunSegment
}

/**
 * A closed segment, durable in its file, that is continued in a slot.
 */
export interface BegunSegment {
  /** How far its file goes. */
  readonly sealed: SealState
  /** What its chain starts from. */
  readonly chainStart: bigint
  /** Where it ends: see `limitWord`. */
  readonly limit: number
}

/**
 * Writer: activates a blank slot. The fields are stored before the state, and the state before `activeSlot`.
 */
export const activateUnsafe = (self: Arena, slot: number, activation: Activation): void => {
  invariant(stateOf(self, slot) === SlotState.Blank, "only a blank slot is activated")
  const { begun } = activation
  self.words[slotWord(slot, word.segmentIndex)] = activation.segmentIndex
  self.words[slotWord(slot, word.record)] = -1
  self.words[slotWord(slot, word.continued)] = begun === undefined ? 0 : 1
  self.words[limitWord(slot)] = begun?.limit ?? self.slotBytes
  self.doubles[slotLong(slot, long.firstEventId)] = activation.firstEventId
  self.longs[slotLong(slot, long.createdNanos)] = activation.createdNanos
  if (begun !== undefined) {
    putChainStartUnsafe(self, slot, begun.chainStart)
    putSealRecordUnsafe(self, slot, begun.sealed)
  }
  Atomics.store(self.words, watermarkWord(slot), begun?.sealed.sealedBytes ?? 0)
  Atomics.store(self.words, slotWord(slot, word.state), SlotState.Active)
  Atomics.store(self.words, word.activeSlot, slot)
}

/**
 * Writer: hands the active slot over to the maintainer. Its watermark no longer changes.
 */
export const rotateUnsafe = (self: Arena, slot: number): void => {
  Atomics.store(self.words, slotWord(slot, word.state), SlotState.Full)
}

/**
 * Writer: declares that no slot is being filled any more.
 */
export const deactivateUnsafe = (self: Arena): void => {
  Atomics.store(self.words, word.activeSlot, -1)
}

/**
 * Writer: gives back an active slot to which nothing was written.
 */
export const abandonUnsafe = (self: Arena, slot: number): void => {
  Atomics.store(self.words, slotWord(slot, word.state), SlotState.Blank)
}

/**
 * Maintainer: gives back a slot whose segment is durable and closed. The bytes are zeroed before the slot is blank
 * again, so no part of an old event can be published with a new one.
 */
export const giveBackUnsafe = (self: Arena, slot: number): void => {
  Atomics.store(self.words, slotWord(slot, word.state), SlotState.Spent)
  const watermark = watermarkOf(self, slot)
  zero(self, slotStart(self, slot), watermark)
  if (hasBatches(self, slot)) {
    zero(self, batchMarks(self, slot).byteOffset, watermark / batchMarkUnit(self.layout) / 8)
    Atomics.store(self.words, slotWord(slot, word.hasBatches), 0)
  }
  Atomics.store(self.words, slotWord(slot, word.state), SlotState.Blank)
}

/** Eight bytes at a time: filling shared memory byte by byte is seven times slower in V8. */
const zero = (self: Arena, start: number, bytes: number): void => {
  self.doubles.fill(0, start / 8, start / 8 + Math.ceil(bytes / 8))
}

/**
 * Maintainer: finishes giving back the slots that a predecessor was giving back when it died.
 */
export const giveBackSpentUnsafe = (self: Arena): void => {
  for (let slot = 0; slot < self.slots; slot++) {
    if (stateOf(self, slot) === SlotState.Spent) giveBackUnsafe(self, slot)
  }
}

/**
 * Reads how much of a slot is durable; `undefined` if its segment has no seal record yet.
 */
export const sealRecord = (self: Arena, slot: number): SealState | undefined => {
  const selected = Atomics.load(self.words, slotWord(slot, word.record))
  if (selected < 0) return undefined
  const at = slotLong(slot, selected === 0 ? long.recordA : long.recordB)
  const { doubles, longs } = self
  return {
    sealedBytes: doubles[at] ?? 0,
    fileOffset: doubles[at + 1] ?? 0,
    blockCount: doubles[at + 2] ?? 0,
    eventCount: doubles[at + 3] ?? 0,
    chainedChecksum: BigInt.asUintN(64, longs[at + 4] ?? 0n),
    flushNanos: longs[at + 5] ?? 0n
  }
}

/**
 * Maintainer: publishes that `state` is durable.
 */
export const putSealRecordUnsafe = (self: Arena, slot: number, state: SealState): void => {
  const selector = slotWord(slot, word.record)
  const next = Atomics.load(self.words, selector) === 0 ? 1 : 0
  const at = slotLong(slot, next === 0 ? long.recordA : long.recordB)
  self.doubles[at] = state.sealedBytes
  self.doubles[at + 1] = state.fileOffset
  self.doubles[at + 2] = state.blockCount
  self.doubles[at + 3] = state.eventCount
  self.longs[at + 4] = BigInt.asIntN(64, state.chainedChecksum)
  self.longs[at + 5] = state.flushNanos
  Atomics.store(self.words, selector, next)
}

/**
 * Sets the segment that the first one of this run follows, by its index and chain, with the id of the log, the durable
 * position and the time of the last flush. Called once, before the first activation.
 */
export const setOriginUnsafe = (
  self: Arena,
  origin: {
    readonly walId: Uint8Array
    readonly closedIndex: number
    readonly closedChain: bigint
    readonly durableEventId: number
    readonly flushNanos: bigint
  }
): void => {
  new Uint8Array(self.buffer, word.walId * 4, 16).set(origin.walId)
  putClosedUnsafe(self, origin.closedIndex, origin.closedChain)
  putDurableEventIdUnsafe(self, origin.durableEventId)
  Atomics.store(self.longs, long.flushNanos, origin.flushNanos)
}

/**
 * Reads the time of the last flush that was begun: Unix time in nanoseconds.
 */
export const flushNanos = (self: Arena): bigint => Atomics.load(self.longs, long.flushNanos)

/**
 * Maintainer: gives the time of a flush that begins now. It is that of the clock, or, while the clock is behind the
 * last flush because it was set back, one nanosecond after that one. So a later flush always has a later time,
 * whichever executor makes it.
 */
export const nextFlushNanosUnsafe = (self: Arena, nowNanos: bigint): bigint => {
  const last = flushNanos(self)
  const next = nowNanos > last ? nowNanos : last + 1n
  Atomics.store(self.longs, long.flushNanos, next)
  return next
}

/**
 * Gives a copy of the 16 bytes that identify the log in the headers of all its segments.
 */
export const walId = (self: Arena): Uint8Array => new Uint8Array(self.buffer, word.walId * 4, 16).slice()

/**
 * Reads the index of the last segment that was closed and made durable in order, and the chain from which the next one
 * starts. An index of -1 means "none yet", as before index 0.
 */
export const closed = (self: Arena): { readonly index: number; readonly chain: bigint } => ({
  index: Atomics.load(self.words, word.closedIndex),
  chain: BigInt.asUintN(64, Atomics.load(self.longs, long.closedChain))
})

/**
 * Maintainer: publishes that segment `index` is closed. The chain is stored first, so a reader that sees the index sees
 * its chain.
 */
export const putClosedUnsafe = (self: Arena, index: number, chain: bigint): void => {
  Atomics.store(self.longs, long.closedChain, BigInt.asIntN(64, chain))
  Atomics.store(self.words, word.closedIndex, index)
}

/**
 * Reads the chain from which a slot's segment starts. It is stored with the slot, so a step may be repeated after
 * `putClosedUnsafe`.
 */
export const chainStart = (self: Arena, slot: number): bigint =>
  BigInt.asUintN(64, self.longs[slotLong(slot, long.chainStart)] ?? 0n)

/**
 * Maintainer: sets the value that `chainStart` reads.
 */
export const putChainStartUnsafe = (self: Arena, slot: number, chain: bigint): void => {
  self.longs[slotLong(slot, long.chainStart)] = BigInt.asIntN(64, chain)
}

/**
 * Tells whether the file of a slot's segment is still the closed one that an earlier run has left: it holds durably
 * what the seal record says, and nothing else.
 */
export const isAsFound = (self: Arena, slot: number): boolean =>
  Atomics.load(self.words, slotWord(slot, word.continued)) === 1

/**
 * Maintainer: the file of a slot's segment is about to be replaced.
 */
export const replacedUnsafe = (self: Arena, slot: number): void => {
  Atomics.store(self.words, slotWord(slot, word.continued), 0)
}

/**
 * Gives the state from which sealing continues: the durable record, or the start of the segment.
 */
export const sealStateOf = (self: Arena, slot: number): SealState =>
  sealRecord(self, slot) ?? sealStart(self.layout.version, chainStart(self, slot))

/**
 * Reads the durable position: every event up to this id is durable. It never decreases.
 */
export const durableEventId = (self: Arena): number => Number(Atomics.load(self.longs, long.durableEventId))

/**
 * Maintainer: raises the durable position.
 */
export const putDurableEventIdUnsafe = (self: Arena, id: number): void => {
  Atomics.store(self.longs, long.durableEventId, BigInt(id))
}

/**
 * Writer: asks the maintainer to make durable everything up to the watermark, and rings `work`.
 */
export const askFlushUnsafe = (self: Arena): void => {
  Atomics.add(self.words, word.flushAsked, 1)
  Doorbell.ringUnsafe(self.work)
}

/**
 * Reads how often a flush was asked for. The maintainer reads it before the watermark and passes it to
 * `flushServedUnsafe` after the flush.
 */
export const flushAsked = (self: Arena): number => Atomics.load(self.words, word.flushAsked)

/**
 * Tells whether a flush was asked for and is not done yet.
 */
export const flushPending = (self: Arena): boolean => flushAsked(self) !== Atomics.load(self.words, word.flushServed)

/**
 * Maintainer: publishes that every flush asked for up to `asked` is done.
 */
export const flushServedUnsafe = (self: Arena, asked: number): void => {
  Atomics.store(self.words, word.flushServed, asked)
}

/**
 * Reads why appended events cannot be made durable now, as a code of `HeldBack`.
 */
export const heldBack = (self: Arena): number => Atomics.load(self.words, word.heldBack)

/**
 * Reads why appended events cannot be made durable now, since when, and when it is tried again, in milliseconds of
 * elapsed time; 0 where that does not apply.
 */
export const holdUp = (
  self: Arena
): { readonly code: number; readonly sinceElapsed: number; readonly nextElapsed: number } => ({
  code: heldBack(self),
  sinceElapsed: self.doubles[long.heldBackSince] ?? 0,
  nextElapsed: self.doubles[long.nextTry] ?? 0
})

/**
 * Maintainer: publishes why events cannot be made durable now; `HeldBack.None` when they can again. `nowElapsed` and
 * `nextElapsed` are this moment and the next attempt, in milliseconds of elapsed time. Rings `durable` when the code
 * changes, and again at every further failure, so that a caller that begins a commit meanwhile learns of it at the next
 * attempt.
 */
export const putHeldBackUnsafe = (self: Arena, code: HeldBack, nowElapsed = 0, nextElapsed = 0): void => {
  if (code !== HeldBack.None) {
    if (heldBack(self) === HeldBack.None) self.doubles[long.heldBackSince] = nowElapsed
    self.doubles[long.nextTry] = nextElapsed
  }
  const before = Atomics.exchange(self.words, word.heldBack, code)
  if (before !== code || code !== HeldBack.None) Doorbell.ringUnsafe(self.durable)
}

/**
 * Retention: publishes how many hot segments have an index up to `throughIndex`, and how many are allowed (0: any
 * number).
 */
export const putHotSegmentsUnsafe = (self: Arena, count: number, throughIndex: number, limit: number): void => {
  Atomics.store(self.words, word.hotLimit, limit)
  Atomics.store(self.longs, long.hotKnown, (BigInt(throughIndex + 1) << 20n) | BigInt(count))
}

/**
 * Tells whether a file for segment `index` may be created without exceeding the limit of hot segments. Counted are the
 * segments that retention knows, and those begun since.
 */
export const mayOpenHot = (self: Arena, index: number): boolean => {
  const limit = Atomics.load(self.words, word.hotLimit)
  if (limit === 0) return true
  const packed = Atomics.load(self.longs, long.hotKnown)
  const count = Number(packed & 0xfffffn)
  const known = Number(packed >> 20n) - 1
  return count + Math.max(0, index - known) <= limit
}
