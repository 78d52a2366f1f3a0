/**
 * A bounded ring of tasks in shared memory, for one producer and many consumers in any threads. A task is four
 * integers. Offering and polling allocate nothing, take no lock and never wait for another thread.
 *
 * ```
 * byte 0                64              128             192                     192 + 64 * consumersMax
 * +---------------------+---------------+---------------+-----------------------+------------------------+
 * | control             | head          | tail          | claims, 64 bytes each | cells, 32 bytes each   |
 * +---------------------+---------------+---------------+-----------------------+------------------------+
 *   u32 capacity          u32 position    u32 position    one a consumer          one a place, `capacity` of them
 *   u32 consumersMax
 *   i32 0 open, 1 ended, 2 shut down
 *
 * cell and claim (the claim's last 32 bytes are padding)
 * +0 i32 stamp   +4 u32 segmentIndex   +8 i32 slot   +12 zero   +16 f64 bytes   +24 f64 offeredAtMillis
 *
 * stamp of a cell    bits 31..8 lap   bits 7..0 state: 0 free, 1 ready, 2 + c taken by consumer c
 * stamp of a claim   0 nothing, 1 a task that was taken and is not complete
 * ```
 *
 * A position counts tasks modulo 2^32: its cell is `position mod capacity`, its lap `position div capacity`. For every
 * position the stamp of its cell goes through these steps and no others, so zeroed memory is an empty ring:
 *
 * ```
 * free(lap)     ──producer writes the task──► ready(lap) ──CAS by consumer c──► taken(lap, c)
 * taken(lap, c) ──copied to c's claim──► free(lap + 1)
 * ```
 *
 * 1. Only the CAS takes, and it names the taker. So a task has exactly one owner, and memory says who.
 * 2. The producer writes only to a free cell. So it cannot overwrite a task that was taken and is not yet copied.
 * 3. The owner copies the task into its claim before it frees the cell, and clears the claim when the task is done. So
 *    at every instant between taking and completing, the task is in a cell that names its owner, or in the owner's
 *    claim, or both. `claimUnsafe` finds it there when the owner has died, at whatever step. A claim that another
 *    consumer's success made void does not exist: there is no claim before the CAS.
 * 4. Head says where to look first. It moves only past positions that were taken; whoever finds it behind moves it on,
 *    so a consumer that dies between taking and moving it stops nobody. A cell that is still taken from the lap before
 *    has not been offered again: there head stays.
 * 5. Tail belongs to the producer, so it is a plain word; others read it only to report a size. If the producer dies
 *    between publishing a task and moving tail, its successor sees that the cell is already ahead.
 *
 * Only stamps order memory, so only they must be read atomically (an atomic read is a call of about 8 ns). The phase
 * and head are read plainly where a task is offered or polled: a head that is read late is behind, and the stamp found
 * there says so.
 *
 * A cell taken by a dead consumer stays taken until its claim is recovered; the producer then finds the ring full at
 * the latest one lap later.
 *
 * Limits: a consumer that sleeps between two of its instructions while exactly a multiple of 2^32 tasks pass could move
 * head past a ready task. Nothing else depends on the width of the counters.
 */
import { invariant } from "../internal/invariant.ts"

/**
 * What a ring carries. `segmentIndex` is a u32; `slot` an i32, -1 if the task has no slot; `bytes` and
 * `offeredAtMillis` (elapsed time, which no one sets) are safe non-negative integers.
 *
 * @since 0.1.0
 * @category models
 */
export interface Task {
  readonly segmentIndex: number
  readonly slot: number
  readonly bytes: number
  readonly offeredAtMillis: number
}

/**
 * A task record that `pollUnsafe` and `claimUnsafe` fill repeatedly. Its numbers begin as NaN: so V8 keeps
 * their fields as doubles and fills them in place. A field that begins as a small integer would get a new number object
 * for every task.
 */
export class TaskRecord implements Task {
  segmentIndex = Number.NaN
  slot = -1
  bytes = Number.NaN
  offeredAtMillis = Number.NaN
}

/** A ring, as one thread sees it. */
export interface TaskRing {
  readonly buffer: SharedArrayBuffer
  readonly byteOffset: number
  readonly capacity: number
  readonly consumersMax: number
  /** @internal */
  readonly words: Int32Array
  /** @internal */
  readonly numbers: Float64Array
  /** @internal */
  readonly mask: number
  /** @internal log2 of the capacity */
  readonly shift: number
  /** @internal where the first cell begins, in words */
  readonly cellsAt: number
}

/**
 * The offsets and sizes of a ring's parts, in 32-bit words from its beginning.
 *
 * @internal
 */
export const layout = {
  capacityAt: 0,
  consumersMaxAt: 1,
  phaseAt: 2,
  headAt: 16,
  tailAt: 32,
  claimsAt: 48,
  claimWords: 16,
  cellWords: 8
} as const

const { capacityAt, cellWords, claimsAt, claimWords, consumersMaxAt, headAt, phaseAt, tailAt } = layout

const stateMask = 0xff
const stateReady = 1
const stateTakenBy = 2

const phaseOpen = 0
const phaseEnded = 1
const phaseShutDown = 2

const claimNone = 0
const claimHeld = 1

/**
 * The largest number of consumers of one ring: the state of a cell is one byte, of which two values mean free and
 * ready.
 */
const consumersLimit = 254

/**
 * The largest capacity of a ring.
 */
const capacityLimit = 2 ** 20

const checkSizes = (capacity: number, consumersMax: number): void => {
  invariant(
    Number.isInteger(capacity) && capacity >= 1 && capacity <= capacityLimit && (capacity & (capacity - 1)) === 0,
    "a ring's capacity is a power of two from 1 to 2^20"
  )
  invariant(
    Number.isInteger(consumersMax) && consumersMax >= 1 && consumersMax <= consumersLimit,
    "a ring has 1 to 254 consumers"
  )
}

/** Computes the bytes that a ring takes in shared memory; a multiple of 32. */
export const bytesNeeded = (capacity: number, consumersMax: number): number => {
  checkSizes(capacity, consumersMax)
  return 4 * (claimsAt + claimWords * consumersMax + cellWords * capacity)
}

/**
 * Lays out an empty ring in zeroed memory. `byteOffset` should be a multiple of 64, so that head, tail and claims have
 * cache lines of their own.
 */
export const makeUnsafe = (
  buffer: SharedArrayBuffer,
  byteOffset: number,
  options: { readonly capacity: number; readonly consumersMax: number }
): TaskRing => {
  checkSizes(options.capacity, options.consumersMax)
  const control = new Int32Array(buffer, byteOffset, claimsAt)
  control[consumersMaxAt] = options.consumersMax
  Atomics.store(control, capacityAt, options.capacity)
  return attach(buffer, byteOffset)
}

/** Attaches to the ring that `makeUnsafe` has laid out at `byteOffset`, for use from this thread. */
export const attach = (buffer: SharedArrayBuffer, byteOffset: number): TaskRing => {
  invariant(byteOffset % 8 === 0, "a ring lies at a multiple of 8 bytes")
  const control = new Int32Array(buffer, byteOffset, claimsAt)
  const capacity = Atomics.load(control, capacityAt)
  const consumersMax = control[consumersMaxAt]!
  const byteLength = bytesNeeded(capacity, consumersMax)
  return {
    buffer,
    byteOffset,
    capacity,
    consumersMax,
    words: new Int32Array(buffer, byteOffset, byteLength / 4),
    numbers: new Float64Array(buffer, byteOffset, byteLength / 8),
    mask: capacity - 1,
    shift: Math.log2(capacity),
    cellsAt: claimsAt + claimWords * consumersMax
  }
}

// A free cell's stamp is its lap alone. The lap of `position + capacity` is taken from the wrapped position, not by
// adding one: laps wrap where positions do.
const freeStamp = (self: TaskRing, position: number): number => (position >>> self.shift) << 8

const cellAt = (self: TaskRing, position: number): number => self.cellsAt + (position & self.mask) * cellWords

const claimAt = (consumer: number): number => claimsAt + consumer * claimWords

const readTask = (self: TaskRing, at: number, out: TaskRecord): void => {
  const numbersAt = (at >> 1) + 2
  out.segmentIndex = self.words[at + 1]! >>> 0
  out.slot = self.words[at + 2]!
  out.bytes = self.numbers[numbersAt]!
  out.offeredAtMillis = self.numbers[numbersAt + 1]!
}

const writeTask = (
  self: TaskRing,
  at: number,
  segmentIndex: number,
  slot: number,
  bytes: number,
  offeredAtMillis: number
): void => {
  const numbersAt = (at >> 1) + 2
  self.words[at + 1] = segmentIndex
  self.words[at + 2] = slot
  self.numbers[numbersAt] = bytes
  self.numbers[numbersAt + 1] = offeredAtMillis
}

// Tells whether the cell of `position` still belongs to the lap before: its last task was not taken, or not yet copied.
const isLapBehind = (self: TaskRing, position: number, stamp: number): boolean =>
  (stamp & ~stateMask) === freeStamp(self, (position - self.capacity) | 0)

/**
 * Puts a task into the ring. Returns `false` if the ring is full, ended or shut down. Only one thread, the producer,
 * calls this.
 */
export const offerUnsafe = (
  self: TaskRing,
  segmentIndex: number,
  slot: number,
  bytes: number,
  offeredAtMillis: number
): boolean => {
  const words = self.words
  if (words[phaseAt] !== phaseOpen) return false
  while (true) {
    const tail = words[tailAt]!
    const cell = cellAt(self, tail)
    const free = freeStamp(self, tail)
    const stamp = Atomics.load(words, cell)
    if (stamp === free) {
      writeTask(self, cell, segmentIndex, slot, bytes, offeredAtMillis)
      Atomics.store(words, cell, free | stateReady)
      words[tailAt] = (tail + 1) | 0
      return true
    }
    if (isLapBehind(self, tail, stamp)) return false
    words[tailAt] = (tail + 1) | 0
  }
}

/**
 * Takes the oldest task as `consumer`, copies it into `out` and leaves it claimed until `completeUnsafe`. Returns
 * `false` if there is none, or if the ring was shut down. A consumer has one claim: taking the next task replaces the
 * claim of the one before. A consumer number is used by one thread at a time. With `end`, a position, only tasks before
 * that position are taken.
 */
export const pollUnsafe = (self: TaskRing, consumer: number, out: TaskRecord, end?: number): boolean => {
  const words = self.words
  if (words[phaseAt] === phaseShutDown) return false
  while (true) {
    const head = words[headAt]!
    if (end !== undefined && ((end - head) | 0) <= 0) return false
    const cell = cellAt(self, head)
    const free = freeStamp(self, head)
    const stamp = Atomics.load(words, cell)
    if (stamp === (free | stateReady)) {
      const taken = free | (stateTakenBy + consumer)
      if (Atomics.compareExchange(words, cell, stamp, taken) !== stamp) continue
      readTask(self, cell, out)
      finishTaking(self, consumer, head, cell, out)
      return true
    }
    if (stamp === free || isLapBehind(self, head, stamp)) return false
    moveHead(self, head)
  }
}

// Several consumers may find head at the same place. A single consumer needs no compare-and-swap, a call of 10 ns.
const moveHead = (self: TaskRing, position: number): void => {
  const { words } = self
  if (self.consumersMax > 1) Atomics.compareExchange(words, headAt, position, (position + 1) | 0)
  else if (words[headAt] === position) words[headAt] = (position + 1) | 0
}

// The claim is written before the cell is freed; freeing the cell (the release store) makes the claim visible with it.
// A successor that recovers the claim may repeat every step.
const finishTaking = (self: TaskRing, consumer: number, position: number, cell: number, task: TaskRecord): void => {
  const words = self.words
  const claim = claimAt(consumer)
  writeTask(self, claim, task.segmentIndex, task.slot, task.bytes, task.offeredAtMillis)
  words[claim] = claimHeld
  moveHead(self, position)
  Atomics.store(words, cell, freeStamp(self, (position + self.capacity) | 0))
}

/** Completes the task that `consumer` took last: clears its claim. Does nothing if there is no claim. */
export const completeUnsafe = (self: TaskRing, consumer: number): void => {
  Atomics.store(self.words, claimAt(consumer), claimNone)
}

/**
 * Finds the task that `consumer` has taken and not completed, and copies it into `out`; returns `false` if there is
 * none. Only the successor of a dead consumer may call this, before its first poll: it finishes the step during which
 * the consumer died, and would interfere with a consumer that is alive. The claim stays until `completeUnsafe`, so a
 * second call gives the same answer. `unfinishedUnsafe` only reads.
 */
export const claimUnsafe = (self: TaskRing, consumer: number, out: TaskRecord): boolean => {
  const words = self.words
  const taken = stateTakenBy + consumer
  for (let index = 0; index < self.capacity; index++) {
    const cell = self.cellsAt + index * cellWords
    const stamp = Atomics.load(words, cell)
    if ((stamp & stateMask) !== taken) continue
    readTask(self, cell, out)
    finishTaking(self, consumer, positionOf(self, index, stamp), cell, out)
    return true
  }
  const claim = claimAt(consumer)
  if (Atomics.load(words, claim) !== claimHeld) return false
  readTask(self, claim, out)
  return true
}

// A stamp keeps 24 bits of the lap. The rest comes from head, which is at this position or less than one lap past it.
const positionOf = (self: TaskRing, index: number, stamp: number): number => {
  const head = Atomics.load(self.words, headAt)
  const sameLap = (head & ~self.mask) | index
  const free = stamp & ~stateMask
  return freeStamp(self, sameLap) === free ? sameLap : (sameLap - self.capacity) | 0
}

/**
 * Ends the ring: nothing more can be offered, and tasks in the ring can still be taken. Only the producer calls this,
 * so no offer is under way. Returns `false` if it was ended or shut down before.
 */
export const endUnsafe = (self: TaskRing): boolean =>
  Atomics.compareExchange(self.words, phaseAt, phaseOpen, phaseEnded) === phaseOpen

/**
 * Shuts the ring down, from any thread: nothing more can be offered or taken. Returns `false` if it was shut down
 * before.
 */
export const shutdownUnsafe = (self: TaskRing): boolean =>
  Atomics.exchange(self.words, phaseAt, phaseShutDown) !== phaseShutDown

/** Tells whether the ring was ended or shut down. */
export const isEndedUnsafe = (self: TaskRing): boolean => Atomics.load(self.words, phaseAt) !== phaseOpen

/** Tells whether the ring was shut down. */
export const isShutDownUnsafe = (self: TaskRing): boolean => Atomics.load(self.words, phaseAt) === phaseShutDown

/** Gives the position of the oldest task that is not taken, or one shortly before it. */
export const headUnsafe = (self: TaskRing): number => Atomics.load(self.words, headAt)

/** Producer: gives the position that the next task will have. */
export const tailUnsafe = (self: TaskRing): number => self.words[tailAt]!

/**
 * Copies the oldest task at or after `position` that is not taken into `out`, and returns the position after it;
 * `position` itself if there is none. Call it only while no consumer can take tasks at or after `position`.
 */
export const peekUnsafe = (self: TaskRing, position: number, out: TaskRecord): number => {
  for (let at = position;; at = (at + 1) | 0) {
    const cell = cellAt(self, at)
    const free = freeStamp(self, at)
    const stamp = Atomics.load(self.words, cell)
    if (stamp === (free | stateReady)) {
      readTask(self, cell, out)
      return (at + 1) | 0
    }
    if (stamp === free || isLapBehind(self, at, stamp)) return position
  }
}

/** Counts the tasks in the ring, 0 to capacity. Exact while no other thread offers or takes. */
export const sizeUnsafe = (self: TaskRing): number => {
  const head = Atomics.load(self.words, headAt)
  const size = (Atomics.load(self.words, tailAt) - head) | 0
  return Math.min(Math.max(size, 0), self.capacity)
}

/**
 * Counts the unfinished tasks: those that wait in the ring, and those that were taken and are not complete. It only
 * reads, from any thread.
 *
 * Consumers move tasks at the same time. So the cells are read before the claims, in the direction in which a task
 * moves: a task that moves meanwhile is seen in at least one of the two, and possibly in both. So zero is exact if the
 * calling thread is the producer.
 */
export const unfinishedUnsafe = (self: TaskRing): number => {
  const { capacity, cellsAt, consumersMax, words } = self
  let count = 0
  for (let cell = 0; cell < capacity; cell++) {
    if ((Atomics.load(words, cellsAt + cell * cellWords) & stateMask) !== 0) count += 1
  }
  for (let consumer = 0; consumer < consumersMax; consumer++) {
    if (Atomics.load(words, claimAt(consumer)) !== claimNone) count += 1
  }
  return count
}

/** Tells whether there is nothing to take. */
export const isEmptyUnsafe = (self: TaskRing): boolean => {
  let head = Atomics.load(self.words, headAt)
  while (true) {
    const free = freeStamp(self, head)
    const stamp = Atomics.load(self.words, cellAt(self, head))
    if (stamp === free || isLapBehind(self, head, stamp)) return true
    if (stamp === (free | stateReady)) return false
    head = (head + 1) | 0
  }
}

/** Tells whether an offer would find no free cell. */
export const isFullUnsafe = (self: TaskRing): boolean => {
  const tail = Atomics.load(self.words, tailAt)
  return isLapBehind(self, tail, Atomics.load(self.words, cellAt(self, tail)))
}

// Calls `visit` for every task that is ready, oldest first, until it returns false. A task that was taken while it was
// read is skipped: its stamp has changed.
const visitReady = (self: TaskRing, visit: (task: Task) => boolean): void => {
  const task = new TaskRecord()
  const head = Atomics.load(self.words, headAt)
  for (let distance = 0; distance < self.capacity; distance++) {
    const position = (head + distance) | 0
    const cell = cellAt(self, position)
    const ready = freeStamp(self, position) | stateReady
    const stamp = Atomics.load(self.words, cell)
    if (stamp === freeStamp(self, position) || isLapBehind(self, position, stamp)) return
    if (stamp !== ready) continue
    readTask(self, cell, task)
    if (Atomics.load(self.words, cell) === ready && !visit(task)) return
  }
}

/** Sums `bytes` of the tasks in the ring. Reads every task: use it for telemetry, not for each offer. */
export const pendingBytesUnsafe = (self: TaskRing): number => {
  let sum = 0
  visitReady(self, (task) => {
    sum += task.bytes
    return true
  })
  return sum
}

/** Reads when the oldest task in the ring was offered, in milliseconds of elapsed time; -1 if the ring is empty. */
export const oldestMillisUnsafe = (self: TaskRing): number => {
  let oldest = -1
  visitReady(self, (task) => {
    oldest = task.offeredAtMillis
    return false
  })
  return oldest
}
