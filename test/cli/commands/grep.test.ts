import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { effectWal, here, place } from "../commandLine.ts"

const lines = [
  "ada paid 12",
  "bob paid 7 \u001b[31mred\u001b[0m",
  "Ada left",
  "x.y(z)",
  "",
  "ada paid 120"
]

describe("grep", () => {
  it.live("prints the events that match, each with its id, and ends with 1 when none does", () =>
    Effect.gen(function*() {
      const dir = (yield* place)("log")
      yield* effectWal(["record", "--dir", dir, "--threads", "0"], `${lines.join("\n")}\n`)
      const grep = (...args: ReadonlyArray<string>) =>
        Effect.map(here("grep", "--dir", dir, ...args), ({ code, stderr, stdout }) => {
          assert.strictEqual(stderr, "")
          return [code, stdout]
        })
      assert.deepStrictEqual(yield* grep("^ada.*\\d+$"), [0, "1:ada paid 12\n6:ada paid 120\n"])
      assert.deepStrictEqual(yield* grep("--ignore-case", "^ada "), [
        0,
        "1:ada paid 12\n3:Ada left\n6:ada paid 120\n"
      ])
      assert.deepStrictEqual(yield* grep("--fixed", "x.y("), [0, "4:x.y(z)\n"])
      assert.deepStrictEqual(yield* grep("--fixed", "--ignore-case", "X.Y("), [0, "4:x.y(z)\n"])
      assert.deepStrictEqual(yield* grep("--count", "paid"), [0, "3\n"])
      assert.deepStrictEqual(yield* grep("--max", "2", "paid"), [
        0,
        "1:ada paid 12\n2:bob paid 7 \\u001b[31mred\\u001b[0m\n"
      ])
      assert.deepStrictEqual(yield* grep("--from", "2", "--to", "5", "^ada"), [1, ""])
      assert.deepStrictEqual(yield* grep("--count", "nobody"), [1, "0\n"])
      assert.deepStrictEqual(yield* grep("^$"), [0, "5:\n"])
      const [, json] = yield* grep("--json", "left")
      assert.deepInclude(JSON.parse(String(json)), { id: 3, text: "Ada left\n" })
    }))
})
