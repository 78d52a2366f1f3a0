/** How the operating system shares the cores among the threads of a process. */
import { execFileSync } from "node:child_process"
import { readlinkSync } from "node:fs"
import { setPriority } from "node:os"
import { basename } from "node:path"

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

/**
 * Lets the calling thread run only when a processor is idle, and gives that processor to whoever wakes at once and not at the
 * end of a slice (SCHED_IDLE). A thread cannot get out of this again without privileges. On Linux alone, by `chrt`, of
 * util-linux or busybox, since Node has no call for it; elsewhere, and where there is none or it is refused, nothing changes.
 *
 * @since 0.1.0
 * @category threads
 */
export const runOnlyWhenIdle = (): void => {
  if (process.platform !== "linux") return
  try {
    const thread = basename(readlinkSync("/proc/thread-self"))
    execFileSync("chrt", ["-i", "-p", "0", thread], { stdio: "ignore", timeout: 1000 })
  } catch {
    // The thread keeps the priority that it has.
  }
}
