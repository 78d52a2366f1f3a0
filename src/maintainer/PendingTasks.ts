/**
 * How many tasks a queue still owes: those that wait in its ring, and those that an executor has taken and not completed.
 *
 * It only reads. Executors in other threads move tasks at the same time, so the cells are read before the claims, the way
 * a task goes: one that is under way is seen in at least one of the two, and for an instant perhaps in both. So zero is
 * exact as long as the calling thread is the one that offers.
 *
 * @since 0.1.0
 */
import type * as TaskQueue from "../shared/TaskQueue.ts"
import { layout } from "../shared/TaskRing.ts"

const stateMask = 0xff

/**
 * Tasks that wait or are being worked on.
 *
 * @since 0.1.0
 * @category inspecting
 */
export const pendingTasks = (queue: TaskQueue.Enqueue | TaskQueue.Dequeue): number => {
  const { capacity, cellsAt, consumersMax, words } = queue.ring
  let count = 0
  for (let cell = 0; cell < capacity; cell++) {
    if ((Atomics.load(words, cellsAt + cell * layout.cellWords) & stateMask) !== 0) count += 1
  }
  for (let consumer = 0; consumer < consumersMax; consumer++) {
    if (Atomics.load(words, layout.claimsAt + consumer * layout.claimWords) !== 0) count += 1
  }
  return count
}
