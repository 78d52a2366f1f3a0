import { assert, describe, it } from "@effect/vitest"
import { execFileSync, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { join } from "node:path"
import { effectWal, ended, start, withPlace } from "./commandLine.ts"

/** Lines of many lengths, some empty, some not ASCII, some with CR; no line feed at the end. About 12 MB. */
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

const text = makeText(220_000)
const lineCount = 220_000

const names = (directory: string, ending: string): Array<string> =>
  fs.readdirSync(directory).filter((name) => name.endsWith(ending)).sort()

const indexOf = (name: string): number => Number(name.slice(3, 11))

const hasLz4 = spawnSync("lz4", ["--version"]).status === 0

const smallSegments = ["--segment-bytes", "256KiB", "--max-segments", "4"]

describe.concurrent("record and replay", { timeout: 180_000 }, () => {
  it("gives back a large text byte for byte, within the limit of hot segments", () =>
    withPlace(async (place) => {
      const directory = place("log")
      const recorded = await effectWal(
        ["record", "--dir", directory, ...smallSegments, "--max-compressed-segments", "512", "--json"],
        text
      )
      assert.strictEqual(recorded.code, 0, recorded.stderr)
      const summary = JSON.parse(recorded.stdout.toString())
      assert.deepInclude(summary, { events: lineCount, bytes: text.length, lastEventId: lineCount, failures: 0 })
      assert.strictEqual(summary.durableEventId, lineCount)
      const [replayed, verified] = await Promise.all([
        effectWal(["replay", "--dir", directory]),
        effectWal(["verify", "--dir", directory, "--json"])
      ])
      assert.isTrue(replayed.stdout.equals(text), "the replay equals the input")
      assert.strictEqual(replayed.stderr, "")
      assert.strictEqual(verified.code, 0, verified.stdout.toString())
      assert.isAtLeast(names(directory, ".wal.lz4").length, 30)
      assert.isAtMost(names(directory, ".wal").length, 4)
      assert.deepStrictEqual(names(directory, ".tmp"), [])
    }))

  it.skipIf(!hasLz4)(
    "makes cold files that lz4 unpacks to segments (needs the lz4 command)",
    () =>
      withPlace(async (place) => {
        const directory = place("log")
        const input = text.subarray(0, 4_000_000)
        await effectWal(["record", "--dir", directory, ...smallSegments, "--commit", "rotate"], input)
        const cold = names(directory, ".lz4").map((name) => join(directory, name))
        assert.isAtLeast(cold.length, 8)
        execFileSync("lz4", ["-t", "-q", "-m", ...cold])
        execFileSync("lz4", ["-d", "-q", "-m", "--rm", ...cold])
        assert.deepStrictEqual(names(directory, ".lz4"), [])
        const [verified, replayed] = await Promise.all([
          effectWal(["verify", "--dir", directory]),
          effectWal(["replay", "--dir", directory])
        ])
        assert.strictEqual(verified.code, 0, verified.stdout.toString())
        assert.isTrue(replayed.stdout.equals(input))
      })
  )

  it("keeps exactly the newest segments, and says where the replay starts", () =>
    withPlace(async (place) => {
      const directory = place("log")
      const input = text.subarray(0, 5_000_000)
      const recorded = await effectWal(
        ["record", "--dir", directory, ...smallSegments, "--max-compressed-segments", "4", "--json"],
        input
      )
      const summary = JSON.parse(recorded.stdout.toString())
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
      const [replayed, inspected] = await Promise.all([
        effectWal(["replay", "--dir", directory]),
        effectWal(["inspect", "--dir", directory, "--json"])
      ])
      const { segments } = JSON.parse(inspected.stdout.toString())
      const firstId: number = segments[0].firstEventId
      assert.isAbove(firstId, 1)
      assert.match(replayed.stderr, new RegExp(`^effect-wal: replay starts at event ${firstId};`))
      const lines = input.toString("latin1").split("\n")
      assert.strictEqual(replayed.stdout.toString("latin1"), lines.slice(firstId - 1).join("\n"))
      // What is gone is not silently left out.
      const gone = await effectWal(["replay", "--dir", directory, "--from", "1"])
      assert.strictEqual(gone.code, 1)
      assert.include(gone.stderr, `event 1 was deleted by retention; the oldest event is ${firstId}`)
      assert.strictEqual(gone.stdout.length, 0)
    }))

  it("goes on with ids and indices, and replays two inputs in order", () =>
    withPlace(async (place) => {
      const directory = place("log")
      const first = Buffer.from("a\n\nb without an end")
      const second = Buffer.from("\nc\n\n")
      const one = await effectWal(["record", "--dir", directory, "--json", "--threads", "0"], first)
      const two = await effectWal(["record", "--dir", directory, "--json", "--commit", "100ms"], second)
      assert.deepInclude(JSON.parse(one.stdout.toString()), { firstEventId: 1, lastEventId: 3 })
      assert.deepInclude(JSON.parse(two.stdout.toString()), { firstEventId: 4, lastEventId: 6 })
      const [all, part, inspected] = await Promise.all([
        effectWal(["replay", "--dir", directory]),
        effectWal(["replay", "--dir", directory, "--from", "3", "--to", "5"]),
        effectWal(["inspect", "--dir", directory, "--json"])
      ])
      assert.isTrue(all.stdout.equals(Buffer.concat([first, second])))
      assert.strictEqual(part.stdout.toString(), "b without an end\nc\n")
      const { segments } = JSON.parse(inspected.stdout.toString())
      assert.deepStrictEqual(
        segments.map((segment: { readonly segmentIndex: number }) => segment.segmentIndex),
        [0, 1]
      )
    }))

  it("records length-prefixed messages, and replays them so", () =>
    withPlace(async (place) => {
      const directory = place("log")
      const input = Buffer.from("\x03\0\0\0a\nb\0\0\0\0\x01\0\0\0z", "latin1")
      const framing = ["--framing", "length-prefixed"]
      assert.strictEqual((await effectWal(["record", "--dir", directory, ...framing], input)).code, 0)
      const replayed = await effectWal(["replay", "--dir", directory, ...framing])
      assert.isTrue(replayed.stdout.equals(input))
    }))

  it("leaves nothing behind when there is no input", () =>
    withPlace(async (place) => {
      const recorded = await effectWal(["record", "--dir", place("log")])
      assert.strictEqual(recorded.code, 0)
      assert.deepStrictEqual(fs.readdirSync(place("log")), [])
    }))
})

describe.concurrent("verify", { timeout: 180_000 }, () => {
  it("finds a flipped byte in any kind of place, with file and offset", () =>
    withPlace(async (place) => {
      const directory = place("log")
      await effectWal(
        ["record", "--dir", directory, "--segment-bytes", "64KiB", "--max-segments", "6"],
        text.subarray(0, 600_000)
      )
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
      const verified = await effectWal(["verify", "--dir", directory])
      assert.strictEqual(verified.code, 1)
      assert.strictEqual(verified.stderr, "")
      const faults = verified.stdout.toString().split("\n").filter((line) => line.startsWith("fault: "))
      for (const file of files) {
        assert.isTrue(
          faults.some((line) => line.startsWith(`fault: ${file}: `) && /offset \d+/.test(line)),
          `${file} is named with an offset in\n${faults.join("\n")}`
        )
      }
    }))

  it("lists a foreign file as a note, and does not mind it", () =>
    withPlace(async (place) => {
      fs.mkdirSync(place("log"))
      fs.writeFileSync(join(place("log"), "notes.txt"), "mine")
      assert.strictEqual((await effectWal(["record", "--dir", place("log")], "a\n")).code, 0)
      const [verified, inspected] = await Promise.all([
        effectWal(["verify", "--dir", place("log")]),
        effectWal(["inspect", "--dir", place("log")])
      ])
      assert.strictEqual(verified.code, 0)
      assert.include(verified.stdout.toString(), "note: notes.txt is no segment")
      assert.include(inspected.stdout.toString(), "note: notes.txt is no segment")
      assert.notInclude(verified.stdout.toString(), "wal_meta")
      assert.strictEqual(fs.readFileSync(join(place("log"), "notes.txt"), "utf8"), "mine")
    }))
})

describe.concurrent("a recorder that is stopped", { timeout: 180_000 }, () => {
  it("records what it has read when SIGTERM comes, and ends with 0", () =>
    withPlace(async (place) => {
      const child = start(["record", "--dir", place("log"), "--acks", "--json"])
      const end = ended(child)
      const input = text.subarray(0, text.indexOf("\n", 2_000_000) + 1)
      const lines = input.toString("latin1").split("\n").length - 1
      child.stdin?.write(input)
      await acknowledged(child, lines)
      child.kill("SIGTERM")
      const { code, stderr, stdout } = await end
      assert.strictEqual(code, 0, stderr)
      const said = stdout.toString().trim().split("\n")
      assert.deepInclude(JSON.parse(said.at(-1) ?? ""), { endedBy: "SIGTERM", events: lines, durableEventId: lines })
      const acks = said.slice(0, -1).map((line) => Number(/^durable (\d+)$/.exec(line)?.[1]))
      assert.deepStrictEqual(acks, [...new Set(acks)].sort((a, b) => a - b), "acknowledged ids only grow")
      assert.strictEqual(acks.at(-1), lines)
      assert.isTrue((await effectWal(["replay", "--dir", place("log")])).stdout.equals(input))
    }))

  it("has on disk what it acknowledged when it is killed", () =>
    withPlace(async (place) => {
      const child = start(["record", "--dir", place("log"), "--acks", "--segment-bytes", "256KiB"])
      const end = ended(child)
      child.stdin?.on("error", () => undefined)
      child.stdin?.write(text)
      const acknowledgedId = await acknowledged(child, 5000)
      child.kill("SIGKILL")
      await end
      assert.strictEqual((await effectWal(["record", "--dir", place("log")])).code, 0)
      const [replayed, verified] = await Promise.all([
        effectWal(["replay", "--dir", place("log")]),
        effectWal(["verify", "--dir", place("log")])
      ])
      assert.strictEqual(verified.code, 0, verified.stdout.toString())
      assert.isTrue(replayed.stdout.equals(text.subarray(0, replayed.stdout.length)), "a beginning of the input")
      assert.isAtLeast(replayed.stdout.toString("latin1").split("\n").length - 1, acknowledgedId)
    }))
})

/** Done when an id of at least this was acknowledged; gives the id. */
const acknowledged = (child: ReturnType<typeof start>, eventId: number): Promise<number> =>
  new Promise((resolve, reject) => {
    let said = ""
    child.once("close", () => reject(new Error(`ended before ${eventId} was durable: ${said}`)))
    child.stdout?.on("data", (chunk: Buffer) => {
      said += chunk.toString()
      const whole = said.slice(0, said.lastIndexOf("\n"))
      const last = Number(whole.slice(whole.lastIndexOf(" ") + 1))
      if (last >= eventId) resolve(last)
    })
  })

describe("a reader that goes away", { timeout: 180_000 }, () => {
  it("ends a replay quietly", () =>
    withPlace(async (place) => {
      await effectWal(["record", "--dir", place("log"), "--commit", "rotate"], text)
      const child = start(["replay", "--dir", place("log")])
      const end = ended(child)
      child.stdout?.once("data", () => child.stdout?.destroy())
      const { code, stderr } = await end
      assert.strictEqual(stderr, "")
      assert.strictEqual(code, 0)
    }))
})

/** What must be refused: arguments, input, exit code, and what the one line on stderr says. */
const refusals: ReadonlyArray<{
  readonly title: string
  readonly args: (place: (name: string) => string) => ReadonlyArray<string>
  readonly input?: string
  readonly code: 1 | 2
  readonly says: RegExp
}> = [
  {
    title: "a directory that is missing, to replay",
    args: (place) => ["replay", "--dir", place("none")],
    code: 1,
    says: /none does not exist; give --dir a directory that was recorded into/
  },
  {
    title: "a directory that is missing, to verify",
    args: (place) => ["verify", "--dir", place("none")],
    code: 1,
    says: /none does not exist/
  },
  {
    title: "a directory that is missing, to inspect",
    args: (place) => ["inspect", "--dir", place("none")],
    code: 1,
    says: /none does not exist/
  },
  {
    title: "a file in the directory's place, to record",
    args: (place) => ["record", "--dir", place("file")],
    input: "a\n",
    code: 1,
    says: /file is a file; give --dir a directory to record into/
  },
  {
    title: "a file in the directory's place, to replay",
    args: (place) => ["replay", "--dir", place("file")],
    code: 1,
    says: /file is a file; give --dir the directory/
  },
  {
    title: "a limit that is no number",
    args: (place) => ["record", "--dir", place("log"), "--max-segments", "ten"],
    code: 2,
    says: /--max-segments: "ten"/
  },
  {
    title: "a segment size below 4 KiB",
    args: (place) => ["record", "--dir", place("log"), "--segment-bytes", "4095"],
    code: 2,
    says: /--segment-bytes: "4095". Expected: a size from 4 KiB to 1 GiB/
  },
  {
    title: "a duration that is none",
    args: (place) => ["record", "--dir", place("log"), "--commit", "soon"],
    code: 2,
    says: /--commit: "soon". Expected: every, rotate, or a duration/
  },
  {
    title: "ids the wrong way round",
    args: (place) => ["replay", "--dir", place("log"), "--from", "9", "--to", "3"],
    code: 2,
    says: /--to 3 lies before --from 9/
  },
  { title: "no directory", args: () => ["record"], code: 2, says: /Missing required flag: --dir/ },
  { title: "an unknown command", args: () => ["rekord"], code: 2, says: /Unknown subcommand "rekord"/ }
]

describe.concurrent("bad input", { timeout: 180_000 }, () => {
  for (const refusal of refusals) {
    it(`refuses ${refusal.title} with one clear line and exit code ${refusal.code}`, () =>
      withPlace(async (place) => {
        fs.writeFileSync(place("file"), "")
        const { code, stderr, stdout } = await effectWal(refusal.args(place), refusal.input)
        assert.match(stderr, refusal.says)
        assert.strictEqual(stderr.split("\n").length, 2, `one line:\n${stderr}`)
        assert.strictEqual(code, refusal.code)
        assert.strictEqual(stdout.length, 0)
        assert.deepStrictEqual(fs.readdirSync(place(".")), ["file"])
      }))
  }

  it("keeps what was recorded before an event that is too large, and names the line", () =>
    withPlace(async (place) => {
      const recorded = await effectWal(
        ["record", "--dir", place("log"), "--segment-bytes", "4KiB"],
        `one\ntwo\n${"x".repeat(5000)}\nfour\n`
      )
      assert.strictEqual(recorded.code, 1)
      assert.match(
        recorded.stderr,
        /^effect-wal: line 3 is longer than 4092 bytes.*the 2 events before it are recorded.*\n$/
      )
      assert.strictEqual((await effectWal(["replay", "--dir", place("log")])).stdout.toString(), "one\ntwo\n")
    }))

  it("keeps what was recorded before a message that is cut off", () =>
    withPlace(async (place) => {
      const framing = ["--dir", place("log"), "--framing", "length-prefixed"]
      const recorded = await effectWal(["record", ...framing], "\x01\0\0\0a\x05\0\0\0b")
      assert.strictEqual(recorded.code, 1)
      assert.match(recorded.stderr, /^effect-wal: message 2 is cut off after 5 of 9 bytes.*\n$/)
      assert.strictEqual((await effectWal(["replay", ...framing])).stdout.toString(), "\x01\0\0\0a")
    }))

  it("clamps limits outside their range, with a warning", () =>
    withPlace(async (place) => {
      const recorded = await effectWal(
        [
          "record",
          "--dir",
          place("log"),
          "--max-segments",
          "1",
          "--max-compressed-segments",
          "1000",
          "--threads",
          "-1"
        ],
        "a\n"
      )
      assert.strictEqual(recorded.code, 0)
      assert.include(recorded.stderr, "warning: --max-segments 1 is outside 2 to 128; using 2")
      assert.include(recorded.stderr, "warning: --max-compressed-segments 1000 is outside 4 to 512; using 512")
      assert.include(recorded.stderr, "warning: --threads -1 is outside 0 to 16; using 0")
    }))

  it("names a directory that cannot be written", () =>
    withPlace(async (place) => {
      const isSuperuser = process.getuid?.() === 0
      fs.mkdirSync(place("log"))
      fs.chmodSync(place("log"), 0o555)
      fs.chmodSync(place("."), 0o755)
      const recorded = await effectWal(["record", "--dir", place("log")], "a\n", isSuperuser ? { uid: 65534 } : {})
      assert.match(recorded.stderr, /^effect-wal: .*log.*permission denied.*\n$/)
      assert.strictEqual(recorded.code, 1)
    }))
})
