/**
 * What commands print with `--json` is what their schemas say: nothing is missing, and nothing is more. Each command runs
 * on what is well and on what is not.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { outputs } from "../../src/cli/outputs/outputs.ts"
import { positionName } from "../../src/disk/FileNames.ts"
import * as PositionStore from "../../src/disk/PositionStore.ts"
import { effectWal, here, place, start, subcommands } from "./commandLine.ts"
import type { Ended } from "./commandLine.ts"
import { makeDamagedLog, makeLog } from "./logs.ts"

type Name = keyof typeof outputs

const seen = new Set<string>()

/** Holds each line against the schema of the command. Gives the values. */
const check = (name: Name, text: string): ReadonlyArray<unknown> => {
  const values = text.trimEnd().split("\n").map((line): unknown => JSON.parse(line))
  const decode = Schema.decodeUnknownExit(outputs[name] as Schema.Codec<unknown>, { onExcessProperty: "error" })
  for (const value of values) {
    const exit = decode(value)
    assert.isTrue(Exit.isSuccess(exit), `${name}: ${JSON.stringify(value)}\n${String(exit)}`)
  }
  seen.add(name)
  return values
}

const run = (name: Name, ...args: ReadonlyArray<string>) =>
  Effect.map(here(...name.split(" "), ...args, ...(name === "export" ? [] : ["--json"])), (ended: Ended) => {
    assert.notStrictEqual(ended.stdout, "", `${name}: ${ended.stderr}`)
    return check(name, ended.stdout)
  })

describe("what commands print with --json", () => {
  it.live("of a log, read and checked, is what the schemas say", () =>
    Effect.gen(function*() {
      const at = yield* place
      const [log, damaged, holed] = [at("log"), at("damaged"), at("holed")]
      yield* makeLog(log)
      yield* makeDamagedLog(damaged)
      yield* makeLog(holed, 1)
      symlinkSync("nowhere", join(holed, "FS.00000008.wal"))
      writeFileSync(join(damaged, "notes.txt"), "")
      for (const directory of [log, damaged, holed]) {
        yield* run("verify", "--dir", directory)
        yield* run("inspect", "--dir", directory)
        yield* run("repair", "--dir", directory)
        yield* run("stats", "--dir", directory)
        yield* run("check", "--dir", directory)
        yield* run("check", "--dir", directory, "--stopped")
      }
      for (const directory of [log, damaged]) yield* run("backup", "--dir", directory, "--to", `${directory}-copy`)
      for (const place of [[], ["--block", "0"], ["--event", "41"]]) {
        yield* run("dump", "--dir", log, "--segment", "1", ...place)
      }
      yield* run("grep", "--dir", log, "event 1")
      yield* run("export", "--dir", log, "--from", "120")
      yield* run("free", "--dir", log, "--before", "50")
      const [repaired] = yield* run("repair", "--dir", damaged, "--apply")
      assert.deepInclude(repaired, { applied: true })
      const [verified] = yield* run("verify", "--dir", damaged)
      assert.isNotEmpty((verified as { readonly holes: ReadonlyArray<unknown> }).holes)
      yield* run("inspect", "--dir", damaged)
      yield* run("stats", "--dir", damaged)
    }))

  it.live("of consumers, is what the schemas say", () =>
    Effect.gen(function*() {
      const log = (yield* place)("log")
      yield* makeLog(log)
      for (const [name, eventId] of [["billing", 60], ["mail", 1000]] as const) {
        writeFileSync(join(log, positionName(name)), PositionStore.encode({ name, eventId }))
      }
      writeFileSync(join(log, positionName("rotten")), "{}")
      yield* run("consumers list", "--dir", log)
      yield* run("consumers show", "rotten", "--dir", log)
      yield* run("free", "--dir", log, "--before", "81", "--apply")
      yield* run("consumers reset", "billing", "--to", "100", "--dir", log)
      yield* run("consumers remove", "billing", "--dir", log)
    }))

  it.live("of archives, is what the schemas say", () =>
    Effect.gen(function*() {
      const at = yield* place
      mkdirSync(at("store"))
      yield* makeLog(at("log"))
      const archive = ["--archive", `${pathToFileURL(at("store")).href}/log`]
      check("archive push", (yield* effectWal(["archive", "push", "--dir", at("log"), ...archive, "--json"])).stdout)
      yield* run("archive status", ...archive)
      yield* run("archive restore", ...archive, "--to", at("restored"))
      const [second = ""] = readdirSync(at("log")).filter((name) => name.startsWith("FS.00000001."))
      rmSync(join(at("log"), second))
      const [repaired] = yield* run("verify", "--dir", at("log"), "--repair-from-archive", archive[1]!)
      assert.isNotEmpty((repaired as { readonly steps: ReadonlyArray<unknown> }).steps)
      yield* run("take-over", ...archive, "--dir", at("taken"))
      yield* run("archive verify", ...archive)
      rmSync(at("store/log/segments"), { recursive: true, force: true })
      const [verified] = yield* run("archive verify", ...archive)
      assert.isNotEmpty((verified as { readonly faults: ReadonlyArray<unknown> }).faults)
    }))

  it.live("of what runs, is what the schemas say", () =>
    Effect.gen(function*() {
      const at = yield* place
      const recorder = yield* start(["record", "--dir", at("log"), "--offer", at("log.sock"), "--json"])
      recorder.write("a\n\xff\n")
      yield* recorder.says(/offered at/)
      check("append", (yield* effectWal(["append", "--to", at("log.sock"), "--json"], "c\n")).stdout)
      check("tail", (yield* effectWal(["tail", "--from", at("log.sock"), "--json"])).stdout)
      const [stats] = yield* run("stats", "--dir", at("log"))
      assert.deepInclude(stats, { source: "recorder" })
      yield* run("check", "--dir", at("log"))
      const [held] = yield* run("doctor", "--dir", at("log"))
      assert.deepInclude(held, { measures: null })
      recorder.child.kill("SIGTERM")
      check("record", (yield* recorder.ended).stdout)

      yield* makeDamagedLog(at("damaged"))
      const maintaining = yield* start([
        "maintain",
        "--dir",
        at("damaged"),
        "--max-segments",
        "2",
        "--on-damaged",
        "quarantine",
        "--json"
      ])
      yield* maintaining.prints(/quarantined/)
      maintaining.child.kill("SIGTERM")
      check("maintain", (yield* maintaining.ended).stdout)
    }))

  it.live("of a doctor that measures, is what its schema says", () =>
    Effect.gen(function*() {
      const at = yield* place
      mkdirSync(at("log"))
      mkdirSync(at("store"))
      const [measured] = yield* run("doctor", "--dir", at("log"), "--archive", `file://${at("store")}/log`)
      const { archive, measures } = measured as { readonly archive: unknown; readonly measures: unknown }
      assert.isNotNull(archive)
      assert.isNotNull(measures)
    }))

  it("has a schema for every command that prints JSON, and each was held against it", () => {
    const withJson = subcommands.filter(({ flags }) => flags.some(({ name }) => name === "json")).map(({ name }) =>
      name
    )
    assert.deepStrictEqual(Object.keys(outputs).toSorted(), [...withJson, "export"].toSorted())
    assert.deepStrictEqual([...seen].toSorted(), Object.keys(outputs).toSorted())
  })
})

describe("effect-wal schema", () => {
  it.live("prints a JSON Schema of every one, which allows no more than JSON has", () =>
    Effect.gen(function*() {
      for (const name of Object.keys(outputs)) {
        const { code, stderr, stdout } = yield* here("schema", ...name.split(" "))
        assert.deepStrictEqual([code, stderr], [0, ""])
        const schema = JSON.parse(stdout)
        assert.strictEqual(schema.title, `effect-wal ${name} --json`)
        assert.isTrue(schema.type === "object" || Array.isArray(schema.anyOf), stdout)
        assert.notInclude(stdout, "NaN")
        assert.notInclude(stdout, "\"not\"")
      }
      const { code, stderr } = yield* here("schema", "replay")
      assert.strictEqual(code, 2)
      assert.match(stderr, /"replay" prints no JSON; these commands do: append, archive push, /)
    }))
})
