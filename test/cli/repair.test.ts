/** What the command line does with a damaged log, from finding the damage to copying what is left. */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import { join } from "node:path"
import { effectWal, ended, start, withPlace } from "./commandLine.ts"

const lineOf = (id: number): string => `event ${id} ${"x".repeat(80)}`

const lines = (from: number, to: number): string => {
  let text = ""
  for (let id = from; id <= to; id++) text += `${lineOf(id)}\n`
  return text
}

const record = (directory: string, input: string) =>
  effectWal(["record", "--dir", directory, "--segment-bytes", "64KiB", "--max-segments", "8"], input)

describe("a damaged log", { timeout: 120_000 }, () => {
  it("is found, dumped, repaired without loss of evidence, and read past the damage", () =>
    withPlace(async (place) => {
      const directory = place("log")
      await record(directory, lines(1, 2000))
      const inspected = await effectWal(["inspect", "--dir", directory, "--json"])
      const { segments } = JSON.parse(inspected.stdout.toString())
      const damaged = segments[1]
      assert.strictEqual(damaged.state, "hot")
      assert.isBelow(damaged.lastEventId, 2000, "another segment follows")
      const bytes = fs.readFileSync(damaged.path)
      bytes[bytes.length - 200]! ^= 1
      fs.writeFileSync(damaged.path, bytes)

      const args = ["--dir", directory, "--segment", String(damaged.segmentIndex)]
      const [dumped, event, planned] = await Promise.all([
        effectWal(["dump", ...args, "--block", "0"]),
        effectWal(["dump", "--dir", directory, "--segment", "0", "--event", "7"]),
        effectWal(["repair", "--dir", directory])
      ])
      assert.match(dumped.stdout.toString(), /header holds: block 0/)
      assert.match(event.stdout.toString(), /^event 7, 89 bytes$/m)
      assert.match(event.stdout.toString(), /65 76 65 6e 74 20 37 20 78.* {2}\|event 7 xxxxxxxx\|/)
      assert.strictEqual(planned.code, 1)
      assert.include(planned.stdout.toString(), "nothing was changed")
      assert.isFalse(fs.existsSync(join(directory, "quarantine")))

      const repaired = await effectWal(["repair", "--dir", directory, "--apply", "--json"])
      const report = JSON.parse(repaired.stdout.toString())
      const name = damaged.path.slice(damaged.path.lastIndexOf("/") + 1)
      assert.isTrue(fs.readFileSync(join(report.quarantine, name)).equals(bytes))

      const diagnosed = await effectWal(["replay", "--dir", directory, "--diagnostic"])
      const { kept, lastEventId } = report.steps[0]
      const lastKept = kept === "whole blocks" ? lastEventId : damaged.firstEventId - 1
      assert.strictEqual(
        diagnosed.stdout.toString(),
        lines(1, lastKept) + lines(damaged.lastEventId + 1, 2000)
      )
      assert.include(diagnosed.stderr, `events ${lastKept + 1} to ${damaged.lastEventId} are missing`)
      assert.strictEqual(diagnosed.code, 1)
    }))
})

describe("a whole log", { timeout: 120_000 }, () => {
  it("is exported, backed up, verified in part, and followed; repair refuses while it is recorded into", () =>
    withPlace(async (place) => {
      const directory = place("log")
      await record(directory, `${lines(1, 1000)}"quoted" ✓\n`)
      const [exported, copied, first] = await Promise.all([
        effectWal(["export", "--dir", directory, "--from", "1000"]),
        effectWal(["backup", "--dir", directory, "--to", place("copy")]),
        effectWal(["verify", "--dir", directory, "--incremental", "--rate", "50MiB"])
      ])
      assert.deepStrictEqual(exported.stdout.toString().trimEnd().split("\n").map((line) => JSON.parse(line)), [
        { id: 1000, text: `${lineOf(1000)}\n` },
        { id: 1001, text: "\"quoted\" ✓\n" }
      ])
      assert.strictEqual(copied.code, 0, copied.stderr)
      assert.notInclude(first.stdout.toString(), "verified before")

      const recorder = start(["record", "--dir", directory, "--acks"])
      const follower = start(["replay", "--dir", directory, "--from", "1001", "--to", "1003", "--follow"])
      const durable = new Promise((resolve) => recorder.stdout?.once("data", resolve))
      const [recorded, followed] = [ended(recorder), ended(follower)]
      recorder.stdin?.write("one\n")
      await durable
      const [refused, replayed, again] = await Promise.all([
        effectWal(["repair", "--dir", directory, "--apply"]),
        effectWal(["replay", "--dir", place("copy")]),
        effectWal(["verify", "--dir", directory, "--incremental"])
      ])
      recorder.stdin?.end("two\n")
      assert.strictEqual(refused.code, 1)
      assert.include(refused.stderr, "another process holds it")
      assert.strictEqual(replayed.stdout.toString(), `${lines(1, 1000)}"quoted" ✓\n`)
      assert.match(again.stdout.toString(), /0 faults; \d+ were verified before and not read/)
      assert.notInclude(again.stdout.toString(), "wal_verified.json is no segment")
      assert.strictEqual((await followed).stdout.toString(), "\"quoted\" ✓\none\ntwo\n")
      assert.strictEqual((await recorded).code, 0)
    }))
})
