/** Formats the receipt of a drain for people. */
import type { DrainReceipt } from "../../maintainer/Drain.ts"

/** What was done, how long it took, and what is left. */
export const formatReceipt = ({ done, failures, left, millis }: DrainReceipt): string => {
  const waiting = left.persist + left.freeze + left.free
  return `drained in ${millis} ms: ${done.persist} persisted, ${done.freeze} frozen, ${done.free} deleted, ${waiting} left` +
    (failures === 0 ? "" : `, ${failures} FAILED`)
}
