import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { monitorName, monitorTemporaryName } from "../../../src/disk/FileNames.ts"
import * as NodeDisk from "../../../src/disk/NodeDisk.ts"
import { SegmentMaintainer } from "../../../src/maintainer/SegmentMaintainer.ts"
import * as Monitor from "../../../src/recorder/monitor/Monitor.ts"
import { MonitorError } from "../../../src/recorder/monitor/MonitorSocket.ts"
import { Recorder } from "../../../src/recorder/Recorder.ts"
import * as Wal from "../../../src/recorder/Wal.ts"
import { Telemetry } from "../../../src/telemetry/Telemetry.ts"
import { small, temporaryDirectory, text } from "../fixtures.ts"

const monitored = (directory: string) => Monitor.layer.pipe(Layer.provideMerge(Wal.layer({ ...small, directory })))

const socketOf = (directory: string): string => JSON.parse(readFileSync(join(directory, monitorName), "utf8")).socket

describe("Monitor", () => {
  it.live("says how the running recorder stands", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* Effect.gen(function*() {
        const recorder = yield* Recorder
        const maintainer = yield* SegmentMaintainer
        yield* recorder.append(text(1))
        yield* recorder.append(text(2))
        yield* recorder.commit
        yield* recorder.append(text(3))
        yield* maintainer.hold({ name: "archive", fromSegmentIndex: 0 })
        const report = yield* Monitor.read(directory)
        assert.isDefined(report)
        assert.strictEqual(report.pid, process.pid)
        assert.strictEqual(report.directory, directory)
        assert.deepStrictEqual(report.positions, { appended: 3, durable: 2, compressed: 0, deletedBefore: 1 })
        assert.deepStrictEqual(report.maintainer.limits, small.limits)
        assert.deepStrictEqual(report.maintainer.holds, [{
          name: "archive",
          fromSegmentIndex: 0,
          expiresMillis: null,
          isExceeded: false
        }])
        assert.strictEqual(report.arena.slots, 4)
        assert.strictEqual(report.arena.active, 1)
        assert.strictEqual(report.arena.blank, 3)
        assert.isAbove(report.arena.activeBytes, 0)
        assert.strictEqual(report.arena.heldBack, "None")
        assert.deepStrictEqual(report.failures, [])
        assert.strictEqual(report.telemetry.counters.eventsWritten, 2)
        assert.strictEqual(report.telemetry.gauges.durableLagEvents, 1)
        assert.strictEqual(report.telemetry.gauges.hotSegments, 1)
        assert.strictEqual(report.telemetry.operations.commit.samples, 1)
        const { operations } = yield* Telemetry.use((telemetry) => telemetry.snapshot)
        assert.deepStrictEqual(report.telemetry.operations.commit, operations.commit)
      }).pipe(Effect.provide(monitored(directory)))
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.live("answers many at once, each with what is true then", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* Effect.gen(function*() {
        const recorder = yield* Recorder
        for (let id = 1; id <= 5; id++) {
          yield* recorder.appendDurable(text(id))
          const reports = yield* Effect.all(Array.from({ length: 20 }, () => Monitor.read(directory)), {
            concurrency: "unbounded"
          })
          assert.deepStrictEqual(
            reports.map((report) => report?.positions.durable),
            Array.from({ length: 20 }, () => id)
          )
        }
      }).pipe(Effect.provide(monitored(directory)))
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.live("writes its file once, whoever asks", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* Effect.gen(function*() {
        const recorder = yield* Recorder
        const path = join(directory, monitorName)
        const before = statSync(path, { bigint: true })
        for (let id = 1; id <= 20; id++) {
          yield* recorder.appendDurable(text(id))
          yield* Monitor.read(directory)
        }
        const after = statSync(path, { bigint: true })
        assert.strictEqual(after.ino, before.ino)
        assert.strictEqual(after.ctimeNs, before.ctimeNs)
        assert.isFalse(existsSync(join(directory, monitorTemporaryName)))
      }).pipe(Effect.provide(monitored(directory)))
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.live("is there for this user alone, and goes with its scope", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const socket = yield* Effect.sync(() => {
        const socket = socketOf(directory)
        assert.strictEqual(statSync(socket).mode & 0o777, 0o600)
        assert.strictEqual(statSync(dirname(socket)).mode & 0o777, 0o700)
        return socket
      }).pipe(Effect.provide(monitored(directory)))
      assert.isFalse(existsSync(dirname(socket)))
      assert.notInclude(readdirSync(directory), monitorName)
      assert.isUndefined(yield* Monitor.read(directory))
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.live("knows that a socket nobody listens at is no recorder, and takes the place of its file", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const path = join(directory, monitorName)
      writeFileSync(path, JSON.stringify({ version: 1, pid: 1, socket: join(directory, "gone", "socket") }))
      assert.isUndefined(yield* Monitor.read(directory))
      // A file that is no socket stands there now.
      writeFileSync(path, JSON.stringify({ version: 1, pid: 1, socket: path }))
      assert.isUndefined(yield* Monitor.read(directory))
      const report = yield* Monitor.read(directory).pipe(Effect.provide(monitored(directory)))
      assert.strictEqual(report?.pid, process.pid)
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.live("refuses what it cannot read", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      for (const content of ["", "{", `{"version":2,"pid":1,"socket":"/x"}`, "\0".repeat(20_000)]) {
        writeFileSync(join(directory, monitorName), content)
        const error = yield* Effect.flip(Monitor.read(directory))
        assert.instanceOf(error, MonitorError)
        assert.strictEqual(error.reason, "Unreadable")
        assert.include(error.message, monitorName)
      }
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.live("costs a warning and not the recording when it cannot be opened", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const before = process.env.TMPDIR
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          process.env.TMPDIR = join(directory, "missing")
        }),
        () =>
          Effect.sync(() => {
            if (before === undefined) delete process.env.TMPDIR
            else process.env.TMPDIR = before
          })
      )
      yield* Effect.gen(function*() {
        const recorder = yield* Recorder
        assert.strictEqual(yield* recorder.appendDurable(text(1)), 1)
        assert.isUndefined(yield* Monitor.read(directory))
      }).pipe(Effect.provide(monitored(directory)))
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))
})
