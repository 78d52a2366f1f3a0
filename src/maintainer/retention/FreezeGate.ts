/**
 * Which freezes may begin. Every freeze makes one more cold segment, so one that is offered waits in its queue until there is
 * a place for what it makes; the place is taken from then until its outcome is heard. Executors take nothing that has not
 * been let through, so the limit of cold segments holds at every moment, however many executors there are, and whoever
 * offered the freeze.
 *
 * Freezes are let through in the order in which they were offered. What was let through lies before a position of the
 * ring; that position is all that executors must know, and it is written here alone. So the death of an executor
 * changes nothing: what it had taken its successor finds claimed.
 *
 * @since 0.1.0
 */
import type { TaskQueue } from "../../shared/TaskQueue.ts"
import * as TaskRing from "../../shared/TaskRing.ts"
import * as MaintainerControl from "../executor/MaintainerControl.ts"

/**
 * The gate before the queue of freezes. Used by the thread that offers to it.
 *
 * @since 0.1.0
 * @category models
 */
export class FreezeGate {
  /** Segments that were let through and whose outcome was not heard: each is a cold segment to be. */
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

  /** Lets the one that waits through. */
  letThrough(): void {
    const end = TaskRing.peekUnsafe(this.#ring, this.#end, this.#next)
    if (end === this.#end) return
    this.#end = end
    this.arriving.add(this.#next.segmentIndex)
    MaintainerControl.putFreezesEndUnsafe(this.#control, end)
  }

  /** What became of this segment's freeze is known. */
  heard(segmentIndex: number): void {
    this.arriving.delete(segmentIndex)
  }
}
