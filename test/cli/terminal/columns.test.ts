/**
 * What commands show at terminals of different widths: no line is wider than the terminal, no number is cut and none is
 * parted from its unit, and nothing is missing.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { Disk } from "../../../src/disk/Disk.ts"
import { positionName } from "../../../src/disk/FileNames.ts"
import * as NodeDisk from "../../../src/disk/NodeDisk.ts"
import * as PositionStore from "../../../src/disk/PositionStore.ts"
import * as Monitor from "../../../src/recorder/monitor/Monitor.ts"
import * as Wal from "../../../src/recorder/Wal.ts"
import { hereAt, place, subcommands } from "../commandLine.ts"
import { makeDamagedLog, makeLog } from "../logs.ts"

class Events extends Wal.Service<Events>()("test/Columns") {}

/** Numbers and their units change from one look to the next. Where a line ends, a space stands. */
const shapeOf = (text: string): string =>
  text.replaceAll(/\d[\d.,:]*/g, "#").replaceAll(/# (?:[nµum]?s|min|h|d|[KMGT]?i?B)\b/g, "# u").replaceAll(/\s+/g, " ")
    .trim()

/** Numbers with a unit or a noun on the same line. */
const measuresIn = (text: string): number => text.match(/\d (?=[\p{L}%])/gu)?.length ?? 0

/** The lines that a terminal may break wherever it likes: commands to be copied, and words with no place to break. */
const isUnbroken = (line: string): boolean => /^ {2}(#|.*effect-wal )/.test(line) || !line.trim().includes(" ")

/** A recorder may freeze a segment between two looks: then both are taken again. */
const looksMax = 20

const at80And200 = (commands: ReadonlyArray<ReadonlyArray<string>>) =>
  Effect.forEach(commands, (command) =>
    Effect.gen(function*() {
      for (const columns of [80, 200]) {
        const name = `${command.join(" ")} at ${columns} columns`
        const both = Effect.all([hereAt(undefined, ...command), hereAt(columns, ...command)])
        const [whole, shown] = yield* Effect.repeat(both, {
          times: looksMax,
          until: ([whole, shown]) => shapeOf(shown.stdout) === shapeOf(whole.stdout)
        })
        assert.notStrictEqual(shown.stdout, "", `${name}: ${shown.stderr}`)
        const wide = shown.stdout.split("\n").filter((line) => line.length > columns && !isUnbroken(line))
        assert.deepStrictEqual(wide, [], name)
        assert.strictEqual(shapeOf(shown.stdout), shapeOf(whole.stdout), name)
        assert.isAtLeast(measuresIn(shown.stdout), measuresIn(whole.stdout), name)
      }
    }))

describe("at 80 columns and at 200", () => {
  it.live("every help fits, and cuts no number", () =>
    Effect.gen(function*() {
      const commands = [["--help"], ...subcommands.map(({ name }) => [...name.split(" "), "--help"])]
      assert.isAtLeast(commands.length, 25)
      yield* at80And200(commands)
    }))

  it.live("every view of a log fits, and cuts no number", () =>
    Effect.gen(function*() {
      const at = yield* place
      const [log, damaged] = [at("log"), at("damaged-in-a-directory-of-a-rather-long-name/log")]
      yield* makeLog(log)
      mkdirSync(join(damaged, ".."))
      yield* makeDamagedLog(damaged)
      mkdirSync(at("store"))
      const url = `${pathToFileURL(at("store")).href}/log`
      yield* hereAt(undefined, "archive", "push", "--archive", url, "--dir", log)
      for (const [name, eventId] of [["billing", 60], ["mail-of-all-customers", 1000]] as const) {
        writeFileSync(join(log, positionName(name)), PositionStore.encode({ name, eventId }))
      }
      const commands: ReadonlyArray<ReadonlyArray<string>> = [
        ...["inspect", "stats", "top", "verify", "repair", "check"].flatMap((name) => [
          [name, "--dir", log],
          [name, "--dir", damaged]
        ]),
        ["free", "--dir", log, "--before", "81"],
        ["dump", "--dir", log, "--segment", "1"],
        ["dump", "--dir", log, "--segment", "1", "--block", "0"],
        ["dump", "--dir", log, "--segment", "1", "--event", "41"],
        ["consumers", "list", "--dir", log],
        ["consumers", "show", "billing", "--dir", log],
        ["archive", "status", "--archive", url],
        ["archive", "verify", "--archive", url],
        ["doctor", "--dir", damaged]
      ]
      // Held, so that nothing is measured.
      yield* Effect.scoped(Effect.andThen(
        Effect.provide(Disk.use((disk) => disk.lock(join(damaged, "wal.lock"))), NodeDisk.layer),
        at80And200(commands)
      ))
    }))

  it.live("every view of a recorder fits, and cuts no number", () =>
    Effect.gen(function*() {
      const log = (yield* place)("log")
      yield* Effect.gen(function*() {
        const events = yield* Events
        const reader = yield* events.consumer("billing")
        for (let event = 0; event < 300; event++) {
          yield* events.append(Buffer.from(`an event with some words, ${event}`))
        }
        yield* events.commit
        yield* at80And200([
          ["stats", "--dir", log],
          ["stats", "--dir", log, "--verbose"],
          ["top", "--dir", log],
          ["check", "--dir", log],
          ["inspect", "--dir", log],
          ["consumers", "list", "--dir", log],
          ["consumers", "show", reader.name, "--dir", log]
        ])
      }).pipe(
        Effect.scoped,
        Effect.provide(
          Monitor.layer.pipe(
            Layer.provide(Events.parts),
            Layer.provideMerge(
              Events.layer({
                directory: log,
                segmentBytesMax: 1024,
                limits: { maxSegments: 4, maxCompressedSegments: 4 }
              })
            ),
            Layer.provideMerge(NodeDisk.layer)
          )
        ),
        Effect.provideService(References.MinimumLogLevel, "None")
      )
    }))
})
