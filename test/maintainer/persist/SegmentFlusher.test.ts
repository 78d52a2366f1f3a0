/** The order in which segments become durable, and what a failed sync does to it. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { Disk } from "../../../src/disk/Disk.ts"
import { Recorder } from "../../../src/recorder/Recorder.ts"
import * as Wal from "../../../src/recorder/WalParts.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import { done, hotPath, kinds, named, open, quiet, recorded, simulated } from "../maintaining.ts"
import { changes, directory, lastChanges } from "../stepping.ts"

describe.each(kinds)("persist ($name)", (kind) => {
  const { event } = kind

  const run = (
    body: (recorder: Recorder["Service"]) => Effect.Effect<unknown, unknown, Disk | SimulatedDisk.SimulatedDisk>
  ) =>
    Effect.gen(function*() {
      const { close, context } = yield* open(
        Wal.layer({ directory, format: kind.format, segmentBytesMax: 4096, flushEvery: 0 })
      )
      const recorder = Context.get(context, Recorder)
      yield* TestClock.adjust(0)
      yield* body(recorder)
      yield* close
    }).pipe(quiet, Effect.provide(simulated()))

  it.effect("writes, syncs, names and syncs the directory before a slot is blank again", () =>
    run((recorder) =>
      Effect.gen(function*() {
        const before = (yield* changes).length
        yield* recorder.append(event(1))
        yield* recorder.rotate
        yield* TestClock.adjust(0)
        assert.deepStrictEqual((yield* lastChanges(before)).slice(0, 7), [
          "unlink FS.00000000.wal.tmp",
          "truncate FS.00000000.wal.tmp",
          "write FS.00000000.wal.tmp",
          "truncate FS.00000000.wal.tmp",
          "sync FS.00000000.wal.tmp",
          "rename FS.00000000.wal.tmp → FS.00000000.wal",
          "syncDirectory ."
        ])
      })
    ))

  it.effect("syncs the last blocks before the header says that they are the last", () =>
    run((recorder) =>
      Effect.gen(function*() {
        yield* recorder.appendDurable(event(1))
        const before = (yield* changes).length
        yield* recorder.append(event(2))
        yield* recorder.rotate
        yield* TestClock.adjust(0)
        // The open file keeps the name under which it was opened.
        assert.deepStrictEqual((yield* lastChanges(before)).slice(0, 6), [
          "write FS.00000000.wal.tmp",
          "truncate FS.00000000.wal.tmp",
          "sync FS.00000000.wal.tmp",
          // The fields of the closed header, then its checksum.
          "write FS.00000000.wal.tmp",
          "write FS.00000000.wal.tmp",
          "sync FS.00000000.wal.tmp"
        ])
      })
    ))

  it.effect("writes the whole segment to a fresh file after a failed fdatasync, and never syncs the old one again", () =>
    run((recorder) =>
      Effect.gen(function*() {
        const disk = yield* SimulatedDisk.SimulatedDisk
        yield* recorder.appendDurable(event(1))
        const old = (yield* Disk.use((disk) => disk.stat(hotPath(directory, 0)))).identity
        yield* recorder.append(event(2))
        yield* disk.failNext("sync", "Io", /FS\.00000000/)
        const before = (yield* changes).length
        const committed = yield* Effect.forkChild(recorder.commit)
        yield* TestClock.adjust(2000)
        assert.strictEqual(yield* done(committed), 2)
        assert.deepStrictEqual((yield* lastChanges(before)).filter((line) => line.includes("FS.00000000")), [
          "write FS.00000000.wal.tmp",
          "sync FS.00000000.wal.tmp",
          "unlink FS.00000000.wal.tmp",
          "truncate FS.00000000.wal.tmp",
          "write FS.00000000.wal.tmp",
          "sync FS.00000000.wal.tmp",
          "rename FS.00000000.wal.tmp → FS.00000000.wal"
        ])
        const now = (yield* Disk.use((disk) => disk.stat(hotPath(directory, 0)))).identity
        assert.notStrictEqual(now, old)
        assert.deepStrictEqual(yield* recorded(directory, kind), named(1, 2, kind))
      })
    ))

  it.effect("begins again from the first byte, however often the disk refuses", () =>
    run((recorder) =>
      Effect.gen(function*() {
        const disk = yield* SimulatedDisk.SimulatedDisk
        yield* recorder.append(event(1))
        for (const operation of ["write", "sync", "rename", "syncDirectory", "truncate", "open"] as const) {
          yield* disk.failNext(operation, "Io")
        }
        yield* recorder.rotate
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* recorder.commit, 1)
        assert.deepStrictEqual(yield* recorded(directory, kind), named(1, 1, kind))
      })
    ))
})
