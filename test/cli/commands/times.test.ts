/** `--since` and `--until`: events by when they were written. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as NodeDisk from "../../../src/disk/NodeDisk.ts"
import { buildWal, hot, put } from "../../fixtures/segments.ts"
import { temporaryDirectory } from "../../recorder/fixtures.ts"
import { here } from "../commandLine.ts"

const second = (count: number): string => new Date(1_700_000_000_000 + count * 1000).toISOString()

/** Twenty events in two segments, five to a block; a block a second. */
const timedLog = Effect.gen(function*() {
  const directory = yield* temporaryDirectory
  const wal = buildWal({
    segments: [10, 10],
    commitNanos: (firstEventId) => (1_700_000_000n + BigInt((firstEventId - 1) / 5)) * 1_000_000_000n
  })
  yield* Effect.provide(put(directory, ...wal.map(hot)), NodeDisk.layer)
  return directory
})

const idsIn = (ndjson: string): Array<number> =>
  ndjson.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line).id)

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

describe("times on the command line", () => {
  it.live("export the events of a time, each with its own", () =>
    Effect.gen(function*() {
      const directory = yield* timedLog
      const some = yield* here("export", "--dir", directory, "--since", second(1), "--until", second(2))
      assert.deepStrictEqual([some.code, some.stderr, idsIn(some.stdout)], [0, "", range(6, 15)])
      assert.deepStrictEqual(JSON.parse(some.stdout.split("\n")[0]!), { id: 6, time: second(1), text: "event 6" })
      const late = yield* here("export", "--dir", directory, "--since", second(9))
      assert.deepStrictEqual([late.code, late.stdout, late.stderr], [0, "", ""])
      const old = yield* here("export", "--dir", directory, "--since", "99999h")
      assert.deepStrictEqual(idsIn(old.stdout), range(1, 20))
      const recent = yield* here("export", "--dir", directory, "--since", "10m")
      assert.deepStrictEqual(idsIn(recent.stdout), [])
    }))

  it.live("replay, together with an id at the other end", () =>
    Effect.gen(function*() {
      const directory = yield* timedLog
      const from = yield* here("replay", "--dir", directory, "--since", second(3), "--to", "17")
      assert.deepStrictEqual([from.code, from.stderr, from.stdout], [0, "", "event 16event 17"])
      const to = yield* here("replay", "--dir", directory, "--from", "4", "--until", second(0))
      assert.deepStrictEqual([to.code, to.stderr, to.stdout], [0, "", "event 4event 5"])
    }))

  it.live("dump the first block of a time or later, and the last one of a time or earlier", () =>
    Effect.gen(function*() {
      const directory = yield* timedLog
      const blockOf = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
        const { code, stderr, stdout } = yield* here("dump", "--dir", directory, "--json", ...args)
        assert.deepStrictEqual([code, stderr], [0, ""])
        return Number(JSON.parse(stdout).block.header.firstEventId)
      })
      assert.strictEqual(yield* blockOf("--since", "2001-01-01"), 1)
      assert.strictEqual(yield* blockOf("--since", second(1.5)), 11)
      assert.strictEqual(yield* blockOf("--until", second(1.5)), 6)
      assert.strictEqual(yield* blockOf("--until", "1h"), 16)
      const text = yield* here("dump", "--dir", directory, "--since", second(3))
      assert.include(text.stdout, `written ${second(3)}`)
      for (const args of [["--since", second(4)], ["--until", "2001-01-01"]]) {
        const none = yield* here("dump", "--dir", directory, ...args)
        assert.strictEqual(none.code, 1)
        assert.include(none.stderr, `${directory} has no event that was recorded at that time or `)
      }
    }))
})
