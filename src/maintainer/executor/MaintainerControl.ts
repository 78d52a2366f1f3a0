/**
 * The few words that the maintainer's service and its executors share beside the queues and the arena, each in a line
 * of 64 bytes of its own:
 *
 * ```text
 *    0  progress doorbell      rung by executors for the service: a task is completed
 *   64  attention doorbell     rung for executors: look again although no queue has news
 *  128  stop freezing          set by the service when a drain has run out of time for compression
 *  192  freezes let through    set by the service: the position in the queue up to which freezes may be taken
 *  256  drains                 counted by the service: how many are under way
 *  320  room doorbell          rung by executors and by the service: room was made on the disk
 *  384  kept from              set by the service: this segment and later ones are not deleted, whatever is offered
 *  448  outcomes sent          counted by the executors: one line for each
 * ```
 */
import { segmentIndexMax } from "../../format/Limits.ts"
import * as Doorbell from "../../shared/Doorbell.ts"

/** A control block as one thread sees it. */
export interface MaintainerControl {
  readonly buffer: SharedArrayBuffer
  readonly progress: Doorbell.Doorbell
  readonly attention: Doorbell.Doorbell
  readonly room: Doorbell.Doorbell
  readonly words: Int32Array
}

const lineWords = 16
const attention = 1 * lineWords
const stopFreezing = 2 * lineWords
const freezesEnd = 3 * lineWords
const drains = 4 * lineWords
const room = 5 * lineWords
const keptFrom = 6 * lineWords
const outcomesSent = 7 * lineWords

/** A control block for this many executors. */
export const makeUnsafe = (executors: number): MaintainerControl => {
  const self = attach(new SharedArrayBuffer((outcomesSent + executors * lineWords) * 4))
  putKeptFromUnsafe(self, Number.POSITIVE_INFINITY)
  return self
}

/** A control block that another thread made. */
export const attach = (buffer: SharedArrayBuffer): MaintainerControl => ({
  buffer,
  progress: Doorbell.makeSharedUnsafe(buffer, 0),
  attention: Doorbell.makeSharedUnsafe(buffer, attention * 4),
  room: Doorbell.makeSharedUnsafe(buffer, room * 4),
  words: new Int32Array(buffer)
})

/** Service: no more compression; a freeze that is under way is interrupted. */
export const stopFreezingUnsafe = (self: MaintainerControl): void => {
  Atomics.store(self.words, stopFreezing, 1)
  Doorbell.ringUnsafe(self.attention)
}

/** Executor: whether the service wants no more compression. */
export const isFreezingStopped = (self: MaintainerControl): boolean => Atomics.load(self.words, stopFreezing) !== 0

/** Service: freezes before this position of their queue may be taken. */
export const putFreezesEndUnsafe = (self: MaintainerControl, position: number): void => {
  Atomics.store(self.words, freezesEnd, position)
  Doorbell.ringUnsafe(self.attention)
}

/** Executor: the position in the queue of freezes up to which they may be taken. */
export const freezesEndUnsafe = (self: MaintainerControl): number => Atomics.load(self.words, freezesEnd)

/** Service: no executor deletes this segment or a later one; `Infinity`: what is offered is deleted. */
export const putKeptFromUnsafe = (self: MaintainerControl, segmentIndex: number): void => {
  Atomics.store(self.words, keptFrom, Math.min(segmentIndex, segmentIndexMax + 1))
}

/** Executor: whether a segment must not be deleted, although that was offered. */
export const isKept = (self: MaintainerControl, segmentIndex: number): boolean => {
  const from = Atomics.load(self.words, keptFrom)
  return from <= segmentIndexMax && segmentIndex >= from
}

/** Service: a drain has begun. */
export const drainBegunUnsafe = (self: MaintainerControl): void => {
  Atomics.add(self.words, drains, 1)
}

/** Service: a drain has ended. */
export const drainEndedUnsafe = (self: MaintainerControl): void => {
  Atomics.sub(self.words, drains, 1)
}

/** Whether a drain is under way. */
export const isDraining = (self: MaintainerControl): boolean => Atomics.load(self.words, drains) !== 0

/** Executor: one more outcome is on its way. To be counted before its task is completed. */
export const countOutcomeUnsafe = (self: MaintainerControl, executor: number): void => {
  Atomics.add(self.words, outcomesSent + executor * lineWords, 1)
}

/** How many outcomes an executor has ever sent. */
export const outcomesSentBy = (self: MaintainerControl, executor: number): number =>
  Atomics.load(self.words, outcomesSent + executor * lineWords)
