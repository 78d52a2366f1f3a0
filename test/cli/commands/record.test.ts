/**
 * What goes in comes out: `record` as a process of its own, its end by a signal or a kill, and what readers then find.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFileSync, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { join } from "node:path"
import { effectWal, here, installedBin, place, start } from "../commandLine.ts"

/** Lines of many lengths, some empty, some not ASCII, some with CR; no line feed at the end. */
const makeText = (lines: number): Buffer => {
  const parts: Array<string> = []
  for (let line = 0; line < lines; line++) {
    const kind = (line * 7919) % 11
    parts.push(
      kind === 0
        ? ""
        : kind === 1
        ? `zażółć ${line} 注文 ✓\r`
        : `${line} ${"order filled ".repeat(kind)}${(line * 2654435761) % 99991}`
    )
  }
  return Buffer.from(parts.join("\n"))
}

const lineCount = 20_000
/** About 1.2 MB. */
const text = makeText(lineCount)

const names = (directory: string, ending: string): Array<string> =>
  fs.readdirSync(directory).filter((name) => name.endsWith(ending)).sort()

const indexOf = (name: string): number => Number(name.slice(3, 11))

const hasLz4 = spawnSync("lz4", ["--version"]).status === 0

const smallSegments = ["--segment-bytes", "64KiB", "--max-segments", "4"]

describe.concurrent("record and replay", () => {
  it.live("goes on after a line that is too long when it is told to: without it, or with it in parts", () =>
    Effect.gen(function*() {
      const at = yield* place
      const [long, input] = ["x".repeat(10_000), `a\n${"x".repeat(10_000)}\nb\n`]
      const expected = { fail: [1, "a\n"], skip: [0, "a\nb\n"], split: [0, `a\n${long}\nb\n`] } as const
      for (const [rule, [code, replayed]] of Object.entries(expected)) {
        const args = ["record", "--dir", at(rule), "--segment-bytes", "4KiB", "--json", "--on-long-line", rule]
        const ended = yield* effectWal(args, input)
        assert.strictEqual(ended.code, code, ended.stderr)
        assert.strictEqual((yield* here("replay", "--dir", at(rule))).stdout, replayed)
        if (code === 0) assert.strictEqual(JSON.parse(ended.stdout).longLines, 1)
      }
    }))

  it.live("gives back a large text byte for byte, within the limit of hot segments", () =>
    Effect.gen(function*() {
      const directory = (yield* place)("log")
      const recorded = yield* effectWal(
        ["record", "--dir", directory, ...smallSegments, "--max-compressed-segments", "512", "--json"],
        text,
        { bin: installedBin }
      )
      assert.strictEqual(recorded.code, 0, recorded.stderr)
      const summary = JSON.parse(recorded.stdout)
      assert.deepInclude(summary, { events: lineCount, bytes: text.length, lastEventId: lineCount, failures: 0 })
      assert.strictEqual(summary.durableEventId, lineCount)
      const [replayed, verified] = [
        yield* here("replay", "--dir", directory),
        yield* here("verify", "--dir", directory)
      ]
      assert.isTrue(replayed.bytes.equals(text), "the replay equals the input")
      assert.strictEqual(replayed.stderr, "")
      assert.strictEqual(verified.code, 0, verified.stdout)
      const cold = names(directory, ".wal.lz4").map((name) => join(directory, name))
      assert.isAtLeast(cold.length, 12)
      assert.isAtMost(names(directory, ".wal").length, 4)
      assert.deepStrictEqual(names(directory, ".tmp"), [])

      // Cold files are what the lz4 command unpacks to segments.
      if (!hasLz4) return
      execFileSync("lz4", ["-t", "-q", "-m", ...cold])
      execFileSync("lz4", ["-d", "-q", "-m", "--rm", ...cold])
      assert.deepStrictEqual(names(directory, ".lz4"), [])
      const unpacked = yield* effectWal(["replay", "--dir", directory])
      assert.isTrue(unpacked.bytes.equals(text), "so does that of the unpacked segments")
    }))

  it.live("keeps exactly the newest segments, and says where the replay starts", () =>
    Effect.gen(function*() {
      const directory = (yield* place)("log")
      const input = text.subarray(0, 1_250_000)
      const recorded = yield* effectWal(
        ["record", "--dir", directory, ...smallSegments, "--max-compressed-segments", "4", "--json"],
        input
      )
      const summary = JSON.parse(recorded.stdout)
      const cold = names(directory, ".lz4").map(indexOf)
      const hot = names(directory, ".wal").map(indexOf)
      assert.strictEqual(cold.length, 4)
      const newest = Math.max(...hot)
      assert.strictEqual(summary.deletedSegments, newest + 1 - cold.length - hot.length)
      assert.deepStrictEqual(
        [...cold, ...hot],
        Array.from({ length: cold.length + hot.length }, (_, position) =>
          newest + 1 - cold.length - hot.length + position)
      )
      const { segments } = JSON.parse((yield* here("inspect", "--dir", directory, "--json")).stdout)
      const firstId: number = segments[0].firstEventId
      assert.isAbove(firstId, 1)
      const replayed = yield* here("replay", "--dir", directory)
      assert.match(replayed.stderr, new RegExp(`^effect-wal: replay starts at event ${firstId};`))
      const lines = input.toString("latin1").split("\n")
      assert.strictEqual(replayed.bytes.toString("latin1"), lines.slice(firstId - 1).join("\n"))
      // What is gone is not silently left out.
      const gone = yield* here("replay", "--dir", directory, "--from", "1")
      assert.strictEqual(gone.code, 1)
      assert.include(gone.stderr, `event 1 was deleted by retention; the oldest event is ${firstId}`)
      assert.strictEqual(gone.stdout, "")
    }))

  it.live("goes on with ids in the same segment, replays two inputs in order, and does not mind a foreign file", () =>
    Effect.gen(function*() {
      const directory = (yield* place)("log")
      fs.mkdirSync(directory)
      fs.writeFileSync(join(directory, "notes.txt"), "mine")
      const first = Buffer.from("a\n\nb without an end")
      const second = Buffer.from("\nc\n\n")
      const one = yield* effectWal(["record", "--dir", directory, "--json", "--threads", "0"], first)
      const two = yield* effectWal(["record", "--dir", directory, "--json", "--commit", "100ms"], second)
      assert.deepInclude(JSON.parse(one.stdout), { firstEventId: 1, lastEventId: 3 })
      assert.deepInclude(JSON.parse(two.stdout), { firstEventId: 4, lastEventId: 6 })
      assert.isTrue((yield* here("replay", "--dir", directory)).bytes.equals(Buffer.concat([first, second])))
      const part = yield* here("replay", "--dir", directory, "--from", "3", "--to", "5")
      assert.strictEqual(part.stdout, "b without an end\nc\n")
      const { segments } = JSON.parse((yield* here("inspect", "--dir", directory, "--json")).stdout)
      assert.deepStrictEqual(
        segments.map((segment: { readonly segmentIndex: number }) => segment.segmentIndex),
        [0]
      )
      const verified = yield* here("verify", "--dir", directory)
      assert.strictEqual(verified.code, 0)
      for (const { stdout } of [verified, yield* here("inspect", "--dir", directory)]) {
        assert.include(stdout, "note: notes.txt is not a segment")
        assert.notInclude(stdout, "wal_meta")
      }
      assert.strictEqual(fs.readFileSync(join(directory, "notes.txt"), "utf8"), "mine")
    }))

  it.live("records length-prefixed messages, and replays them so; without input it leaves nothing behind", () =>
    Effect.gen(function*() {
      const directory = (yield* place)("log")
      const framing = ["--dir", directory, "--framing", "length-prefixed"]
      assert.strictEqual((yield* effectWal(["record", ...framing])).code, 0)
      assert.deepStrictEqual(fs.readdirSync(directory), [])
      const input = Buffer.from("\x03\0\0\0a\nb\0\0\0\0\x01\0\0\0z", "latin1")
      assert.strictEqual((yield* effectWal(["record", ...framing], input)).code, 0)
      assert.isTrue((yield* here("replay", ...framing)).bytes.equals(input))
    }))

  it.live("clamps limits outside their range, with a warning", () =>
    Effect.gen(function*() {
      const limits = ["--max-segments", "1", "--max-compressed-segments", "1000", "--threads", "-1"]
      const recorded = yield* effectWal(["record", "--dir", (yield* place)("log"), ...limits], "a\n")
      assert.strictEqual(recorded.code, 0)
      assert.include(recorded.stderr, "warning: --max-segments 1 is outside 2 to 128; using 2")
      assert.include(recorded.stderr, "warning: --max-compressed-segments 1000 is outside 4 to 512; using 512")
      assert.include(recorded.stderr, "warning: --threads -1 is outside 0 to 16; using 0")
    }))
})

describe.concurrent("verify", () => {
  it.live("finds a flipped byte in any kind of place, with file and offset", () =>
    Effect.gen(function*() {
      const directory = (yield* place)("log")
      const small = ["--segment-bytes", "64KiB", "--max-segments", "6"]
      yield* effectWal(["record", "--dir", directory, ...small], text.subarray(0, 600_000))
      const files = [...names(directory, ".wal.lz4"), ...names(directory, ".wal")].map((name) => join(directory, name))
      assert.isAtLeast(files.length, 8)
      // The magic, a header field, the middle, the last byte; one place in each file, hot and cold.
      const places = [0, 20, 0.5, 0.99999]
      for (const [number, file] of files.entries()) {
        const bytes = fs.readFileSync(file)
        const at = places[number % places.length] ?? 0
        const offset = at < 1 ? Math.floor(at * bytes.length) : at
        bytes.writeUInt8(bytes.readUInt8(offset) ^ 0x10, offset)
        fs.writeFileSync(file, bytes)
      }
      const verified = yield* here("verify", "--dir", directory)
      assert.strictEqual(verified.code, 1)
      assert.strictEqual(verified.stderr, "")
      const faults = verified.stdout.split("\n").filter((line) => line.startsWith("fault: "))
      for (const file of files) {
        assert.isTrue(
          faults.some((line) => line.startsWith(`fault: ${file}: `) && /offset \d+/.test(line)),
          `${file} is named with an offset in\n${faults.join("\n")}`
        )
      }
    }))
})

describe.concurrent("a recorder that is stopped", () => {
  it.live("records what it has read when SIGTERM comes, and ends with 0", () =>
    Effect.gen(function*() {
      const directory = (yield* place)("log")
      const running = yield* start(["record", "--dir", directory, "--acks", "--json"])
      const input = text.subarray(0, text.indexOf("\n", 1_000_000) + 1)
      const lines = input.toString("latin1").split("\n").length - 1
      running.write(input)
      yield* running.durable(lines)
      running.child.kill("SIGTERM")
      const { code, stderr, stdout } = yield* running.ended
      assert.strictEqual(code, 0, stderr)
      const said = stdout.trim().split("\n")
      assert.deepInclude(JSON.parse(said.at(-1) ?? ""), { endedBy: "SIGTERM", events: lines, durableEventId: lines })
      const acks = said.slice(0, -1).map((line) => Number(/^durable (\d+)$/.exec(line)?.[1]))
      assert.deepStrictEqual(acks, [...new Set(acks)].sort((a, b) => a - b), "acknowledged ids only grow")
      assert.strictEqual(acks.at(-1), lines)
      assert.isTrue((yield* here("replay", "--dir", directory)).bytes.equals(input))
    }))

  it.live("has on disk what it acknowledged when it is killed", () =>
    Effect.gen(function*() {
      const directory = (yield* place)("log")
      const running = yield* start(["record", "--dir", directory, "--acks", "--segment-bytes", "256KiB"])
      running.write(text)
      const acknowledgedId = yield* running.durable(5000)
      yield* running.crash
      assert.strictEqual((yield* effectWal(["record", "--dir", directory])).code, 0)
      const verified = yield* here("verify", "--dir", directory)
      assert.strictEqual(verified.code, 0, verified.stdout)
      const { bytes } = yield* here("replay", "--dir", directory)
      assert.isTrue(bytes.equals(text.subarray(0, bytes.length)), "a beginning of the input")
      assert.isAtLeast(bytes.toString("latin1").split("\n").length - 1, acknowledgedId)
    }))
})
