/** A log and its archive on the command line: recorded, checked, lost on this machine, and read and restored elsewhere. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { effectWal, here, place, slowly, start } from "../commandLine.ts"
import { damage, events, makeLog } from "../logs.ts"

const lines = (from: number, to: number): string => {
  let text = ""
  for (let number = from; number <= to; number++) text += `line ${String(number).padStart(60, "-")}\n`
  return text
}

/** A place with a store in it, and the URL of a log in that. */
const prepare = Effect.map(place, (at) => {
  fs.mkdirSync(at("store/logs"), { recursive: true })
  return { at, url: `${pathToFileURL(at("store")).href}/logs/app` }
})

const objectsIn = (store: string): ReadonlyArray<string> =>
  fs.readdirSync(store, { recursive: true, encoding: "utf8" }).filter((name) => /FS\.\d+/.test(name)).sort()

describe("a log with an archive", () => {
  it.live("is whole in it: with the log's directory gone, and after a second recording", () =>
    Effect.gen(function*() {
      const { at, url } = yield* prepare
      const small = ["--segment-bytes", "4KiB", "--max-segments", "2", "--max-compressed-segments", "4"]
      for (const [from, to] of [[1, 1000], [1001, 1500]] as const) {
        const recorded = yield* effectWal(["record", "--dir", at("log"), "--archive", url, ...small], lines(from, to))
        assert.deepStrictEqual([recorded.code, recorded.stderr.includes("warning")], [0, false], recorded.stderr)
      }
      // Retention has deleted what the archive has.
      assert.match(
        (yield* here("replay", "--dir", at("log"))).stderr,
        /replay starts at event \d+; older ones were deleted/
      )
      const whole = yield* here("replay", "--archive", url, "--dir", at("log"))
      assert.deepStrictEqual([whole.code, whole.stdout === lines(1, 1500)], [0, true], whole.stderr)
      fs.rmSync(at("log"), { recursive: true })
      const { code, stderr, stdout } = yield* here("replay", "--archive", url)
      assert.deepStrictEqual([code, stderr, stdout === lines(1, 1500)], [0, "", true])
      assert.strictEqual(
        (yield* here("replay", "--archive", url, "--from", "700", "--to", "701")).stdout,
        lines(700, 701)
      )

      const status = yield* here("archive", "status", "--archive", url, "--json")
      assert.deepInclude(JSON.parse(status.stdout), { archive: url, epoch: 2, firstEventId: 1, lastEventId: 1500 })
      const restored = yield* here("archive", "restore", "--archive", url, "--to", at("restored"))
      assert.match(restored.stdout, /segments, .* events 1 to 1500, 0 faults\n$/)
      assert.strictEqual((yield* here("replay", "--dir", at("restored"))).stdout, lines(1, 1500))
    }))

  it.live("is brought into it afterwards, and again when there is more; nothing goes from the directory", () =>
    Effect.gen(function*() {
      const { at, url } = yield* prepare
      yield* makeLog(at("log"))
      const names = fs.readdirSync(at("log")).length
      const pushed = yield* here("archive", "push", "--archive", url, "--dir", at("log"))
      assert.match(pushed.stdout, /: 4 segments from 0 on, events 1 to 130, .*epoch 1\n$/, pushed.stderr)
      assert.isAtLeast(fs.readdirSync(at("log")).filter((name) => name.startsWith("FS.")).length, names)
      assert.strictEqual((yield* here("replay", "--archive", url)).stdout, events(1, 130))
      const again = yield* here("archive", "push", "--archive", url, "--dir", at("log"))
      assert.match(again.stdout, /: 4 segments from 0 on, events 1 to 130, .*epoch 2\n$/, again.stderr)
    }))

  it.live("is compared with its objects: one that is gone, one that is cut off, one that has rotted", () =>
    Effect.gen(function*() {
      const { at, url } = yield* prepare
      yield* makeLog(at("log"))
      yield* here("archive", "push", "--archive", url, "--dir", at("log"))
      const sound = yield* here("archive", "verify", "--archive", url, "--sample", "9")
      assert.deepStrictEqual([sound.code, sound.stdout], [
        0,
        `${url}: 4 segments were compared, 4 of them read; 0 faults\n`
      ])
      const [gone = "", cut = "", rotten = ""] = objectsIn(at("store")).map((name) => join(at("store"), name))
      fs.rmSync(gone)
      fs.truncateSync(cut, 100)
      damage(rotten)
      const found = yield* here("archive", "verify", "--archive", url)
      assert.strictEqual(found.code, 1)
      assert.match(found.stdout, /^fault: segment 0 \(app\/segments\/\S+\): the object is not there$/m)
      assert.match(found.stdout, /^fault: segment 1 .*: 100 bytes where the manifest has \d+$/m)
      assert.match(found.stdout, /^fault: segment 2 .*: ETag \w+ where the manifest has \w+$/m)
      assert.match(found.stdout, /4 segments were compared, 4 of them read; 3 faults\n$/)
      const replayed = yield* here("replay", "--archive", url)
      assert.deepStrictEqual([replayed.code, replayed.stdout], [1, ""])
    }))

  it.live("puts back what is damaged or missing in the directory, and keeps what was there", () =>
    Effect.gen(function*() {
      const { at, url } = yield* prepare
      yield* makeLog(at("log"))
      yield* here("archive", "push", "--archive", url, "--dir", at("log"))
      const names = fs.readdirSync(at("log")).filter((name) => name.startsWith("FS."))
      const bytes = damage(join(at("log"), names[1]!))
      fs.rmSync(join(at("log"), names[2]!))
      assert.strictEqual((yield* here("verify", "--dir", at("log"))).code, 1)
      const { code, stdout } = yield* here("verify", "--dir", at("log"), "--repair-from-archive", url)
      assert.match(stdout, /^put back: segment 1 with events 41 to 80, which was damaged$/m)
      assert.match(stdout, /^put back: segment 2 with events 81 to 120, which was missing$/m)
      assert.match(stdout, /: 2 segments were put back from file:\S+, 0 faults left; the damaged files are in \S+\n$/)
      assert.strictEqual(code, 0)
      assert.strictEqual((yield* here("replay", "--dir", at("log"))).stdout, events(1, 130))
      const [place = ""] = fs.readdirSync(at("log/quarantine"))
      assert.deepStrictEqual(fs.readFileSync(join(at("log/quarantine"), place, names[1]!)), bytes)
      const refused = yield* here("verify", "--dir", at("log"), "--repair-from-archive", url, "--incremental")
      assert.deepStrictEqual([refused.code, /without --incremental and --rate/.test(refused.stderr)], [2, true])
      const other = yield* here("verify", "--dir", at("log"), "--repair-from-archive", `${url}2`)
      assert.match(other.stderr, /has no archive; give --archive the URL that the recorder was given/)
    }))

  it.live("leaves no unfinished copy where a signal ends its restoring", () =>
    Effect.gen(function*() {
      const { at, url } = yield* prepare
      yield* makeLog(at("log"))
      yield* here("archive", "push", "--archive", url, "--dir", at("log"))
      const args = ["archive", "restore", "--archive", url, "--to", at("copy")]
      const running = yield* start(args, { env: slowly(300) })
      yield* running.says(/opening a segment/)
      running.child.kill("SIGTERM")
      assert.strictEqual((yield* running.ended).code, 143)
      assert.deepStrictEqual(fs.readdirSync(at(".")).sort(), ["log", "store"])
    }))
})
