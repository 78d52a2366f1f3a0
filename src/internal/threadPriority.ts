/** How the operating system shares the cores among the threads of a process. */
import { setPriority } from "node:os"

/**
 * Lets the calling thread yield to the others whenever they want to run. On Linux alone, where a thread has a priority of
 * its own and may always lower it; elsewhere, and where it is refused, nothing changes.
 *
 * @since 0.1.0
 * @category threads
 */
export const yieldToOtherThreads = (): void => {
  if (process.platform !== "linux") return
  try {
    // No process named: Linux takes it for the calling thread.
    setPriority(10)
  } catch {
    // The thread keeps the priority that it has.
  }
}
