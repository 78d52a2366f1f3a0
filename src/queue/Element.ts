/** What a queue is made of. */

/** What was offered, and what has become of it. */
export interface Element {
  /** The number of its offer in the log. */
  readonly sequence: number
  readonly queue: string
  readonly id: string
  readonly isCustomId: boolean
  /** JSON; empty when it is done. */
  element: string
  /** How often it was taken. */
  attempts: number
  /** When it may be taken. Changes only while it is taken. */
  dueAt: number
  state: "open" | "done" | "dead"
  /** When it was done or died. */
  endedAt: number
  /** Why it is dead. */
  failure: string
}
