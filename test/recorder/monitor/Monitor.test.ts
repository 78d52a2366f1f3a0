import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import type { Socket } from "node:net"
import { join } from "node:path"
import { monitorName, monitorTemporaryName } from "../../../src/disk/FileNames.ts"
import * as NodeDisk from "../../../src/disk/NodeDisk.ts"
import * as UnixSocket from "../../../src/disk/UnixSocket.ts"
import { SegmentMaintainer } from "../../../src/maintainer/SegmentMaintainer.ts"
import * as Monitor from "../../../src/recorder/monitor/Monitor.ts"
import { MonitorError } from "../../../src/recorder/monitor/MonitorError.ts"
import { Recorder } from "../../../src/recorder/Recorder.ts"
import * as Wal from "../../../src/recorder/WalParts.ts"
import { Telemetry } from "../../../src/telemetry/Telemetry.ts"
import { small, temporaryDirectory, text } from "../fixtures.ts"

const monitored = (directory: string) => Monitor.layer.pipe(Layer.provideMerge(Wal.layer({ ...small, directory })))

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

  it.live("writes nothing, whoever asks", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* Effect.gen(function*() {
        const path = join(directory, monitorName)
        const before = statSync(path, { bigint: true })
        for (let times = 1; times <= 20; times++) yield* Monitor.read(directory)
        const after = statSync(path, { bigint: true })
        assert.strictEqual(after.ino, before.ino)
        assert.strictEqual(after.ctimeNs, before.ctimeNs)
        assert.isFalse(existsSync(join(directory, monitorTemporaryName)))
      }).pipe(Effect.provide(monitored(directory)))
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.live("is there for this user alone, and goes with its scope", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* Effect.sync(() => {
        const stat = statSync(join(directory, monitorName))
        assert.isTrue(stat.isSocket())
        assert.strictEqual(stat.mode & 0o777, 0o600)
      }).pipe(Effect.provide(monitored(directory)))
      assert.notInclude(readdirSync(directory), monitorName)
      assert.isUndefined(yield* Monitor.read(directory))
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.live("is found whatever the directory for temporary files is, and however long the path", () =>
    Effect.gen(function*() {
      const directory = join(yield* temporaryDirectory, "a".repeat(120))
      const before = process.env.TMPDIR
      const put = (value: string | undefined) =>
        Effect.sync(() => {
          if (value === undefined) delete process.env.TMPDIR
          else process.env.TMPDIR = value
        })
      yield* Effect.acquireRelease(put(join(directory, "missing")), () => put(before))
      yield* Effect.gen(function*() {
        yield* put("/proc")
        assert.strictEqual((yield* Monitor.read(directory))?.pid, process.pid)
      }).pipe(Effect.provide(monitored(directory)))
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.live("is replaced when the recorder that made it is dead, or when it is something else", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const path = join(directory, monitorName)
      const leave = (make: (path: string) => void) =>
        Effect.gen(function*() {
          make(path)
          make(join(directory, monitorTemporaryName))
          assert.isUndefined(yield* Monitor.read(directory))
          const report = yield* Monitor.read(directory).pipe(Effect.provide(monitored(directory)))
          assert.strictEqual(report?.pid, process.pid)
          assert.deepStrictEqual(readdirSync(directory).filter((name) => name.startsWith(monitorName)), [])
        })
      yield* leave((name) => void deadSocket(name))
      yield* leave((name) => writeFileSync(name, "what an older version left"))
      yield* leave((name) => symlinkSync("/dev/null", name))
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.live("does not ask through a link", () =>
    Effect.gen(function*() {
      const [directory, elsewhere] = [yield* temporaryDirectory, yield* temporaryDirectory]
      yield* Effect.gen(function*() {
        symlinkSync(join(elsewhere, monitorName), join(directory, monitorName))
        assert.isUndefined(yield* Monitor.read(directory))
      }).pipe(Effect.provide(monitored(elsewhere)))
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  const answering = (directory: string, onConnection: (connection: Socket) => void) =>
    Effect.acquireRelease(UnixSocket.listen(join(directory, monitorName), onConnection), (end) => end)

  it.live("refuses what it cannot read", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      for (const content of ["{", `{"version":2}`, "\0".repeat(20_000), "x".repeat(17 * 1024 * 1024)]) {
        yield* Effect.scoped(Effect.gen(function*() {
          yield* answering(directory, (connection) => void connection.on("error", () => undefined).end(content))
          const error = yield* Effect.flip(Monitor.read(directory))
          assert.instanceOf(error, MonitorError)
          assert.strictEqual(error.reason._tag, "Unreadable")
          assert.include(error.message, monitorName)
        }))
        rmSync(join(directory, monitorName), { force: true })
      }
    }).pipe(Effect.scoped))

  it.live("waits for a whole answer for no more than five seconds, however steadily it comes", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* answering(directory, (connection) => {
        const timer = setInterval(() => connection.write("x"), 100)
        connection.on("error", () => undefined).on("close", () => clearInterval(timer))
      })
      const begun = performance.now()
      const error = yield* Effect.flip(Monitor.read(directory))
      assert.instanceOf(error, MonitorError)
      assert.strictEqual(error.reason._tag, "NoAnswer")
      assert.isBelow(performance.now() - begun, 8_000)
    }).pipe(Effect.scoped))

  it.live("costs a warning and not the recording when it cannot be opened", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      mkdirSync(join(directory, monitorName))
      yield* Effect.gen(function*() {
        const recorder = yield* Recorder
        assert.strictEqual(yield* recorder.appendDurable(text(1)), 1)
        assert.isUndefined(yield* Monitor.read(directory))
      }).pipe(Effect.provide(monitored(directory)))
      assert.notInclude(readdirSync(directory), monitorTemporaryName)
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))
})

/** A socket that a process has left that was killed. */
const deadSocket = (path: string) =>
  spawnSync(process.execPath, [
    "-e",
    "require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))",
    path
  ])
