/** Resident memory of this process as the kernel counts it, in MiB: now, and the most there was since `resetPeak`. */
import { readFileSync, writeFileSync } from "node:fs"

export const residentMebibytes = (field: "VmRSS" | "VmHWM"): number =>
  Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024

export const resetPeak = (): void => writeFileSync("/proc/self/clear_refs", "5")
