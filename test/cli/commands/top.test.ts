import { assert, describe, it } from "@effect/vitest"
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Terminal from "effect/Terminal"
import * as TestClock from "effect/testing/TestClock"
import { live } from "../../../src/cli/running/top.ts"
import { topFrame, Trend } from "../../../src/cli/views/TopFrame.ts"
import type { MonitorReport } from "../../../src/recorder/monitor/MonitorReport.ts"
import type { DirectoryReport } from "../../../src/report/DirectoryReport.ts"
import type { Stats } from "../../../src/report/Stats.ts"
import * as Telemetry from "../../../src/telemetry/Telemetry.ts"
import { makeBuffer } from "../../../src/telemetry/TelemetryBuffer.ts"
import { atTerminal, bin, effectWal, hasScript, place, start } from "../commandLine.ts"
import { restOfReport } from "../recorderReport.ts"

/** A recorder as its monitor would show it. `at` is in seconds since its start. */
const makeRecorder = () => {
  const telemetry = Telemetry.attach(makeBuffer(1), { nowNanos: () => 1e12 })
  const updater = telemetry.updater(0)
  const report = (at: number, more: Partial<MonitorReport> = {}): Stats => ({
    source: "recorder",
    report: {
      version: 1,
      pid: 4711,
      directory: "/var/log/wal",
      startedMillis: 1_000_000,
      atMillis: 1_000_000 + at * 1000,
      uptimeMillis: at * 1000,
      ...restOfReport,
      telemetry: telemetry.snapshotUnsafe(),
      ...more
    }
  })
  return { updater, report, ran: (nanos: number) => updater.onSync(true, 1e12 - nanos) }
}

const lineOf = (frame: ReadonlyArray<string>, name: string): string =>
  (frame.find((line) => line.startsWith(name)) ?? `no line ${name}`).replace(/ +/g, " ")

describe("topFrame", () => {
  it("shows rates and latencies between two looks, not since the start", () => {
    const { ran, report, updater } = makeRecorder()
    updater.count("eventsWritten", 1_000_000)
    for (let i = 0; i < 100; i++) ran(50_000_000)
    const before = report(100)
    updater.count("eventsWritten", 500)
    updater.count("bytesWritten", 4096)
    for (let i = 0; i < 100; i++) ran(1_000_000)
    const frame = topFrame(report(102), before)
    assert.match(lineOf(frame, "rates"), /^rates 250 events\/s durable, 2\.00 KiB\/s written/)
    assert.match(lineOf(frame, "sync"), /^sync 100 1\.00 ms 1\.00 ms 1\.00 ms$/)
    assert.match(lineOf(frame, "last 2.0 s"), /count p50 p99 max/)
  })

  it("takes the time between two looks from the recorder's own clock, however the wall clock was set meanwhile", () => {
    for (const setMillis of [-30 * 86_400_000, 30 * 86_400_000]) {
      const { report, updater } = makeRecorder()
      const before = report(100)
      updater.count("eventsWritten", 500)
      const frame = topFrame(report(102, { atMillis: 1_000_000 + setMillis }), before)
      assert.match(lineOf(frame, "rates"), /^rates 250 events\/s durable/)
      assert.match(frame[0] ?? "", /up 1\.70 min$/)
    }
  })

  it("shows them since the start at the first look, and after another process has begun", () => {
    const { ran, report, updater } = makeRecorder()
    updater.count("eventsWritten", 1_000)
    ran(3_000_000)
    const first = topFrame(report(10), undefined)
    assert.match(lineOf(first, "rates"), /^rates 100 events\/s/)
    assert.match(lineOf(first, "sync"), /^sync 1 .* 3\.00 ms$/)
    assert.deepStrictEqual(topFrame(report(10), report(5, { pid: 1 })), first)
  })

  it("shows segments, rings, lag and arena", () => {
    const { report, updater } = makeRecorder()
    updater.setMaxSegments(8)
    updater.setGauge("hotSegments", 3)
    updater.setGauge("hotBytes", 3 << 20)
    updater.setGauge("coldSegments", 12)
    updater.count("compressionBytesIn", 400)
    updater.count("compressionBytesOut", 100)
    updater.setGauge("freezePendingTasks", 2)
    updater.setGauge("freezePendingBytes", 2 << 20)
    updater.setGauge("freezeOldestPendingMillis", 1_500)
    updater.setGauge("durableLagEvents", 10)
    updater.setGauge("durableLagMillis", 12)
    const frame = topFrame(report(10), undefined)
    assert.strictEqual(lineOf(frame, "hot"), "hot ████░░░░░░ 3 of 8 segments, 3.00 MiB")
    assert.strictEqual(lineOf(frame, "cold"), "cold ░░░░░░░░░░ 12 of any segments, 0 B, ratio 4.00")
    assert.strictEqual(
      frame.filter((line) => line.startsWith("freeze"))[0]?.replace(/ +/g, " "),
      "freeze 2 2.00 MiB 1.50 s"
    )
    assert.strictEqual(lineOf(frame, "lag"), "lag 10 events not durable, the oldest for 12.0 ms")
    assert.match(lineOf(frame, "arena"), /1 of 4 slots wait for the disk, 2 blank, .* 512 KiB of 1\.00 MiB$/)
  })

  it("shows how a minute was, the newest look on the right, and begins anew with another process", () => {
    const { report, updater } = makeRecorder()
    const trend = new Trend()
    let before = report(0)
    for (let at = 1; at <= 80; at++) {
      updater.count("eventsWritten", at === 80 ? 800 : 100)
      const now = report(at)
      trend.add(now, before)
      before = now
    }
    assert.strictEqual(lineOf(topFrame(before, undefined, trend), "events/s"), `events/s ${"▁".repeat(59)}█`)
    trend.add(report(1, { pid: 1 }), before)
    assert.include(lineOf(topFrame(before, undefined, trend), "events/s"), "no line")
  })

  it("makes trouble visible", () => {
    const { report, updater } = makeRecorder()
    updater.onFailure("DiskFull")
    const { report: quiet } = report(10) as Extract<Stats, { source: "recorder" }>
    const frame = topFrame(
      report(10, {
        maintainer: { ...quiet.maintainer, isDown: true, failures: 1 },
        arena: { ...quiet.arena, heldBack: "DiskFull", heldBackMillis: 90_000, nextTryMillis: 640 },
        failures: [{ atMillis: 0, step: "freeze", reason: "DiskFull", segmentIndex: 3, message: "no\nspace" }]
      }),
      undefined
    )
    assert.match(lineOf(frame, "trouble"), /MAINTAINER DOWN, 1 steps failed for good, 1 failures/)
    assert.match(lineOf(frame, "arena"), /HELD BACK: DiskFull for 1\.50 min, next try in 640 ms$/)
    assert.strictEqual(frame.at(-1), "00:00:00  no; space")
  })
})

const directory: DirectoryReport = {
  directory: "/var/log/wal",
  atMillis: 0,
  hotSegments: 2,
  hotBytes: 10,
  coldSegments: 0,
  coldBytes: 0,
  ratio: 0,
  firstEventId: 1,
  lastEventId: 7,
  meta: null,
  holes: [],
  heldBy: null,
  diskFreeBytes: 1 << 30
}

const makeScreen = (columns: number, rows: number) =>
  Effect.gen(function*() {
    const keys = yield* Queue.unbounded<Terminal.UserInput, Cause.Done>()
    const written: Array<string> = []
    const terminal = Terminal.make({
      columns: Effect.succeed(columns),
      rows: Effect.succeed(rows),
      size: Effect.die("not asked for"),
      readInput: Effect.succeed(keys),
      readLine: Effect.die("not asked for"),
      display: (text) => Effect.sync(() => void written.push(text))
    })
    const press = (name: string, ctrl = false) =>
      Queue.offer(keys, { input: Option.none(), key: { name, ctrl, meta: false, shift: false } })
    return { terminal, written, press }
  })

/** The view at such a terminal, with a picture every second. */
const watch = (terminal: Terminal.Terminal, look: Effect.Effect<Stats, Error>, options: Parameters<typeof live>[2]) =>
  Effect.forkChild(
    live(look, Duration.seconds(1), options).pipe(Effect.provideService(Terminal.Terminal, terminal))
  )

const enter = "\u001b[?1049h\u001b[?25l"
const leave = "\u001b[?25h\u001b[?1049l"

const textOf = (frame: string): string =>
  ["H", "K", "J"].reduce((text, move) => text.replaceAll(`\u001b[${move}`, ""), frame)

describe("the live view", () => {
  it.effect("draws in place at every interval, and leaves the terminal as it was on q", () =>
    Effect.gen(function*() {
      const { press, terminal, written } = yield* makeScreen(60, 5)
      const look = Effect.succeed<Stats>({ source: "directory", report: directory })
      const options = { isColoured: false, hasKeys: true }
      const view = yield* watch(terminal, look, options)
      yield* TestClock.adjust(0)
      assert.isTrue(written[0]?.startsWith(enter))
      assert.strictEqual(written.length, 2)
      yield* TestClock.adjust(3_000)
      assert.strictEqual(written.length, 5)
      for (const frame of written.slice(1)) {
        assert.isTrue(frame.startsWith("\u001b[H"))
        const lines = frame.split("\r\n")
        assert.isAtMost(lines.length, 4)
        // Nothing but home, clear to the end of the line and clear below.
        for (const line of lines) assert.isAtMost(textOf(line).length, 60)
        assert.notInclude(textOf(frame), "\u001b")
      }
      yield* press("x")
      yield* TestClock.adjust(0)
      assert.strictEqual(written.length, 5)
      yield* press("q")
      yield* Fiber.join(view)
      assert.strictEqual(written.at(-1), leave)
    }))

  it.effect("shows a look that failed, and goes on", () =>
    Effect.gen(function*() {
      const { press, terminal, written } = yield* makeScreen(80, 24)
      let looks = 0
      const look = Effect.suspend((): Effect.Effect<Stats, Error> =>
        looks++ === 0 ? Effect.fail(new Error("no answer")) : Effect.succeed({ source: "directory", report: directory })
      )
      const view = yield* watch(terminal, look, { isColoured: true, hasKeys: true })
      yield* TestClock.adjust(1_000)
      assert.include(written[1], "no answer")
      assert.include(written[2], "1 to 7")
      yield* press("c", true)
      yield* Fiber.join(view)
      assert.strictEqual(written.at(-1), leave)
    }))

  it.effect("leaves the terminal as it was when it is interrupted", () =>
    Effect.gen(function*() {
      const { terminal, written } = yield* makeScreen(80, 24)
      const look = Effect.succeed<Stats>({ source: "directory", report: directory })
      const view = yield* watch(terminal, look, { isColoured: true, hasKeys: false })
      yield* TestClock.adjust(1_000)
      yield* Fiber.interrupt(view)
      assert.strictEqual(written.at(-1), leave)
    }))
})

describe("top", () => {
  it.live.skipIf(!hasScript)(
    "prints one picture where standard output is no terminal, and gives a real one back as it was, on q, on Ctrl-C and on a " +
      "signal (needs the command `script`)",
    () =>
      Effect.gen(function*() {
        const directory = (yield* place)("log")
        const recorder = yield* start(["record", "--dir", directory, "--acks"])
        recorder.write("a\nb\nc\n")
        yield* recorder.durable(3)
        const { code, stderr, stdout } = yield* effectWal(["top", "--dir", directory])
        assert.strictEqual(code, 0, stderr)
        assert.match(stdout, /^events +3 appended, 3 durable/m)
        assert.notInclude(stdout, "\u001b")
        const ends: ReadonlyArray<(keyboard: NodeJS.WritableStream, pid: number) => void> = [
          (keyboard) => keyboard.write("q"),
          (keyboard) => keyboard.write("\u0003"),
          (_, pid) => process.kill(pid, "SIGTERM"),
          (_, pid) => process.kill(pid, "SIGHUP")
        ]
        for (const end of ends) {
          const view = `echo pid $$; exec "${process.execPath}" "${bin}" top --dir "${directory}" --interval 100ms`
          const shown = yield* atTerminal(`sh -c '${view}'; echo "code $?"; stty -a`, {
            shows: /pid (\d+)[^]*effect-wal top/,
            act: (keyboard, [, pid]) => end(keyboard, Number(pid))
          })
          const [first, last] = [shown.indexOf(enter), shown.indexOf(leave)]
          assert.isAtLeast(first, 0)
          assert.isAbove(last, shown.indexOf("3 appended, 3 durable"))
          assert.match(shown.slice(last), /code 0/)
          // The line discipline is back: what is typed is shown, and Enter is a line feed.
          assert.match(shown.slice(last), / icanon/)
          assert.match(shown.slice(last), / echo /)
        }
      })
  )
})
