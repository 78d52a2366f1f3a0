/**
 * Watches a log for those who look at it: once a second while at least one viewer is there, and some seconds longer, so
 * that a page that is loaded again has its past. All viewers share one watch. Without a viewer nothing runs.
 *
 * A viewer that takes its time misses looks, and no change: each message has what changed since the one before it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as RcRef from "effect/RcRef"
import * as Stream from "effect/Stream"
import { Disk } from "../disk/Disk.ts"
import { lockName } from "../disk/FileNames.ts"
import * as HoleStore from "../disk/HoleStore.ts"
import * as MetaStore from "../disk/MetaStore.ts"
import { pathIn } from "../disk/SegmentDirectory.ts"
import type { MonitorReport } from "../recorder/monitor/MonitorReport.ts"
import type { DirectoryReport } from "../report/DirectoryReport.ts"
import { findingsOf, wellText } from "../report/Health.ts"
import type { Stats } from "../report/Stats.ts"
import type { Cell } from "./Cells.ts"
import type { ConsoleLog } from "./ConsoleLog.ts"
import { columnBetween } from "./LatencyColumn.ts"
import type { LatencyColumn } from "./LatencyColumn.ts"

/** How often a log is looked at. */
const interval = Duration.seconds(1)

/** A watch continues for so long without a viewer. */
const idle = Duration.seconds(5)

/** Columns that a new viewer is given: ten minutes. */
const columnsMax = 600

/** As `effect-wal check` has them by default. */
const wanted = { maxLag: Duration.seconds(30), freeBytesMin: 0, isRecorderWanted: false }

/** How a log is, in words. */
interface Health {
  readonly severity: "ok" | "warning" | "critical"
  readonly texts: ReadonlyArray<string>
}

/** What a viewer is told: how the log is, and what changed since the last time. */
interface LookMessage {
  readonly directory: string
  readonly health: Health
  /** Null when the log could not be looked at; `health` says why. */
  readonly stats: ShownStats | null
  /** Segments that are new or changed. */
  readonly cells: ReadonlyArray<Cell>
  /** Indices of segments that are gone. */
  readonly gone: ReadonlyArray<number>
  readonly columns: ReadonlyArray<LatencyColumn>
}

/** As `Stats`, without the histograms: the columns have what is shown of them. */
type ShownStats =
  | { readonly source: "recorder"; readonly report: ShownReport }
  | { readonly source: "directory"; readonly report: DirectoryReport }

interface ShownReport extends Omit<MonitorReport, "telemetry"> {
  readonly telemetry: Pick<MonitorReport["telemetry"], "counters" | "gauges">
}

interface Look {
  readonly health: Health
  readonly stats: ShownStats | null
}

/** A cell, and the look in which it last changed. */
interface Dated {
  readonly cell: Cell
  readonly json: string
  readonly look: number
}

class State {
  look = 0
  last: Look | undefined
  cells = new Map<number, Dated>()
  columns: Array<{ readonly look: number; readonly column: LatencyColumn }> = []
  report: MonitorReport | undefined

  take(look: Look, cells: ReadonlyArray<Cell> | undefined, report: MonitorReport | undefined): void {
    this.look += 1
    this.last = look
    if (cells !== undefined) {
      this.cells = new Map(cells.map((cell) => {
        const json = JSON.stringify(cell)
        const old = this.cells.get(cell.segmentIndex)
        return [cell.segmentIndex, old?.json === json ? old : { cell, json, look: this.look }]
      }))
    }
    const column = report === undefined ? undefined : columnBetween(this.report, report)
    this.report = report
    if (column === undefined) return
    this.columns.push({ look: this.look, column })
    if (this.columns.length > columnsMax) this.columns.shift()
  }
}

/** Makes the messages for viewers: a stream for each. */
export const make = Effect.fnUntraced(function*(log: ConsoleLog) {
  const watch = yield* RcRef.make({ acquire: begin(log), idleTimeToLive: idle })
  return Stream.unwrap(Effect.gen(function*() {
    const { looked, state } = yield* RcRef.get(watch)
    const next = yield* PubSub.subscribe(looked)
    let seen = 0
    let sent = new Set<number>()
    const message = (): LookMessage => {
      const { cells, columns, last } = state
      const changed = [...cells.values()].filter((one) => one.look > seen || !sent.has(one.cell.segmentIndex))
      const gone = [...sent].filter((index) => !cells.has(index))
      const after = seen
      seen = state.look
      sent = new Set(cells.keys())
      return {
        directory: log.directory.path,
        health: last?.health ?? { severity: "ok", texts: [] },
        stats: last?.stats ?? null,
        cells: changed.map(({ cell }) => cell),
        gone,
        columns: columns.filter(({ look }) => look > after).map(({ column }) => column)
      }
    }
    const later = Stream.fromEffectRepeat(Effect.map(PubSub.take(next), message))
    return state.last === undefined ? later : Stream.concat(Stream.sync(message), later)
  }))
})

/** Looks once a second until the scope closes. */
const begin = Effect.fnUntraced(function*(log: ConsoleLog) {
  const state = new State()
  // Who takes its time needs only to know that there was another look.
  const looked = yield* PubSub.sliding<void>(1)
  const once = Effect.gen(function*() {
    const found = yield* Effect.result(lookAt(log))
    if (found._tag === "Success") state.take(found.success.look, found.success.cells, found.success.report)
    else {
      const health: Health = { severity: "critical", texts: [found.failure.message] }
      state.take({ health, stats: null }, undefined, undefined)
    }
    yield* PubSub.publish(looked, undefined)
  })
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(once, Effect.sleep(interval))))
  return { looked, state }
})

const lookAt = Effect.fnUntraced(function*(log: ConsoleLog) {
  const report = yield* log.report
  const cells = yield* log.cells.look(report !== undefined)
  const stats: Stats = report === undefined
    ? { source: "directory", report: yield* directoryOf(log, cells) }
    : { source: "recorder", report }
  const look: Look = { health: healthOf(stats, cells), stats: shown(stats) }
  return { look, cells, report }
})

const shown = (stats: Stats): ShownStats => {
  if (stats.source === "directory") return stats
  const { telemetry: { counters, gauges }, ...report } = stats.report
  return { source: "recorder", report: { ...report, telemetry: { counters, gauges } } }
}

const healthOf = (stats: Stats, cells: ReadonlyArray<Cell>): Health => {
  const findings = findingsOf(stats, wanted)
  const known = stats.source === "recorder" ? stats.report.maintainer.damagedSegments : []
  const found = cells.filter(({ segmentIndex, state }) => state === "damaged" && !known.includes(segmentIndex))
  const texts = [
    ...(found.length === 0 ? [] : [`damaged segments: ${found.map(({ segmentIndex }) => segmentIndex).join(", ")}`]),
    ...findings.map(({ text }) => text)
  ]
  if (texts.length === 0) return { severity: "ok", texts: [wellText(stats)] }
  const isCritical = found.length > 0 || findings.some(({ severity }) => severity === "critical")
  return { severity: isCritical ? "critical" : "warning", texts }
}

/** As `readDirectory`, from the cells: so no segment is looked at twice. */
const directoryOf = Effect.fnUntraced(function*({ directory: { path } }: ConsoleLog, cells: ReadonlyArray<Cell>) {
  const disk = yield* Disk
  const cold = cells.filter(({ file, state }) => state === "cold" || state === "damaged" && !file.endsWith(".wal"))
  const hot = cells.filter((cell) => !cold.includes(cell))
  const bytesOf = (some: ReadonlyArray<Cell>): number => some.reduce((sum, { bytes }) => sum + bytes, 0)
  const told = cold.filter(({ ratio }) => ratio > 0)
  const withEvents = cells.filter(({ events }) => events > 0)
  const report: DirectoryReport = {
    directory: path,
    atMillis: yield* Effect.clockWith((clock) => clock.currentTimeMillis),
    hotSegments: hot.length,
    hotBytes: bytesOf(hot),
    coldSegments: cold.length,
    coldBytes: bytesOf(cold),
    ratio: told.length === 0 ? 0 : told.reduce((sum, { bytes, ratio }) => sum + bytes * ratio, 0) / bytesOf(told),
    firstEventId: withEvents[0]?.firstEventId ?? 0,
    lastEventId: withEvents.at(-1)?.lastEventId ?? 0,
    meta: (yield* MetaStore.read(path)).meta ?? null,
    holes: HoleStore.since((yield* HoleStore.read(path)).holes, cells[0]?.segmentIndex ?? 0),
    diskFreeBytes: yield* disk.freeBytes(path),
    heldBy: (yield* disk.lockHolder(pathIn(path, lockName))) ?? null
  }
  return report
})
