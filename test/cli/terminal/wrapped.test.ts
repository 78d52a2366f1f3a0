import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { mkdirSync } from "node:fs"
import { dirname } from "node:path"
import { wrapped } from "../../../src/cli/terminal/wrapped.ts"
import { SeededRandom } from "../../../src/testing/SeededRandom.ts"
import { here, hereAt, place } from "../commandLine.ts"
import { makeDamagedLog, makeLog } from "../logs.ts"

describe("a line for a terminal", () => {
  it.live("is never longer than 80 columns, whichever command prints it", () =>
    Effect.gen(function*() {
      const at = yield* place
      const deep = at("a-directory-with-a-long-name/and-another-one-below-it/and-the-log")
      mkdirSync(dirname(deep), { recursive: true })
      yield* makeLog(at("log"))
      yield* makeDamagedLog(deep)
      mkdirSync(at("store"))
      const url = `file://${at("store")}/log`
      yield* here("archive", "push", "--archive", url, "--dir", at("log"))
      const commands: ReadonlyArray<ReadonlyArray<string>> = [
        ["inspect", "--dir", at("log")],
        ["stats", "--dir", at("log")],
        ["check", "--dir", at("log")],
        ["verify", "--dir", at("log")],
        ["repair", "--dir", at("log")],
        ["free", "--dir", at("log"), "--before", "81"],
        ["dump", "--dir", at("log"), "--segment", "1"],
        ["dump", "--dir", at("log"), "--segment", "1", "--block", "0"],
        ["archive", "status", "--archive", url],
        ["archive", "verify", "--archive", url],
        ...["inspect", "stats", "top", "verify", "repair", "check"].map((name) => [name, "--dir", deep])
      ]
      for (const command of commands) {
        const { stdout } = yield* hereAt(80, ...command)
        for (const line of stdout.split("\n")) {
          // A path has no place to break.
          if (line.length > 80) assert.notInclude(line.trim(), " ", `${command.join(" ")}: ${line}`)
        }
      }
    }))

  it("is broken at spaces, continues below what it says, and keeps a number with its unit", () => {
    assert.deepStrictEqual(wrapped("segments    hot 3 of 8, cold 12 of 64, ratio 4.31, disk free 72.1 GiB", 40), [
      "segments    hot 3 of 8, cold 12 of 64,",
      "            ratio 4.31, disk free",
      "            72.1 GiB"
    ])
  })

  it("stays whole where it fits, and where it has no place to break", () => {
    assert.deepStrictEqual(wrapped("short", 80), ["short"])
    assert.deepStrictEqual(wrapped("x".repeat(100), 80), ["x".repeat(100)])
  })

  it("loses nothing, and cuts no word, whatever it is and however narrow the terminal", () => {
    const random = new SeededRandom(1)
    for (let round = 0; round < 500; round++) {
      const words = Array.from({ length: 1 + random.below(30) }, () => "w".repeat(1 + random.below(14)))
      const line = words.join(random.chance(0.3) ? "   " : " ")
      const columns = 8 + random.below(90)
      const lines = wrapped(line, columns)
      assert.deepStrictEqual(lines.flatMap((part) => part.trim().split(/ +/)), line.split(/ +/))
      for (const part of lines) if (part.trim().includes(" ")) assert.isAtMost(part.length, columns)
    }
  })
})
