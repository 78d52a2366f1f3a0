/** How far a long command is: the line, and where it is shown. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { progressLine } from "../../../src/cli/terminal/Progress.ts"
import * as NodeDisk from "../../../src/disk/NodeDisk.ts"
import { buildWal, hot, put } from "../../fixtures/segments.ts"
import { atTerminal, bin, drawnTwiceBefore, hasScript, place } from "../commandLine.ts"

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
    assert.strictEqual(
      progressLine({ label: "exporting", unit: "events", done: 100, total: 400 }, 10),
      "exporting  [####------------] 25 %  30 s left  10 events/s  100 of 400 events"
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

/** What was drawn over and over, and what was left of it in the end. */
const drawnIn = (shown: string): readonly [drawn: ReadonlyArray<string>, left: string] => {
  const parts = shown.split("\r\u001b[K").slice(1)
  return [parts.slice(0, -1), parts.at(-1) ?? ""]
}

describe("at a terminal", () => {
  it.live.skipIf(!hasScript)(
    "shows how far it is and takes it away again, and not beside --json (needs the command `script`)",
    () =>
      Effect.gen(function*() {
        const directory = (yield* place)("log")
        const segments = buildWal({ segments: Array.from({ length: 20 }, () => 100) })
        yield* put(directory, ...segments.map(hot)).pipe(Effect.provide(NodeDisk.layer))
        // `inspect` opens 16 segments at once. `stats` opens the oldest segment and the newest two, and asks for the
        // lengths of all before. With 80 columns a line may end within its last word.
        const cases: ReadonlyArray<readonly [command: string, line: RegExp, result: RegExp]> = [
          [
            "verify",
            /^verifying {2}\[#*-*\] \d+ % {2}\d+ s left {2}\S+ \S+\/s {2}.* of .* KiB$/,
            /^\S+: 20 segments with 2000 events are intact, 0 faults\r\n$/
          ],
          [
            "inspect",
            /^inspecting {2}\[#*-*\] \d+ % {2}\d+ s left {2}\d+ segments\/s {2}\d+ of 20 seg[a-z]*$/,
            /^index +state [^]* hot +100 /
          ],
          [
            "stats",
            /^looking {2}\[#+\] 100 % {2}0 s left {2}\d+ segments\/s {2}20 of 20 seg[a-z]*$/,
            /^recorder +none [^]* 1 to 2000\r\n/
          ]
        ]
        yield* Effect.forEach(cases, ([command, line, result]) =>
          Effect.gen(function*() {
            const run = `'${process.execPath}' '${bin}' ${command} --dir '${directory}'`
            const [drawn, left] = drawnIn(yield* atTerminal(run, { env: drawnTwiceBefore(16) }))
            assert.isAtLeast(drawn.length, 2, "it is drawn again")
            assert.match(drawn.at(-1) ?? "", line)
            assert.match(left, result)
            assert.match(yield* atTerminal(`${run} --json`), /^\{.*\}\r\n$/)
          }), { concurrency: 2 })
      })
  )
})
