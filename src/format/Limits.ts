/**
 * The limits of both formats, each in one place. A writer asks here what it may write, a reader what it may believe,
 * and a check of options what may be configured. So no writer makes what a reader refuses. docs/FORMAT.md has the same
 * table; a test compares the two.
 */

/** Bytes of every event of format 1. */
export const format1EventBytes = 64

/** The most events of a block of format 1. */
export const format1BlockEvents = 256

/** The most events of a block of format 2: its header counts them in a u16. */
export const format2BlockEvents = 0xffff

/** The largest fixed size of events: the segment header holds it in a u16. */
export const fixedEventBytesMax = 0xffff

/** Bytes of the length in front of an event of variable length. */
export const lengthBytes = 4

/** The largest `block_bytes_max`: it bounds the memory of a reader. */
export const blockPayloadBytesMax = 64 * 1024 * 1024

/** The largest payload of a segment. A slot of the arena holds one, and counts its bytes in a signed 32-bit number. */
export const segmentPayloadBytesMax = 2 ** 30

/**
 * The longest content of a segment: the longest header, and every byte of the largest payload in a block of its own,
 * which takes 64 bytes for its header and 64 for its payload.
 */
export const segmentContentBytesMax = 128 + segmentPayloadBytesMax * 128

/** The longest content in the block form: LZ4 puts no more into one block. A longer segment is frozen as a frame. */
export const blockFormContentBytesMax = 0x7e00_0000

/** The largest event id: JavaScript counts exactly up to it. */
export const eventIdMax = Number.MAX_SAFE_INTEGER

/**
 * The largest segment index. The header holds a u32, the control memory a signed number, with -1 for "none yet".
 */
export const segmentIndexMax = 0x7fff_fffe

/**
 * The latest time that is written into a header: Unix time in nanoseconds, in the year 2262. The header holds a u64,
 * the control memory a signed number.
 */
export const timeNanosMax = 2n ** 63n - 1n

/**
 * The time of a header for this Unix time in milliseconds. A wall clock that stands before 1970 or after the latest
 * time gives the nearest time that a header can hold.
 */
export const timeNanosOf = (millis: number): bigint => {
  const whole = Math.floor(millis)
  if (whole <= 0) return 0n
  const nanos = BigInt(Math.min(whole, Number.MAX_SAFE_INTEGER)) * 1_000_000n
  return nanos < timeNanosMax ? nanos : timeNanosMax
}

/** The time of closing: never 0, which stands for an open segment. */
export const closedNanosOf = (millis: number): bigint => timeNanosOf(Math.max(1, millis))

/**
 * Whether a log can begin a segment with this index and this first event: there is an index for it, and an id for every
 * event that it may get.
 */
export const hasRoomForSegment = (segmentIndex: number, firstEventId: number, eventsMax: number): boolean =>
  segmentIndex <= segmentIndexMax && firstEventId <= eventIdMax + 1 - eventsMax
