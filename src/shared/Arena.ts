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
 *   192  from keeper   durable doorbell, durable event id (u64), flushes served, held-back code
 *   256  keeper alone  last closed segment index, its chain (u64)
 *   320  retention     hot segments known (count and up to which index, one u64), limit of hot segments
 *   384  slot 0: watermark │ state, index, first id, created │ record A │ record B     4 lines each
 *        …
 *        data of slot 0, slot 1, …, each from a multiple of 4,096
 * ```
 */
import type { SealState, SegmentLayout } from "../format/SegmentSealer.ts"
import { sealStart } from "../format/SegmentSealer.ts"
import { invariant } from "../internal/invariant.ts"
import * as Doorbell from "./Doorbell.ts"

/**
 * The states of a slot.
 */
export const SlotState = { Blank: 0, Active: 1, Full: 2, Spent: 3 } as const

/**
 * Why the maintainer cannot make appended events durable at the moment; 0 when it can.
 *
 * @since 0.1.0
 * @category models
 */
export const HeldBack = { None: 0, DiskFull: 1, DiskFailing: 2, HotLimit: 3, MaintainerDown: 4 } as const

/**
 * One of the codes.
 *
 * @since 0.1.0
 * @category models
 */
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
  limit: 19
} as const

/** In units of 8 bytes from the beginning of the buffer. */
const long = {
  durableEventId: 25,
  closedChain: 33,
  hotKnown: 40,
  // within a slot's control lines
  firstEventId: 10,
  createdNanos: 11,
  chainStart: 12,
  recordA: 16,
  recordB: 24
} as const

invariant(
  word.record < 20 && long.firstEventId * 2 >= word.limit + 1,
  "the fields of a slot's second line do not overlap"
)
invariant(long.recordA * 8 === 2 * line && long.recordB * 8 === 3 * line, "a seal record has a line of its own")

/**
 * The largest slot, in bytes: watermarks are signed 32-bit numbers.
 */
export const slotBytesLimit = 1024 * 1024 * 1024

/**
 * An arena as one thread sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Arena {
  readonly buffer: SharedArrayBuffer
  readonly slots: number
  /** Payload bytes that a slot has room for. */
  readonly slotBytes: number
  readonly layout: SegmentLayout
  /** Rung by the writer: there is something to do. */
  readonly work: Doorbell.Doorbell
  /** Rung by the maintainer: something became durable, a slot is blank again, or events are held back. */
  readonly durable: Doorbell.Doorbell
  readonly words: Int32Array
  readonly longs: BigInt64Array
  readonly doubles: Float64Array
}

/**
 * What an arena is made of.
 *
 * @since 0.1.0
 * @category models
 */
export interface ArenaOptions {
  /** 2 or more: one is filled while the others are written. */
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

/**
 * A new arena, all slots blank.
 */
export const makeUnsafe = (options: ArenaOptions): Arena => {
  const { layout, slotBytes, slots } = options
  invariant(slots >= 2, "an arena has at least 2 slots")
  invariant(slotBytes > 0 && slotBytes <= slotBytesLimit, `a slot has 1 to ${slotBytesLimit} bytes`)
  const buffer = new SharedArrayBuffer(dataStart(slots) + slots * slotStride(slotBytes))
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
 * The arena in a buffer that another thread made.
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
      version: constant(word.version) === 1 ? 1 : 2,
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
 * Where the payload of a slot begins in the arena's buffer; never 0.
 */
export const slotStart = (self: Arena, slot: number): number =>
  dataStart(self.slots) + slot * slotStride(self.slotBytes)

/**
 * The payload bytes of a slot, all of them.
 */
export const slotData = (self: Arena, slot: number): Uint8Array =>
  new Uint8Array(self.buffer, slotStart(self, slot), self.slotBytes)

/**
 * Where a slot's watermark lies in `words`, for the writer's single store per event.
 */
export const watermarkWord = (slot: number): number => slotWord(slot, word.watermark)

/**
 * Where a slot's limit lies in `words`: the writer must not go beyond it. It only ever shrinks while the slot is active
 * (format 1: a block that was sealed short takes the room of a whole one).
 */
export const limitWord = (slot: number): number => slotWord(slot, word.limit)

/**
 * Maintainer: lowers a slot's limit; it is never raised while the slot is in use.
 */
export const lowerLimitUnsafe = (self: Arena, slot: number, limit: number): void => {
  if (limit < Atomics.load(self.words, limitWord(slot))) Atomics.store(self.words, limitWord(slot), limit)
}

/**
 * A `SlotState`.
 */
export const stateOf = (self: Arena, slot: number): number => Atomics.load(self.words, slotWord(slot, word.state))

/**
 * Bytes of a slot's segment that the writer has published.
 */
export const watermarkOf = (self: Arena, slot: number): number => Atomics.load(self.words, watermarkWord(slot))

/**
 * The index of the segment in a slot.
 */
export const segmentIndexOf = (self: Arena, slot: number): number =>
  Atomics.load(self.words, slotWord(slot, word.segmentIndex)) >>> 0

/**
 * The id of the first event in a slot.
 */
export const firstEventIdOf = (self: Arena, slot: number): number =>
  self.doubles[slotLong(slot, long.firstEventId)] ?? 0

/**
 * When a slot's segment was begun: Unix time in nanoseconds.
 */
export const createdNanosOf = (self: Arena, slot: number): bigint => self.longs[slotLong(slot, long.createdNanos)] ?? 0n

/**
 * The slot that is being filled; -1 while there is none.
 */
export const activeSlot = (self: Arena): number => Atomics.load(self.words, word.activeSlot)

/**
 * What an activation puts into a blank slot.
 */
export interface Activation {
  readonly segmentIndex: number
  readonly firstEventId: number
  readonly createdNanos: bigint
}

/**
 * Writer: takes a blank slot into use. The fields are stored before the state, and the state before `activeSlot`.
 */
export const activateUnsafe = (self: Arena, slot: number, activation: Activation): void => {
  invariant(stateOf(self, slot) === SlotState.Blank, "only a blank slot is activated")
  self.words[slotWord(slot, word.segmentIndex)] = activation.segmentIndex
  self.words[slotWord(slot, word.record)] = -1
  self.words[limitWord(slot)] = self.slotBytes
  self.doubles[slotLong(slot, long.firstEventId)] = activation.firstEventId
  self.longs[slotLong(slot, long.createdNanos)] = activation.createdNanos
  Atomics.store(self.words, watermarkWord(slot), 0)
  Atomics.store(self.words, slotWord(slot, word.state), SlotState.Active)
  Atomics.store(self.words, word.activeSlot, slot)
}

/**
 * Writer: hands the active slot over; its watermark stands still from here on.
 */
export const rotateUnsafe = (self: Arena, slot: number): void => {
  Atomics.store(self.words, slotWord(slot, word.state), SlotState.Full)
}

/**
 * Writer: no slot is being filled any more.
 */
export const deactivateUnsafe = (self: Arena): void => {
  Atomics.store(self.words, word.activeSlot, -1)
}

/**
 * Writer: gives an active slot back that was never written to.
 */
export const abandonUnsafe = (self: Arena, slot: number): void => {
  Atomics.store(self.words, slotWord(slot, word.state), SlotState.Blank)
}

/**
 * Maintainer: the segment of this slot is durable and closed. The bytes are zeroed before the slot is blank again, so
 * nothing of an old event can be published with a new one.
 */
export const giveBackUnsafe = (self: Arena, slot: number): void => {
  Atomics.store(self.words, slotWord(slot, word.state), SlotState.Spent)
  // Eight bytes at a time: filling shared memory byte by byte is seven times slower in V8.
  const firstLong = slotStart(self, slot) / 8
  self.doubles.fill(0, firstLong, firstLong + Math.ceil(watermarkOf(self, slot) / 8))
  Atomics.store(self.words, slotWord(slot, word.state), SlotState.Blank)
}

/**
 * Maintainer: finishes the giving back of slots that a predecessor left half-way.
 */
export const giveBackSpentUnsafe = (self: Arena): void => {
  for (let slot = 0; slot < self.slots; slot++) {
    if (stateOf(self, slot) === SlotState.Spent) giveBackUnsafe(self, slot)
  }
}

/**
 * How much of a slot is durable; `undefined` when its file was never completed.
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
    chainedChecksum: BigInt.asUintN(64, longs[at + 4] ?? 0n)
  }
}

/**
 * Maintainer: `state` is durable.
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
  Atomics.store(self.words, selector, next)
}

/**
 * The segment that the first one of this run follows: its index and chain. Called once, before the first activation.
 */
export const setOriginUnsafe = (
  self: Arena,
  origin: {
    readonly walId: Uint8Array
    readonly closedIndex: number
    readonly closedChain: bigint
    readonly durableEventId: number
  }
): void => {
  new Uint8Array(self.buffer, word.walId * 4, 16).set(origin.walId)
  putClosedUnsafe(self, origin.closedIndex, origin.closedChain)
  putDurableEventIdUnsafe(self, origin.durableEventId)
}

/**
 * The 16 bytes that name the log, in every header of its segments. A copy.
 */
export const walId = (self: Arena): Uint8Array => new Uint8Array(self.buffer, word.walId * 4, 16).slice()

/**
 * The last segment that was closed and made durable in order, and the chain the next one starts from. An index of -1
 * stands for "none yet", as before index 0.
 */
export const closed = (self: Arena): { readonly index: number; readonly chain: bigint } => ({
  index: Atomics.load(self.words, word.closedIndex),
  chain: BigInt.asUintN(64, Atomics.load(self.longs, long.closedChain))
})

/**
 * Maintainer: segment `index` is closed; the chain is stored first, so whoever sees the index sees its chain.
 */
export const putClosedUnsafe = (self: Arena, index: number, chain: bigint): void => {
  Atomics.store(self.longs, long.closedChain, BigInt.asIntN(64, chain))
  Atomics.store(self.words, word.closedIndex, index)
}

/**
 * The chain that a slot's segment starts from: kept with the slot, so a step may be repeated after `putClosedUnsafe`.
 */
export const chainStart = (self: Arena, slot: number): bigint =>
  BigInt.asUintN(64, self.longs[slotLong(slot, long.chainStart)] ?? 0n)

/**
 * Maintainer: sets what `chainStart` reads.
 */
export const putChainStartUnsafe = (self: Arena, slot: number, chain: bigint): void => {
  self.longs[slotLong(slot, long.chainStart)] = BigInt.asIntN(64, chain)
}

/**
 * The state to go on sealing from: the durable record, or the start of the segment.
 */
export const sealStateOf = (self: Arena, slot: number): SealState =>
  sealRecord(self, slot) ?? sealStart(self.layout.version, chainStart(self, slot))

/**
 * Every event up to this id is durable. Never goes backwards.
 */
export const durableEventId = (self: Arena): number => Number(Atomics.load(self.longs, long.durableEventId))

/**
 * Maintainer: raises the durable position.
 */
export const putDurableEventIdUnsafe = (self: Arena, id: number): void => {
  Atomics.store(self.longs, long.durableEventId, BigInt(id))
}

/**
 * Writer: asks for everything up to the watermark to be made durable, and says so at the door.
 */
export const askFlushUnsafe = (self: Arena): void => {
  Atomics.add(self.words, word.flushAsked, 1)
  Doorbell.ringUnsafe(self.work)
}

/**
 * How often a flush was asked for, read before the watermark, to be given to `flushServedUnsafe` afterwards.
 */
export const flushAsked = (self: Arena): number => Atomics.load(self.words, word.flushAsked)

/**
 * Whether a flush that was asked for is still to come.
 */
export const flushPending = (self: Arena): boolean => flushAsked(self) !== Atomics.load(self.words, word.flushServed)

/**
 * Maintainer: what was asked for up to then is done.
 */
export const flushServedUnsafe = (self: Arena, asked: number): void => {
  Atomics.store(self.words, word.flushServed, asked)
}

/**
 * A code of `HeldBack`: why appended events cannot be made durable now.
 */
export const heldBack = (self: Arena): number => Atomics.load(self.words, word.heldBack)

/**
 * Maintainer: why events cannot be made durable now; `HeldBack.None` when they can again. Rings when it changes and at
 * every further failure, so a committer who comes while it lasts is told by the next attempt.
 */
export const putHeldBackUnsafe = (self: Arena, code: HeldBack): void => {
  const before = Atomics.exchange(self.words, word.heldBack, code)
  if (before !== code || code !== HeldBack.None) Doorbell.ringUnsafe(self.durable)
}

/**
 * Retention: how many hot segments there are with an index up to `throughIndex`, and how many there may be (0: any
 * number).
 */
export const putHotSegmentsUnsafe = (self: Arena, count: number, throughIndex: number, limit: number): void => {
  Atomics.store(self.words, word.hotLimit, limit)
  Atomics.store(self.longs, long.hotKnown, (BigInt(throughIndex + 1) << 20n) | BigInt(count))
}

/**
 * Whether a file for segment `index` may be made without exceeding the limit of hot segments: those that retention
 * knows, and those begun since.
 */
export const mayOpenHot = (self: Arena, index: number): boolean => {
  const limit = Atomics.load(self.words, word.hotLimit)
  if (limit === 0) return true
  const packed = Atomics.load(self.longs, long.hotKnown)
  const count = Number(packed & 0xfffffn)
  const known = Number(packed >> 20n) - 1
  return count + Math.max(0, index - known) <= limit
}
