import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { MonitorReport } from "../../src/recorder/MonitorReport.ts"
import { logDirectory, run, startRecorder } from "./running.ts"

const lines = (count: number): string =>
  Array.from({ length: count }, (_, line) => `line ${line} of the log, with some words in it\n`).join("")

describe("stats", () => {
  it.live("asks the recorder that runs in the directory", () =>
    Effect.gen(function*() {
      const directory = yield* logDirectory
      const recorder = yield* startRecorder(directory)
      recorder.write(lines(1_000))
      yield* recorder.durable(1_000)
      const json = yield* run("stats", "--dir", directory, "--json")
      assert.strictEqual(json.code, 0, json.stderr)
      const { source, ...rest } = JSON.parse(json.stdout)
      assert.strictEqual(source, "recorder")
      const report = Schema.decodeUnknownSync(MonitorReport)(rest)
      assert.strictEqual(report.pid, recorder.child.pid)
      assert.strictEqual(report.positions.durable, 1_000)
      assert.strictEqual(report.telemetry.counters.eventsWritten, 1_000)
      assert.strictEqual(report.telemetry.gauges.durableLagEvents, 0)

      const text = yield* run("stats", "--dir", directory)
      assert.include(text.stdout, `process ${recorder.child.pid}`)
      assert.match(text.stdout, /^newest event +1000, durable 1000, compressed 0$/m)
      assert.match(text.stdout, /^events written +1000$/m)

      const prometheus = yield* run("stats", "--dir", directory, "--prometheus")
      assert.include(prometheus.stdout, `effect_wal_written_events_total{subsystem="wal_persistence_worker"} 1000\n`)
      assert.strictEqual(yield* recorder.end, 0)
      assert.notInclude(readdirSync(directory), "wal.monitor")
    }).pipe(Effect.scoped))

  it.live("looks at the directory when no recorder runs, and after one that was killed", () =>
    Effect.gen(function*() {
      const directory = yield* logDirectory
      const small = ["--segment-bytes", "64KiB", "--max-segments", "2"]
      const first = yield* startRecorder(directory, ...small)
      first.write(lines(20_000))
      assert.strictEqual(yield* first.end, 0, first.said())
      const rest = yield* run("stats", "--dir", directory, "--json")
      const report = JSON.parse(rest.stdout)
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

      const second = yield* startRecorder(directory, ...small)
      second.write("one more\n")
      yield* second.durable(20_001)
      yield* second.crash
      assert.isTrue(existsSync(join(directory, "wal.monitor")))
      const text = yield* run("stats", "--dir", directory)
      assert.strictEqual(text.code, 0, text.stderr)
      assert.match(text.stdout, /^events +1 to 20001$/m)
      assert.match(text.stdout, /^recorder +none/m)
      const prometheus = yield* run("stats", "--dir", directory, "--prometheus")
      assert.match(prometheus.stdout, new RegExp(`^effect_wal_cold_segments\\{.*\\} ${cold.length}$`, "m"))
      // Its file is no foreign one.
      assert.notInclude((yield* run("inspect", "--dir", directory)).stdout, "wal.monitor")
    }).pipe(Effect.scoped))

  it.live("refuses a directory that is not there, and two formats at once", () =>
    Effect.gen(function*() {
      const directory = yield* logDirectory
      const missing = yield* run("stats", "--dir", directory)
      assert.strictEqual(missing.code, 1)
      assert.include(missing.stderr, `${directory} does not exist`)
      const both = yield* run("stats", "--dir", join(directory, ".."), "--json", "--prometheus")
      assert.strictEqual(both.code, 2)
      assert.include(both.stderr, "--json or --prometheus")
    }).pipe(Effect.scoped))
})

describe("record --metrics", () => {
  it.live("serves what is true now, on the loopback address alone", () =>
    Effect.gen(function*() {
      const directory = yield* logDirectory
      const recorder = yield* startRecorder(directory, "--metrics", "0")
      const [, url = ""] = yield* recorder.says(/metrics at (\S+)/)
      assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/metrics$/)
      recorder.write(lines(10))
      yield* recorder.durable(10)
      const scrape = Effect.promise(() => fetch(url).then((response) => response.text()))
      assert.include(yield* scrape, `effect_wal_written_events_total{subsystem="wal_persistence_worker"} 10\n`)
      recorder.write(lines(5))
      yield* recorder.durable(15)
      assert.include(yield* scrape, `effect_wal_written_events_total{subsystem="wal_persistence_worker"} 15\n`)
      assert.strictEqual(yield* recorder.end, 0)
    }).pipe(Effect.scoped))

  it.live("says which port is taken, and refuses one that is none", () =>
    Effect.gen(function*() {
      const directory = yield* logDirectory
      const recorder = yield* startRecorder(directory, "--metrics", "0")
      const [, port = ""] = yield* recorder.says(/127\.0\.0\.1:(\d+)/)
      const taken = yield* run("record", "--dir", `${directory}2`, "--metrics", port)
      assert.strictEqual(taken.code, 1)
      assert.match(taken.stderr, /127\.0\.0\.1:\d+ .*another port/)
      const wrong = yield* run("record", "--dir", directory, "--metrics", "70000")
      assert.strictEqual(wrong.code, 2)
      assert.include(wrong.stderr, "65535")
    }).pipe(Effect.scoped))
})
