/**
 * Decides which freezes may start. Every freeze makes one more cold segment. So an offered freeze waits in its queue
 * until there is a place for what it makes, and keeps that place until its outcome is known. Executors take only
 * freezes that were let through. So the limit of cold segments is kept at every moment, for any number of executors,
 * and also when an application offers the freeze.
 *
 * Freezes are let through in the order in which they were offered. Everything before one position of the ring was let
 * through; that position is all that executors must know, and only this module writes it. So the death of an executor
 * changes nothing: its successor finds its task claimed.
 */
import type { TaskQueue } from "../../shared/TaskQueue.ts"
import * as TaskRing from "../../shared/TaskRing.ts"
import * as MaintainerControl from "../executor/MaintainerControl.ts"

/** The gate before the queue of freezes. Used by the thread that offers to it. */
export class FreezeGate {
  /** Segments that were let through and whose outcome is not known yet: each will be a cold segment. */
  readonly arriving = new Set<number>()
  readonly #ring: TaskRing.TaskRing
  readonly #control: MaintainerControl.MaintainerControl
  readonly #executors: number
  readonly #next = new TaskRing.TaskRecord()
  /** Everything before this position was let through. */
  #end: number

  constructor(queue: TaskQueue, control: MaintainerControl.MaintainerControl, executors: number) {
    this.#ring = queue.ring
    this.#executors = executors
    this.#control = control
    this.#end = TaskRing.headUnsafe(queue.ring)
    MaintainerControl.putFreezesEndUnsafe(control, this.#end)
  }

  /** The segment whose freeze is the next to be let through; `undefined` when none waits. */
  get waiting(): number | undefined {
    return TaskRing.peekUnsafe(this.#ring, this.#end, this.#next) === this.#end ? undefined : this.#next.segmentIndex
  }

  /** Whether an executor has no freeze to do. */
  get hasIdle(): boolean {
    return this.arriving.size < this.#executors
  }

  /** Freezes that were let through and are not completed. Exact when it is zero. */
  get unfinished(): number {
    return TaskRing.unfinishedUnsafe(this.#ring) - ((TaskRing.tailUnsafe(this.#ring) - this.#end) | 0)
  }

  /** Lets the waiting freeze through. */
  letThrough(): void {
    const end = TaskRing.peekUnsafe(this.#ring, this.#end, this.#next)
    if (end === this.#end) return
    this.#end = end
    this.arriving.add(this.#next.segmentIndex)
    MaintainerControl.putFreezesEndUnsafe(this.#control, end)
  }

  /** The outcome of this segment's freeze is known. */
  ended(segmentIndex: number): void {
    this.arriving.delete(segmentIndex)
  }
}
