/**
 * A ring of bytes in shared memory that carries events from one thread, the producer, to another, the consumer. The
 * producer copies events in and never waits. The consumer reads them in order, in place, and gives their room back.
 *
 * ```text
 *     0  constants    magic, capacity, fewest and most bytes of an event
 *    64  producer     head: bytes ever put in (mod 2^32), commits asked for, data doorbell, refusals told
 *   128  consumer     tail: bytes ever taken out, commits answered, failure code, space doorbell, refusals and the code
 *                     of the last one, whether it has ended
 *   192  data         capacity bytes, a power of two
 *
 *   record = u32 length + bytes, padded to 4; a length of 0xFFFFFFFF skips to the beginning of the ring
 * ```
 *
 * Positions count bytes modulo 2^32 and are compared by their difference, so they may wrap. Head is stored after the
 * bytes of a record, tail after they were read.
 *
 * Positions are multiples of four, so the lowest bit of head is free: the consumer sets it to close the ring. The
 * producer moves head by compare-and-exchange. So an event is either in front of the end that the consumer sees when it
 * closes, or it was not put in.
 */
import { invariant } from "../internal/invariant.ts"
import * as Doorbell from "./Doorbell.ts"

const magic = 0x42524e47
const skipMark = 0xffff_ffff
const lineWords = 16
const dataStart = 3 * lineWords * 4
const closedBit = 1
/** The most bytes that a record has beside those of its event. */
const overheadBytes = 8

const at = {
  magic: 0,
  capacity: 1,
  eventBytesMin: 2,
  eventBytesMax: 3,
  head: lineWords,
  commitsAsked: lineWords + 1,
  data: lineWords + 2,
  refusalsTold: lineWords + 3,
  tail: 2 * lineWords,
  commitsAnswered: 2 * lineWords + 1,
  failure: 2 * lineWords + 2,
  space: 2 * lineWords + 3,
  refusals: 2 * lineWords + 4,
  refusalCode: 2 * lineWords + 5,
  hasEnded: 2 * lineWords + 6
} as const

/** A byte ring, as one thread sees it. */
export interface ByteRing {
  readonly buffer: SharedArrayBuffer
  readonly capacityBytes: number
  /** The smallest event that the consumer takes, in bytes. */
  readonly eventBytesMin: number
  /** The largest event that the consumer takes and that always fits into an empty ring, in bytes. */
  readonly eventBytesMax: number
  /** Whether `eventBytesMax` is what the ring has room for, and not what the consumer takes. */
  readonly limitsEvents: boolean
  /** The producer rings it when there are events, or when it asks for a commit. */
  readonly data: Doorbell.Doorbell
  /** The consumer rings it when there is room, or when it has answered a commit. */
  readonly space: Doorbell.Doorbell
  readonly words: Int32Array
  readonly bytes: Uint8Array
  readonly view: DataView
}

/** The largest capacity, in bytes: positions must stay comparable modulo 2^32. */
export const capacityBytesMax = 2 ** 30

/** Which events a consumer takes, in bytes. */
interface EventSizes {
  readonly eventBytesMin: number
  readonly eventBytesMax: number
}

/** The largest event that always fits: wherever head is, the longer of the two stretches has half of the bytes. */
const roomOf = (capacityBytes: number): number => capacityBytes / 2 - overheadBytes

/**
 * Makes an empty ring for events of these sizes. The capacity is rounded up to a power of two of at least 4 KiB, and
 * has room for the smallest of the events at least.
 */
export const makeUnsafe = (capacityBytes: number, { eventBytesMax, eventBytesMin }: EventSizes): ByteRing => {
  const capacity = 2 ** Math.ceil(Math.log2(Math.max(4096, capacityBytes, 2 * (eventBytesMin + overheadBytes))))
  invariant(capacity <= capacityBytesMax, "a byte ring has at most 1 GiB")
  const buffer = new SharedArrayBuffer(dataStart + capacity)
  const words = new Int32Array(buffer)
  words[at.capacity] = capacity
  words[at.eventBytesMin] = eventBytesMin
  words[at.eventBytesMax] = Math.min(eventBytesMax, roomOf(capacity))
  Atomics.store(words, at.magic, magic)
  return attach(buffer)
}

/** Attaches to the ring in a buffer that another thread made. */
export const attach = (buffer: SharedArrayBuffer): ByteRing => {
  const words = new Int32Array(buffer)
  invariant(Atomics.load(words, at.magic) === magic, "the buffer holds a byte ring")
  const capacityBytes = words[at.capacity] ?? 0
  return {
    buffer,
    capacityBytes,
    eventBytesMin: words[at.eventBytesMin] ?? 0,
    eventBytesMax: words[at.eventBytesMax] ?? 0,
    limitsEvents: words[at.eventBytesMax] === roomOf(capacityBytes),
    data: Doorbell.makeSharedUnsafe(buffer, at.data * 4),
    space: Doorbell.makeSharedUnsafe(buffer, at.space * 4),
    words,
    bytes: new Uint8Array(buffer, dataStart),
    view: new DataView(buffer, dataStart)
  }
}

const padded = (length: number): number => 4 + Math.ceil(length / 4) * 4

/**
 * Producer: copies an event in. Returns `false` if there is no room now, or if the ring is closed; then nothing has
 * changed. The event has one of the sizes that the consumer takes.
 */
export const putUnsafe = (self: ByteRing, event: Uint8Array): boolean => {
  const { capacityBytes, words } = self
  const record = padded(event.length)
  const before = Atomics.load(words, at.head)
  if ((before & closedBit) !== 0) return false
  const head = before >>> 0
  const used = (head - Atomics.load(words, at.tail)) >>> 0
  const offset = head & (capacityBytes - 1)
  const contiguous = capacityBytes - offset
  const skip = record > contiguous ? contiguous : 0
  if (used + skip + record > capacityBytes) return false
  if (skip > 0) self.view.setUint32(offset, skipMark, true)
  const start = skip > 0 ? 0 : offset
  self.view.setUint32(start, event.length, true)
  self.bytes.set(event, start + 4)
  return Atomics.compareExchange(words, at.head, before, (head + skip + record) | 0) === before
}

/** Consumer: closes the ring; no event comes in from now on. */
export const closeUnsafe = (self: ByteRing): void => {
  Atomics.or(self.words, at.head, closedBit)
}

/** Whether the ring is closed. */
export const isClosed = (self: ByteRing): boolean => (Atomics.load(self.words, at.head) & closedBit) !== 0

/** Returns the number of bytes ever put in, modulo 2^32. */
export const headUnsafe = (self: ByteRing): number => (Atomics.load(self.words, at.head) & ~closedBit) >>> 0

/** Producer: asks the consumer to make durable everything that was put in. Returns the number of the request. */
export const askCommitUnsafe = (self: ByteRing): number => {
  const request = Atomics.add(self.words, at.commitsAsked, 1) + 1
  Doorbell.ringUnsafe(self.data)
  return request | 0
}

/**
 * Producer: returns the answer to a request: `undefined` while it is open, 0 if it succeeded, otherwise a failure code.
 */
export const commitAnswer = (self: ByteRing, request: number): number | undefined => {
  if (((Atomics.load(self.words, at.commitsAnswered) - request) | 0) < 0) return undefined
  return Atomics.load(self.words, at.failure)
}

/**
 * Consumer: returns a view on the oldest event; `undefined` if there is none in front of `end`, which `headUnsafe` gave
 * before. The view is valid until `takeUnsafe`.
 */
export const peekUnsafe = (self: ByteRing, end: number): Uint8Array | undefined => {
  const { capacityBytes, words } = self
  let tail = Atomics.load(words, at.tail) >>> 0
  if (tail === end) return undefined
  let offset = tail & (capacityBytes - 1)
  let length = self.view.getUint32(offset, true)
  if (length === skipMark) {
    tail = (tail + capacityBytes - offset) >>> 0
    Atomics.store(words, at.tail, tail | 0)
    offset = 0
    length = self.view.getUint32(0, true)
  }
  return self.bytes.subarray(offset + 4, offset + 4 + length)
}

/** Consumer: gives the room of the oldest event back. `length` is that of the view from `peekUnsafe`. */
export const takeUnsafe = (self: ByteRing, length: number): void => {
  Atomics.store(self.words, at.tail, (Atomics.load(self.words, at.tail) + padded(length)) | 0)
}

/** Consumer: returns how many commits were ever asked for. The consumer reads it before it takes the events. */
export const commitsAsked = (self: ByteRing): number => Atomics.load(self.words, at.commitsAsked)

/** Tells whether a commit waits for an answer. */
export const hasOpenCommit = (self: ByteRing): boolean =>
  Atomics.load(self.words, at.commitsAnswered) !== commitsAsked(self)

/** Consumer: answers every commit up to the request, with 0 for success or a failure code. */
export const answerCommitUnsafe = (self: ByteRing, request: number, failure: number): void => {
  Atomics.store(self.words, at.failure, failure)
  Atomics.store(self.words, at.commitsAnswered, request)
  Doorbell.ringUnsafe(self.space)
}

/** Consumer: notes that an event was taken out and refused, with a code above 0. */
export const noteRefusalUnsafe = (self: ByteRing, code: number): void => {
  Atomics.store(self.words, at.refusalCode, code)
  Atomics.add(self.words, at.refusals, 1)
}

/**
 * Producer: returns how many events were refused since it asked before, and the code of the last one; `undefined` when
 * none were.
 */
export const newRefusalsUnsafe = (self: ByteRing): { readonly count: number; readonly code: number } | undefined => {
  const refusals = Atomics.load(self.words, at.refusals)
  const count = (refusals - Atomics.exchange(self.words, at.refusalsTold, refusals)) | 0
  return count === 0 ? undefined : { count, code: Atomics.load(self.words, at.refusalCode) }
}

/** Consumer: ends; commits that are open now or come later have no answer. */
export const endUnsafe = (self: ByteRing): void => {
  Atomics.store(self.words, at.hasEnded, 1)
  Doorbell.ringUnsafe(self.space)
}

/** Whether the consumer has ended. The producer asks before it looks for an answer: the answer may come in between. */
export const hasEnded = (self: ByteRing): boolean => Atomics.load(self.words, at.hasEnded) !== 0
