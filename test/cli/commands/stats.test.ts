/** What a recorder's monitor shows to other processes: `stats`, and `record --metrics`. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { MonitorReport } from "../../../src/recorder/monitor/MonitorReport.ts"
import { effectWal, here, place, start, until } from "../commandLine.ts"

const lines = (count: number): string =>
  Array.from({ length: count }, (_, line) => `line ${line} of the log, with some words in it\n`).join("")

const record = (directory: string, ...args: ReadonlyArray<string>) =>
  start(["record", "--dir", directory, "--acks", ...args])

const written = (directory: string): string =>
  `effect_wal_written_events_total{log="${directory}",subsystem="wal_persistence_worker"}`

describe.concurrent("stats", () => {
  it.live(
    "tells how far the archive of a recorder is, why it is not further, and what it has asked of the store",
    () =>
      Effect.gen(function*() {
        const at = yield* place
        const url = `${pathToFileURL(at("store")).href}/app`
        mkdirSync(at("store"))
        const recorder = yield* record(at("log"), "--archive", url, "--segment-bytes", "4KiB")
        const archive = Effect.map(
          here("stats", "--dir", at("log")),
          ({ stdout }) => /^archive +(segments .*)$/m.exec(stdout)?.[1] ?? ""
        )
        const says = (pattern: RegExp) => until(Effect.map(archive, (text) => pattern.test(text)))
        recorder.write(lines(1_000))
        yield* recorder.durable(1_000)
        yield* says(/^segments before \d\d are archived, nothing is behind$/)
        const report = JSON.parse((yield* here("stats", "--dir", at("log"), "--json")).stdout)
        const { archivedBefore } = report.maintainer.archive
        const { storeBytesSent, storePuts } = report.telemetry.counters
        assert.isAbove(storePuts, archivedBefore)
        assert.isAbove(storeBytesSent, 0)
        renameSync(at("store"), at("away"))
        recorder.write(lines(1_000))
        yield* recorder.durable(2_000)
        yield* says(/archived, \d+ segments behind \(.*\), the oldest for .*; .*the store/)
        renameSync(at("away"), at("store"))
        yield* says(/archived, nothing is behind$/)
        assert.strictEqual((yield* recorder.end()).code, 0)
      })
  )

  it.live("asks the recorder that runs in the directory; its socket is its user's alone", () =>
    Effect.gen(function*() {
      const directory = (yield* place)("log")
      const recorder = yield* record(directory)
      recorder.write(lines(1_000))
      yield* recorder.durable(1_000)
      const json = yield* effectWal(["stats", "--dir", directory, "--json"])
      assert.strictEqual(json.code, 0, json.stderr)
      const { source, ...rest } = JSON.parse(json.stdout)
      assert.strictEqual(source, "recorder")
      const report = Schema.decodeUnknownSync(MonitorReport)(rest)
      assert.strictEqual(report.pid, recorder.child.pid)
      assert.strictEqual(report.positions.durable, 1_000)
      assert.strictEqual(report.telemetry.counters.eventsWritten, 1_000)
      assert.strictEqual(report.telemetry.gauges.durableLagEvents, 0)

      const text = yield* here("stats", "--dir", directory, "--verbose")
      assert.include(text.stdout, `process ${recorder.child.pid}`)
      assert.match(text.stdout, /^newest event +1,000, durable 1,000, compressed 0$/m)
      assert.match(text.stdout, /^commit +\d+ times, p50 .*, p99 .*, at most .*$|^commit +none$/m)
      assert.match(text.stdout, /^events written +1000$/m)
      assert.notInclude((yield* here("stats", "--dir", directory)).stdout, "events written")
      const prometheus = yield* here("stats", "--dir", directory, "--prometheus")
      assert.include(prometheus.stdout, `${written(directory)} 1000\n`)

      assert.strictEqual(statSync(join(directory, "wal.monitor")).mode & 0o777, 0o600)

      assert.strictEqual((yield* recorder.end()).code, 0)
      assert.notInclude(readdirSync(directory), "wal.monitor")
    }))

  it.live("never says that none runs where the lock names one", () =>
    Effect.gen(function*() {
      const directory = (yield* place)("log")
      const recorder = yield* record(directory)
      recorder.write("one\n")
      yield* recorder.durable(1)
      rmSync(join(directory, "wal.monitor"))
      const { stdout } = yield* here("stats", "--dir", directory)
      assert.match(stdout, new RegExp(`^recorder +process ${recorder.child.pid} on .*no monitor that answers$`, "m"))
      assert.match((yield* here("top", "--dir", directory)).stdout, new RegExp(`process ${recorder.child.pid} on `))
      const { heldBy, source } = JSON.parse((yield* here("stats", "--dir", directory, "--json")).stdout)
      assert.strictEqual(source, "directory")
      assert.include(heldBy, `process ${recorder.child.pid}`)
      assert.strictEqual((yield* recorder.end()).code, 0)
      assert.isNull(JSON.parse((yield* here("stats", "--dir", directory, "--json")).stdout).heldBy)
    }))

  it.live("looks at the directory when no recorder runs, and after one that was killed", () =>
    Effect.gen(function*() {
      const directory = (yield* place)("log")
      const small = ["--segment-bytes", "64KiB", "--max-segments", "2"]
      const first = yield* record(directory, ...small)
      assert.strictEqual((yield* first.end(lines(20_000))).code, 0, first.said())
      const report = JSON.parse((yield* here("stats", "--dir", directory, "--json")).stdout)
      assert.strictEqual(report.source, "directory")
      assert.strictEqual(report.firstEventId, 1)
      assert.strictEqual(report.lastEventId, 20_000)
      assert.strictEqual(report.meta.lastEventId, 20_000)
      const names = readdirSync(directory)
      const cold = names.filter((name) => name.endsWith(".lz4"))
      assert.isAbove(cold.length, 5)
      assert.strictEqual(report.coldSegments, cold.length)
      assert.strictEqual(report.hotSegments, names.filter((name) => name.endsWith(".wal")).length)
      assert.isAbove(report.ratio, 2)
      assert.isAbove(report.diskFreeBytes, 0)

      const second = yield* record(directory, ...small)
      second.write("one more\n")
      yield* second.durable(20_001)
      yield* second.crash
      assert.isTrue(existsSync(join(directory, "wal.monitor")))
      const text = yield* here("stats", "--dir", directory)
      assert.strictEqual(text.code, 0, text.stderr)
      assert.match(text.stdout, /^events +1 to 20001$/m)
      assert.match(text.stdout, /^recorder +none/m)
      const prometheus = yield* here("stats", "--dir", directory, "--prometheus")
      assert.match(prometheus.stdout, new RegExp(`^effect_wal_cold_segments\\{.*\\} ${cold.length}$`, "m"))
      // Its file is no foreign one.
      assert.notInclude((yield* here("inspect", "--dir", directory)).stdout, "wal.monitor")
    }))
})

describe.concurrent("record --metrics", () => {
  it.live("serves what is true now, on the loopback address alone", () =>
    Effect.gen(function*() {
      const directory = (yield* place)("log")
      const recorder = yield* record(directory, "--metrics", "0")
      const [, url = ""] = yield* recorder.says(/metrics at (\S+)/)
      assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/metrics$/)
      recorder.write(lines(10))
      yield* recorder.durable(10)
      const scrape = Effect.promise(() => fetch(url).then((response) => response.text()))
      assert.include(yield* scrape, `${written(directory)} 10\n`)
      recorder.write(lines(5))
      yield* recorder.durable(15)
      assert.include(yield* scrape, `${written(directory)} 15\n`)
      assert.strictEqual((yield* recorder.end()).code, 0)
    }))
})
