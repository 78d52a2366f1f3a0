/** The priority of the calling thread, as the operating system sees it. */
import { execFileSync } from "node:child_process"
import { readlinkSync } from "node:fs"
import { setPriority } from "node:os"
import { basename } from "node:path"

/**
 * Lowers the priority of the calling thread, so that it yields to the other threads. Only on Linux, where a thread has
 * a priority of its own and may always lower it; elsewhere, or when it is refused, nothing changes.
 */
export const yieldToOtherThreads = (): void => {
  if (process.platform !== "linux") return
  try {
    // Without a process Linux takes the calling thread.
    setPriority(10)
  } catch {
    // The thread keeps the priority that it has.
  }
}

/**
 * Puts the calling thread into the class SCHED_IDLE: it runs only on idle processors, and a thread that wakes takes the
 * processor at once, not at the end of a slice. Without privileges a thread cannot leave the class again. Only on
 * Linux, with `chrt` (of util-linux or busybox), since Node has no call for it; elsewhere, or when it is refused,
 * nothing changes.
 */
export const runOnlyWhenIdle = (): void => {
  if (process.platform !== "linux") return
  try {
    const thread = basename(readlinkSync("/proc/thread-self"))
    execFileSync("chrt", ["-i", "-p", "0", thread], { stdio: "ignore", timeout: 10_000 })
  } catch {
    // The thread keeps the priority that it has.
  }
}
