/** The log of a recorder that other processes append to and read: `record --offer`, `append` and `tail`. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { effectWal, here, place, slowly, start, statsOf, until } from "../commandLine.ts"
import type { StartOptions } from "../commandLine.ts"

/** A recorder without an input of its own, when it listens; and its address. */
const offered = Effect.fnUntraced(function*(
  directory: string,
  address: string,
  args: ReadonlyArray<string> = [],
  options: StartOptions = {}
) {
  const recorder = yield* start(["record", "--dir", directory, "--offer", address, ...args], options)
  recorder.child.stdin.end()
  const [, at = ""] = yield* recorder.says(/offered at (.*), until a signal/)
  return { recorder, at }
})

const numbers = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, index) => `line ${from + index}\n`).join("")

const textOf = (directory: string) => Effect.map(here("replay", "--dir", directory), ({ stdout }) => stdout)

describe("a recorder that offers its log", () => {
  for (const [name, address] of [["at a Unix socket", "log.sock"], ["over HTTP", "http://127.0.0.1:0"]] as const) {
    it.live(`(${name}) records what other processes append, and hands it out, after its own input has ended`, () =>
      Effect.gen(function*() {
        const at = yield* place
        const to = address.startsWith("http") ? address : at(address)
        const { at: shown, recorder } = yield* offered(at("log"), to, ["--json"])
        const appended = yield* effectWal(["append", "--to", shown, "--acks", "--json"], "a\n\r\nlast")
        assert.deepStrictEqual([appended.code, appended.stderr], [0, ""])
        const [ack, json = ""] = appended.stdout.split("\n")
        assert.strictEqual(ack, "durable 3")
        assert.deepInclude(JSON.parse(json), { events: 3, bytes: 8, firstEventId: 1, lastEventId: 3, endedBy: "input" })
        const bytes = Buffer.from([0, 255, 10, 128])
        const message = Buffer.from([4, 0, 0, 0, ...bytes, 0, 0, 0, 0])
        const framed = ["--framing", "length-prefixed"]
        assert.strictEqual((yield* effectWal(["append", "--to", shown, ...framed], message)).code, 0)
        const tail = (...args: ReadonlyArray<string>) => effectWal(["tail", "--from", shown, ...args])
        assert.strictEqual((yield* tail()).bytes.toString("latin1"), `a\n\r\nlast${bytes.toString("latin1")}`)
        assert.strictEqual((yield* tail("--id", "4", ...framed)).bytes.toString("hex"), message.toString("hex"))
        const rows = (yield* tail("--id", "3", "--json")).stdout.trimEnd().split("\n").map((row) => JSON.parse(row))
        const contents = [{ id: 3, text: "last" }, { id: 4, base64: bytes.toString("base64") }, { id: 5, text: "" }]
        assert.strictEqual(rows.length, contents.length)
        contents.forEach((content, index) => assert.deepInclude(rows[index], content))
        recorder.child.kill("SIGTERM")
        const ended = yield* recorder.ended
        assert.strictEqual(ended.code, 0, ended.stderr)
        assert.deepInclude(JSON.parse(ended.stdout), { events: 5, firstEventId: 1, lastEventId: 5, endedBy: "SIGTERM" })
        assert.deepStrictEqual(readdirSync(at(".")), ["log"], "and leaves no socket behind")
      }))
  }

  it.live("asks for its token, and neither side prints it", () =>
    Effect.gen(function*() {
      const at = yield* place
      const env = { EFFECT_WAL_TOKEN: "not-to-be-seen" }
      const { at: shown, recorder } = yield* offered(at("log"), "http://0.0.0.0:0", [], { env })
      const to = shown.replace("0.0.0.0", "127.0.0.1")
      const wrong = yield* effectWal(["append", "--to", to, "--token", "another"], "a\n")
      const none = yield* effectWal(["tail", "--from", to])
      for (const { code, stderr } of [wrong, none]) {
        assert.strictEqual(code, 1)
        assert.match(stderr, /^effect-wal: \S+: the token is missing or wrong; .*\n$/)
      }
      const right = yield* effectWal(["append", "--to", to], "b\n", { env })
      assert.strictEqual(right.code, 0, right.stderr)
      recorder.child.kill("SIGTERM")
      const { stderr } = yield* recorder.ended
      assert.strictEqual(yield* textOf(at("log")), "b\n")
      for (const text of [stderr, wrong.stderr, right.stderr]) assert.notMatch(text, /not-to-be-seen|another/)
    }))

  it.live("takes the place of a recorder that was killed, and of nobody else", () =>
    Effect.gen(function*() {
      const at = yield* place
      const first = yield* offered(at("log"), at("log.sock"))
      const refused = Effect.fnUntraced(function*(address: string, detail: RegExp) {
        const { code, stderr } = yield* effectWal(["record", "--dir", at("other"), "--offer", address], "")
        assert.strictEqual(code, 1)
        assert.match(stderr, detail)
      })
      yield* refused(at("log.sock"), /another recorder offers its log there: process \d+/)
      assert.strictEqual((yield* effectWal(["append", "--to", at("log.sock")], "a\n")).code, 0, "it is still there")
      yield* first.recorder.crash
      assert.isTrue(existsSync(at("log.sock")))
      const second = yield* offered(at("log"), at("log.sock"))
      assert.strictEqual((yield* effectWal(["append", "--to", at("log.sock")], "b\n")).code, 0)
      yield* second.recorder.crash
      assert.strictEqual(yield* textOf(at("log")), "a\nb\n")

      writeFileSync(at("file"), "kept")
      yield* refused(at("file"), /something else than a socket is there/)
      assert.strictEqual(readFileSync(at("file"), "utf8"), "kept")
      symlinkSync(at("file"), at("link"))
      yield* refused(at("link"), /something else than a socket is there/)
      const foreign = yield* Effect.acquireRelease(
        Effect.callback<ReturnType<typeof createServer>>((resume) => {
          const server = createServer().listen(at("foreign"), () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      yield* refused(at("foreign"), /a socket is there that no recorder has left/)
      assert.isTrue(foreign.listening && existsSync(at("foreign")))
      yield* refused(at("x".repeat(120)), /its path has \d+ bytes, and that of a socket has 103 at most/)
      yield* refused(at("none/log.sock"), /it does not exist/)
      const { at: taken } = yield* offered(at("third"), "http://127.0.0.1:0")
      yield* refused(taken, /EADDRINUSE/)
    }))
})

describe("append", () => {
  it.live("tells what is durable when the recorder is killed, and what it tells is true", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { recorder } = yield* offered(at("log"), at("log.sock"))
      const appending = yield* start(["append", "--to", at("log.sock"), "--acks"])
      appending.write(numbers(1, 1000))
      yield* appending.durable(1000)
      recorder.child.kill("SIGSTOP")
      appending.write(numbers(1001, 1010))
      yield* recorder.crash
      const { code, stderr } = yield* appending.ended
      assert.strictEqual(code, 1)
      const [, durable = "", id = ""] = /went away \(.+\); lines up to (\d+) are durable \(the last is event (\d+)\)/
        .exec(stderr) ?? []
      assert.deepStrictEqual([Number(durable), Number(id)], [1000, 1000], stderr)
      assert.isTrue((yield* textOf(at("log"))).startsWith(numbers(1, 1000)))
    }))

  it.live("reads no more of its input than the recorder has room for", () =>
    Effect.gen(function*() {
      const at = yield* place
      const slow = ["--segment-bytes", "4KiB", "--threads", "0"]
      const { recorder } = yield* offered(at("log"), at("log.sock"), slow, { env: slowly(60_000) })
      const appending = yield* start(["append", "--to", at("log.sock")])
      const lines = 200_000
      appending.write(numbers(1, lines))
      yield* until(Effect.map(statsOf(at("log")), ({ arena }) => arena !== undefined && arena.full >= arena.slots - 1))
      yield* recorder.crash
      const { code, stderr } = yield* appending.ended
      assert.strictEqual(code, 1)
      const [, last = ""] = /lines 1 to (\d+) may have been recorded, and no other was\n$/.exec(stderr) ?? []
      assert.isAbove(Number(last), 0, stderr)
      assert.isBelow(Number(last), lines / 4)
    }))

  it.live("refuses an event that is too large where it is, and keeps those before it", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { recorder } = yield* offered(at("log"), at("log.sock"), ["--segment-bytes", "4KiB"])
      const small = numbers(1, 2000)
      const { code, stderr } = yield* effectWal(
        ["append", "--to", at("log.sock")],
        `${small}${"x".repeat(5000)}\nlost\n`
      )
      assert.strictEqual(code, 1)
      assert.match(
        stderr,
        /says: .*larger than a block.*; lines up to 2000 are durable .*, and no other was recorded\n$/
      )
      const large = `${"x".repeat(1024 * 1024 - 4)}\n`
      const tooLarge = yield* effectWal(["append", "--to", at("log.sock")], large)
      assert.match(tooLarge.stderr, /line 1 is longer than 1048572 bytes/)
      recorder.child.kill("SIGTERM")
      yield* recorder.ended
      assert.strictEqual(yield* textOf(at("log")), small)
      const roomy = yield* offered(at("roomy"), at("roomy.sock"))
      const event = large.slice(5)
      assert.strictEqual((yield* effectWal(["append", "--to", at("roomy.sock")], event)).code, 0)
      assert.strictEqual((yield* effectWal(["tail", "--from", at("roomy.sock")])).stdout, event)
      yield* roomy.recorder.crash
    }))

  it.live("that gets a signal makes durable what it has read, and ends with 0", () =>
    Effect.gen(function*() {
      const at = yield* place
      yield* offered(at("log"), at("log.sock"))
      const appending = yield* start(["append", "--to", at("log.sock"), "--acks"])
      appending.write("a\nb\n")
      yield* appending.durable(2)
      appending.child.kill("SIGTERM")
      const { code, stderr } = yield* appending.ended
      assert.strictEqual(code, 0, stderr)
      assert.match(stderr, /2 events are durable \(1 to 2\), .*; ended by SIGTERM\n$/)
    }))
})

describe("tail", () => {
  it.live("that follows gets every event once and in order, however the recorder is restarted", () =>
    Effect.gen(function*() {
      const at = yield* place
      const append = (input: string) =>
        Effect.map(effectWal(["append", "--to", at("log.sock")], input), ({ code }) => assert.strictEqual(code, 0))
      let { recorder } = yield* offered(at("log"), at("log.sock"))
      const tailing = yield* start(["tail", "--from", at("log.sock"), "--follow"])
      yield* append(numbers(1, 100))
      yield* tailing.prints(/line 100\n/)
      recorder.child.kill("SIGTERM")
      assert.strictEqual((yield* recorder.ended).code, 0)
      yield* tailing.says(/warning: .* went away \(.*\); waiting for it, to continue with event 101\n/)
      recorder = (yield* offered(at("log"), at("log.sock"))).recorder
      yield* append(numbers(101, 200))
      yield* tailing.prints(/line 200\n/)
      yield* recorder.crash
      yield* tailing.says(/continue with event 201\n/)
      recorder = (yield* offered(at("log"), at("log.sock"))).recorder
      yield* append(numbers(201, 300))
      yield* tailing.prints(/line 300\n/)
      assert.strictEqual(tailing.printed(), numbers(1, 300))
      tailing.child.kill("SIGINT")
      assert.strictEqual((yield* tailing.ended).code, 130)
    }))

  it.live("gets no event before it is durable", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { recorder } = yield* offered(at("log"), at("log.sock"), ["--commit", "1h"])
      const appending = yield* start(["append", "--to", at("log.sock"), "--acks"])
      appending.write("a\n")
      yield* until(Effect.map(statsOf(at("log")), ({ positions }) => positions?.appended === 1))
      const { code, stdout } = yield* effectWal(["tail", "--from", at("log.sock")])
      assert.deepStrictEqual([code, stdout, appending.printed()], [0, "", ""])
      recorder.child.kill("SIGTERM")
      yield* recorder.ended
      assert.strictEqual(yield* textOf(at("log")), "a\n")
    }))

  it.live("ends quietly when its reader goes away", () =>
    Effect.gen(function*() {
      const at = yield* place
      yield* offered(at("log"), at("log.sock"))
      yield* effectWal(["append", "--to", at("log.sock")], "a\n")
      const tailing = yield* start(["tail", "--from", at("log.sock"), "--follow"])
      tailing.child.stdout.destroy()
      yield* effectWal(["append", "--to", at("log.sock")], "b\n")
      const { code, stderr } = yield* tailing.ended
      assert.deepStrictEqual([code, stderr], [0, ""])
    }))
})
