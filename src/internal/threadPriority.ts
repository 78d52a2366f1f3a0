/** How the operating system shares the cores among the threads of a process. */
import { readlinkSync } from "node:fs"
import { setPriority } from "node:os"

/**
 * Lets this thread yield to the others of the process whenever they want to run. On Linux alone, where a thread has a
 * priority of its own and may always lower it; elsewhere, and where it is refused, nothing changes.
 */
export const yieldToOtherThreads = (): void => {
  if (process.platform !== "linux") return
  try {
    // "PID/task/TID"; a link that is read by the thread itself.
    const threadId = Number(readlinkSync("/proc/thread-self").split("/").at(-1))
    if (threadId > 0) setPriority(threadId, 10)
  } catch {
    // Without /proc the thread keeps the priority that it has.
  }
}
