/** The accounts of a run of the ring under fire, in memory that all its threads share. */
import type * as TaskRing from "../../src/shared/TaskRing.ts"

export interface ConsumerData {
  readonly buffer: SharedArrayBuffer
  readonly consumer: number
  /** One byte per task: how often it was worked on. */
  readonly counts: Uint8Array
  /** One number: how many tasks had fields that do not belong together. */
  readonly torn: Int32Array
}

export const slotOf = (index: number): number => (Math.imul(index, 0x9e3779b1) >>> 1) - 1
export const bytesOf = (index: number): number => 2 ** 52 - index * 3
export const millisOf = (index: number): number => 2 ** 41 + index * 5

export const countTask = (data: ConsumerData, task: TaskRing.Task): void => {
  const index = task.segmentIndex
  const isWhole = index < data.counts.length && task.slot === slotOf(index) && task.bytes === bytesOf(index) &&
    task.offeredAtMillis === millisOf(index)
  if (isWhole) Atomics.add(data.counts, index, 1)
  else Atomics.add(data.torn, 0, 1)
}
