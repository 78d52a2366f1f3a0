/**
 * A bounded queue of tasks in shared memory, with the manners of Effect's `Queue`.
 *
 * @since 0.1.0
 */
export type { Dequeue, Enqueue, NewTask, Task, TaskQueue } from "./shared/TaskQueue.ts"
export { offer, toDequeue, toEnqueue } from "./shared/TaskQueue.ts"
