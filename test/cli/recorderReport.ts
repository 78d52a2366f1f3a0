/** What the monitor of a recorder that is well tells, but for times and telemetry. */
import type { MonitorReport } from "../../src/recorder/monitor/MonitorReport.ts"

export const restOfReport: Pick<MonitorReport, "positions" | "maintainer" | "arena" | "failures"> = {
  positions: { appended: 30, durable: 20, compressed: 10, deletedBefore: 1 },
  maintainer: {
    isDown: false,
    restarts: 0,
    failures: 0,
    damagedSegments: [],
    holes: [],
    archive: null,
    limits: { maxSegments: 8, maxCompressedSegments: 64 },
    holds: [],
    durableHolds: []
  },
  arena: {
    slots: 4,
    slotBytes: 1 << 20,
    blank: 2,
    active: 1,
    full: 1,
    spent: 0,
    activeBytes: 1 << 19,
    heldBack: "None",
    heldBackMillis: 0,
    nextTryMillis: null
  },
  failures: []
}
