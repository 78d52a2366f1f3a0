/** What the command line does with a damaged log, from finding the damage to copying what is left. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as fs from "node:fs"
import { join } from "node:path"
import { here, place, start } from "../commandLine.ts"
import { damage, events, makeLog } from "../logs.ts"

describe("a damaged log", () => {
  it.live("is found, dumped, repaired without loss of evidence, and read past the damage", () =>
    Effect.gen(function*() {
      const directory = (yield* place)("log")
      yield* makeLog(directory)
      const { segments } = JSON.parse((yield* here("inspect", "--dir", directory, "--json")).stdout)
      const damaged = segments[1]
      const bytes = damage(damaged.path)

      const block = yield* here("dump", "--dir", directory, "--segment", "1", "--block", "0")
      assert.match(block.stdout, /header intact: block 0/)
      const event = ["dump", "--dir", directory, "--segment", "0", "--event", "7"]
      const text = (yield* here(...event)).stdout
      assert.match(text, /^event 7, 7 bytes$/m)
      assert.match(text, /65 76 65 6e 74 20 37 .*\|event 7\|/)
      const json = JSON.parse((yield* here(...event, "--json")).stdout)
      assert.deepInclude(json.block, { index: 1, headerHolds: true, payloadHolds: true })
      assert.strictEqual(json.event.id, 7)
      assert.strictEqual(Buffer.from(json.base64, "base64").toString(), "event 7")
      const header = JSON.parse((yield* here("dump", "--dir", directory, "--segment", "0", "--json")).stdout)
      assert.deepInclude(header.header, { version: 2, segmentIndex: 0, lastEventId: 40 })

      const planned = yield* here("repair", "--dir", directory)
      assert.strictEqual(planned.code, 1)
      assert.include(planned.stdout, "nothing was changed")
      assert.isFalse(fs.existsSync(join(directory, "quarantine")))
      const report = JSON.parse((yield* here("repair", "--dir", directory, "--apply", "--json")).stdout)
      const name = damaged.path.slice(damaged.path.lastIndexOf("/") + 1)
      assert.isTrue(fs.readFileSync(join(report.quarantine, name)).equals(bytes))

      const { kept, lastEventId } = report.steps[0]
      const lastKept = kept === "whole blocks" ? lastEventId : 40
      const diagnosed = yield* here("replay", "--dir", directory, "--diagnostic")
      assert.strictEqual(diagnosed.stdout, events(1, lastKept) + events(81, 130))
      assert.include(diagnosed.stderr, `events ${lastKept + 1} to 80 are missing`)
      assert.strictEqual(diagnosed.code, 1)

      // The loss is acknowledged: every command knows it, in one line each.
      const lost = `events ${
        lastKept + 1
      } to 80 are lost, which is acknowledged: segment 1 was damaged and is in quarantine/`
      const verified = yield* here("verify", "--dir", directory)
      assert.strictEqual(verified.code, 0)
      for (const command of ["verify", "inspect", "stats", "doctor", "backup"]) {
        const ended = yield* here(
          command,
          "--dir",
          directory,
          ...command === "backup" ? ["--to", `${directory}-copy`] : []
        )
        assert.strictEqual(ended.stdout.split(lost).length, 2, `${command}: ${ended.stdout}${ended.stderr}`)
      }
      const strict = yield* here("replay", "--dir", directory)
      assert.strictEqual(strict.code, 1)
      assert.include(strict.stderr, lost)
      assert.include(strict.stderr, "replay from event 81")
      const skipped = yield* here("replay", "--dir", directory, "--skip-lost")
      assert.deepStrictEqual([skipped.code, skipped.stdout], [0, events(1, lastKept) + events(81, 130)])
      assert.include(skipped.stderr, lost)
      const exported = yield* here("export", "--dir", `${directory}-copy`, "--skip-lost")
      assert.strictEqual(exported.code, 0)
      assert.strictEqual(exported.stdout.trimEnd().split("\n").length, lastKept + 50)
    }))
})

describe("a whole log", () => {
  it.live("is exported, backed up, verified in part, and followed; repair refuses while it is recorded into", () =>
    Effect.gen(function*() {
      const directory = (yield* place)("log")
      yield* makeLog(directory)
      const copy = `${directory}-copy`
      const exported = yield* here("export", "--dir", directory, "--from", "129", "--to", "130")
      assert.deepStrictEqual(exported.stdout.trimEnd().split("\n").map((line) => JSON.parse(line)), [
        { id: 129, time: "2023-11-14T22:13:20.000Z", text: "event 129" },
        { id: 130, time: "2023-11-14T22:13:20.000Z", text: "event 130" }
      ])
      const copied = yield* here("backup", "--dir", directory, "--to", copy)
      assert.strictEqual(copied.code, 0, copied.stderr)
      const first = yield* here("verify", "--dir", directory, "--incremental", "--rate", "50MiB")
      assert.notInclude(first.stdout, "verified before")

      const recorder = yield* start(["record", "--dir", directory, "--acks"])
      const followed = yield* Effect.forkChild(
        here("replay", "--dir", directory, "--from", "130", "--to", "132", "--follow")
      )
      recorder.write("one\n")
      yield* recorder.durable(131)
      const refused = yield* here("repair", "--dir", directory, "--apply")
      assert.strictEqual(refused.code, 1)
      assert.include(refused.stderr, "another process holds it")
      assert.strictEqual((yield* here("replay", "--dir", copy)).stdout, events(1, 130))
      const again = yield* here("verify", "--dir", directory, "--incremental")
      assert.match(again.stdout, /0 faults; \d+ were verified before and not read/)
      assert.notInclude(again.stdout, "wal_verified.json is not a segment")
      assert.strictEqual((yield* recorder.end("two\n")).code, 0)
      assert.strictEqual((yield* Fiber.join(followed)).stdout, "event 130one\ntwo\n")
    }))

  it.live("is followed by a reader that began before there was a directory", () =>
    Effect.gen(function*() {
      const directory = (yield* place)("later")
      const reader = yield* start(["replay", "--dir", directory, "--to", "2", "--follow"])
      yield* reader.says(/does not exist yet; waiting for it/)
      const recorder = yield* start(["record", "--dir", directory, "--acks"])
      recorder.write("one\ntwo\n")
      yield* recorder.durable(2)
      const followed = yield* reader.ended
      assert.deepStrictEqual([followed.code, followed.stdout], [0, "one\ntwo\n"])
      assert.strictEqual((yield* recorder.end()).code, 0)
      const missing = yield* here("replay", "--dir", `${directory}-not`)
      assert.deepStrictEqual([missing.code, missing.stdout], [1, ""])
      assert.include(missing.stderr, "does not exist; give --dir a directory that was recorded into")
    }))
})
