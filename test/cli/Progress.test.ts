/** How far a long command is: the line, and where it is shown. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { progressLine } from "../../src/cli/Progress.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { buildWal, hot, put } from "../fixtures/segments.ts"
import { bin, place } from "./commandLine.ts"

const mebibyte = 1024 * 1024

describe("progressLine", () => {
  it("shows bar, amount, rate and time left where the end is known", () => {
    assert.strictEqual(
      progressLine({ label: "verifying", unit: "bytes", done: 25 * mebibyte, total: 100 * mebibyte }, 5),
      "verifying  [####------------] 25 %  15 s left  5.00 MiB/s  25.0 MiB of 100 MiB"
    )
    assert.strictEqual(
      progressLine({ label: "measuring", unit: "seconds", done: 1, total: 2 }, 1),
      "measuring  [########--------] 50 %  1 s left"
    )
  })

  it("shows amount and rate alone where it is not", () => {
    assert.strictEqual(
      progressLine({ label: "recording", unit: "events", done: 3000, total: undefined, note: "7 not durable yet" }, 2),
      "recording  1500 events/s  3000 events  7 not durable yet"
    )
  })

  it("shows long times in minutes and hours, and never more than all of it", () => {
    const bytes = { label: "x", unit: "bytes", total: 1000 * mebibyte } as const
    assert.match(progressLine({ ...bytes, done: mebibyte }, 0.2), /3 min 20 s left /)
    assert.match(progressLine({ ...bytes, done: mebibyte }, 8), /2 h 13 min left /)
    assert.match(progressLine({ ...bytes, done: 1001 * mebibyte }, 1), /\] 100 % {2}0 s left .* 1000 MiB of 1000 MiB$/)
    assert.match(progressLine({ ...bytes, done: 0 }, 1), /% {2}0 B\/s /)
    assert.match(progressLine({ label: "x", unit: "events", done: 0, total: 0 }, 1), /\] 100 %/)
  })
})

/** `script` gives a command a terminal of its own. */
const hasScript = spawnSync("script", ["--version"]).status === 0

const atTerminal = (command: string): Effect.Effect<string> =>
  Effect.promise(async () => {
    const env = { ...process.env, SHELL: "/bin/sh", TERM: "xterm", NO_COLOR: "" }
    const child = spawn("script", ["-qfec", command, "/dev/null"], { env })
    let shown = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => (shown += text))
    await once(child, "close")
    return shown
  })

describe("at a terminal", () => {
  it.live.skipIf(!hasScript)(
    "shows how far it is and takes it away again, and not beside --json (needs the command `script`)",
    () =>
      Effect.gen(function*() {
        const directory = (yield* place)("log")
        const segments = buildWal({ segments: Array.from({ length: 20 }, () => 100) })
        yield* put(directory, ...segments.map(hot)).pipe(Effect.provide(NodeDisk.layer))
        const bytes = segments.reduce((sum, segment) => sum + segment.bytes.length, 0)
        const verify = `'${process.execPath}' '${bin}' verify --dir '${directory}' --rate ${Math.round(bytes / 1.2)}`
        const [shown, quiet] = yield* Effect.all([atTerminal(verify), atTerminal(`${verify} --json`)], {
          concurrency: 2
        })
        const [drawn = "", ...rest] = shown.split("\r\u001b[K").slice(1)
        assert.match(drawn, /^verifying {2}\[#*-+\] \d+ % {2}\d+ s left {2}.*\/s {2}.* of .* KiB$/)
        assert.isAtLeast(rest.length, 2, "it is drawn again, and taken away")
        assert.match(rest.at(-1) ?? "", /^\S+: 20 segments with 2000 events hold, 0 faults\r\n$/)
        assert.match(quiet, /^\{.*\}\r\n$/)
      })
  )
})
