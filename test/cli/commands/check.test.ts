/** `check` judges one look at a log, as the alerts do. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { MonitorReport } from "../../../src/recorder/monitor/MonitorReport.ts"
import { findingsOf } from "../../../src/report/Health.ts"
import type { Stats } from "../../../src/report/Stats.ts"
import * as Telemetry from "../../../src/telemetry/Telemetry.ts"
import { makeBuffer } from "../../../src/telemetry/TelemetryBuffer.ts"
import { here, place, start } from "../commandLine.ts"
import { makeLog } from "../logs.ts"
import { restOfReport } from "../recorderReport.ts"

const wanted = { maxLag: Duration.seconds(30), freeBytesMin: 0, isRecorderWanted: true }

type Updater = ReturnType<ReturnType<typeof Telemetry.attach>["updater"]>
type Change = (report: MonitorReport) => MonitorReport

/** The report of a recorder that is well but for what `change` and `count` do. */
const recorder = (change: Change, count: (updater: Updater) => void = () => undefined): Stats => {
  const telemetry = Telemetry.attach(makeBuffer(1), { nowNanos: () => 1e12 })
  const updater = telemetry.updater(0)
  updater.setGauge("diskFreeBytes", 1 << 30)
  count(updater)
  const report: MonitorReport = {
    version: 1,
    pid: 4711,
    directory: "/var/log/wal",
    startedMillis: 0,
    atMillis: 0,
    uptimeMillis: 0,
    ...restOfReport,
    telemetry: telemetry.snapshotUnsafe()
  }
  return { source: "recorder", report: change(report) }
}

const same: Change = (report) => report
const maintainer = (more: Partial<MonitorReport["maintainer"]>): Change => (report) => ({
  ...report,
  maintainer: { ...report.maintainer, ...more }
})
const archive = {
  archivedBefore: 3,
  behindSegments: 1,
  behindBytes: 100,
  behindMillis: 0,
  freedUnarchived: 0,
  problem: null
}

const consumer = {
  name: "billing",
  eventId: 7,
  fromSegmentIndex: 1,
  behindEvents: 13,
  behindBytes: 100,
  behindMillis: 60_000,
  isOwned: false,
  isExceeded: false,
  maxLagBytes: null,
  maxLagMillis: null
}

const cases: ReadonlyArray<readonly [severity: "critical" | "warning", says: RegExp, stats: Stats]> = [
  ["critical", /maintainer is down/, recorder(maintainer({ isDown: true }))],
  [
    "critical",
    /not been durable for 31\.0 s/,
    recorder(same, (updater) => updater.setGauge("durableLagMillis", 31_000))
  ],
  [
    "critical",
    /waited 11\.0 s for the disk/,
    recorder(same, (updater) => updater.setGauge("persistOldestPendingMillis", 11_000))
  ],
  ["critical", /damaged segments: 3, 9/, recorder(maintainer({ damagedSegments: [3, 9] }))],
  ["critical", /2 WERE DELETED UNARCHIVED/, recorder(maintainer({ archive: { ...archive, freedUnarchived: 2 } }))],
  ["critical", /7 events were dropped/, recorder(same, (updater) => updater.count("eventsDropped", 7))],
  [
    "warning",
    /held back: DiskFull for 90\.0 s|held back: DiskFull for 1\.50 min/,
    recorder((report) => ({ ...report, arena: { ...report.arena, heldBack: "DiskFull", heldBackMillis: 90_000 } }))
  ],
  ["warning", /2 steps of the maintainer failed/, recorder(maintainer({ failures: 2 }))],
  ["warning", /compression is/, recorder(same, (updater) => updater.setGauge("freezeOldestPendingMillis", 400_000))],
  ["warning", /deletion is/, recorder(same, (updater) => updater.setGauge("freeOldestPendingMillis", 400_000))],
  ["warning", /archive: /, recorder(maintainer({ archive: { ...archive, behindMillis: 1_000_000 } }))],
  ["warning", /away/, recorder(maintainer({ archive: { ...archive, problem: "away" } }))],
  [
    "warning",
    /the reader billing lost/,
    recorder(maintainer({
      holds: [{ name: "billing", fromSegmentIndex: 1, expiresMillis: null, isExceeded: true }]
    }))
  ],
  [
    "critical",
    /the consumer billing is at event 7, .*; MISSES EVENTS/,
    recorder(maintainer({ durableHolds: [{ ...consumer, isExceeded: true }] }))
  ],
  [
    "warning",
    /the consumer billing is at event 7, 13 events behind \(100 B\), the oldest for 16\.7 min, and does not read here/,
    recorder(maintainer({ durableHolds: [{ ...consumer, behindMillis: 1_000_000 }] }))
  ]
]

describe("check", () => {
  it("finds nothing in a recorder that is well, and each trouble by itself, as bad as its alert", () => {
    assert.deepStrictEqual(findingsOf(recorder(same), wanted), [])
    assert.deepStrictEqual(findingsOf(recorder(maintainer({ durableHolds: [consumer] })), wanted), [])
    const snapshots = { ...consumer, name: "_state", behindMillis: 1_000_000 }
    assert.deepStrictEqual(findingsOf(recorder(maintainer({ durableHolds: [snapshots] })), wanted), [])
    for (const [severity, says, stats] of cases) {
      const findings = findingsOf(stats, wanted)
      assert.strictEqual(findings.length, 1, String(says))
      assert.strictEqual(findings[0]?.severity, severity, String(says))
      assert.match(findings[0]?.text ?? "", says)
    }
  })

  it("tells the worst first, and takes limits of one's own", () => {
    const stats = recorder(
      maintainer({ failures: 1 }),
      (updater) => updater.setGauge("durableLagMillis", 6_000)
    )
    assert.deepStrictEqual(findingsOf(stats, wanted).map(({ severity }) => severity), ["warning"])
    const strict = findingsOf(stats, { ...wanted, maxLag: Duration.seconds(5), freeBytesMin: 2 ** 31 })
    assert.deepStrictEqual(strict.map(({ severity }) => severity), ["critical", "critical", "warning"])
  })

  it.live("ends with the code that it tells: for a recorder, a directory without one, and a place without a log", () =>
    Effect.gen(function*() {
      const at = yield* place
      const running = yield* start(["record", "--dir", at("log"), "--acks"])
      running.write("a\n")
      yield* running.durable(1)
      const well = yield* here("check", "--dir", at("log"))
      assert.strictEqual(well.code, 0, well.stdout)
      assert.match(
        well.stdout,
        /^OK .*\/log: everything is durable, up to event 1; hot 1 of 8, cold 0 of 64; .* free\n$/
      )
      const full = yield* here("check", "--dir", at("log"), "--min-free", "8000TB", "--json")
      assert.strictEqual(full.code, 2)
      assert.deepInclude(JSON.parse(full.stdout), { severity: "critical" })
      yield* running.crash

      yield* makeLog(at("stopped"))
      const stopped = yield* here("check", "--dir", at("stopped"))
      assert.deepStrictEqual([stopped.code, /^CRITICAL .*: nobody records\n$/.test(stopped.stdout)], [2, true])
      assert.strictEqual((yield* here("check", "--dir", at("stopped"), "--stopped")).code, 0)
      const nowhere = yield* here("check", "--dir", at("nowhere"), "--stopped")
      assert.deepStrictEqual([nowhere.code, nowhere.stderr], [2, ""])
      assert.match(nowhere.stdout, /^CRITICAL .* does not exist/)
    }))
})
