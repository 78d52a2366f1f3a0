import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { symlinkSync } from "node:fs"
import { join } from "node:path"
import { Disk } from "../../../src/disk/Disk.ts"
import * as NodeDisk from "../../../src/disk/NodeDisk.ts"
import { format1Layout } from "../../../src/format/SegmentLayout.ts"
import {
  checkAlone,
  formatVerifyFault,
  verify as verifyAlone,
  verifyWith
} from "../../../src/reading/recovery/Verify.ts"
import type { VerifyOptions, VerifyReport } from "../../../src/reading/recovery/Verify.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import { formats } from "../../fixtures/formats.ts"
import {
  buildSegment,
  buildWal,
  cold,
  eventsNamed,
  hot,
  put,
  temporaryDirectory,
  torn,
  unclosedByAnother
} from "../../fixtures/segments.ts"
import { directory, onSimulatedDisk, unlink } from "../../fixtures/simulatedWal.ts"

/** Verifies without help, and with the help of one that has found out everything before; the reports are the same. */
const verify = Effect.fnUntraced(function*(options: VerifyOptions) {
  const disk = Context.pick(Disk)(yield* Effect.context<Disk>())
  const report = yield* verifyAlone(options)
  if (options.incremental !== undefined) return report
  const helped = yield* verifyWith(options, (files) =>
    Effect.gen(function*() {
      const found = new Map<string, Effect.Success<ReturnType<typeof checkAlone>>>()
      for (const file of files) {
        const checked = yield* Effect.provide(Effect.option(checkAlone(file)), disk)
        if (Option.isSome(checked)) found.set(file.path, checked.value)
      }
      return (file) => Effect.succeed(found.get(file.path))
    }))
  assert.deepStrictEqual(helped, report)
  return report
})

/** Each fault as its kind (or reason) and segment. */
const faultsOf = (report: VerifyReport): ReadonlyArray<string> =>
  report.faults.map((fault) => {
    switch (fault.kind) {
      case "Corrupt":
        return `${fault.reason} ${fault.segmentIndex}`
      case "Unreadable":
        return `Unreadable ${fault.segmentIndex}`
      case "Missing":
        return `Missing ${fault.firstSegmentIndex} to ${fault.lastSegmentIndex}`
      case "Unsafe":
        return `Unsafe ${fault.path}`
    }
  })

const verified = Effect.map(verify({ directory }), faultsOf)

describe.each(formats)("Verify ($name)", ({ layout }) => {
  it.effect("finds nothing wrong with a directory that is whole, hot and cold", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10, 0, 10], firstSegmentIndex: 5, lastIsOpen: true })
      const [, frozen] = wal
      yield* put(directory, ...wal.map(hot), yield* Effect.promise(() => cold(frozen!)))
      yield* unlink(frozen!)
      const report = yield* verify({ directory })
      assert.deepStrictEqual(faultsOf(report), [])
      assert.deepStrictEqual(report.segments.map(({ eventCount, form }) => [form, eventCount]), [
        ["hot", 10],
        ["cold", 10],
        ["hot", 0],
        ["hot", 10]
      ])
      assert.deepStrictEqual(JSON.parse(JSON.stringify(report)), report)
    }).pipe(onSimulatedDisk))

  it.effect("visits every segment and reports each that is damaged", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10, 10, 10, 10, 10] })
      wal[1]!.bytes[wal[1]!.blockEnds[0]!.offset + 70]! ^= 1
      wal[3]!.bytes[10]! ^= 1
      // Its padding.
      wal[5]!.bytes[wal[5]!.blockEnds.at(-1)!.offset - 1]! ^= 1
      yield* put(directory, ...wal.map(hot))
      const report = yield* verify({ directory })
      assert.deepStrictEqual(faultsOf(report), ["BadPayload 1", "BadHeader 3", "NotZero 5"])
      assert.deepStrictEqual(report.segments.map(({ segmentIndex }) => segmentIndex), [0, 2, 4])
      for (const fault of report.faults) {
        assert.match(formatVerifyFault(fault), /^\/wal\/FS\.\d{8}\.wal: \w+ at offset \d+: expected .+, found .+$/)
      }
    }).pipe(onSimulatedDisk))

  it.effect("finds missing and misplaced segments", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10, 10, 10, 10, 10] })
      yield* put(directory, ...wal.map(hot))
      yield* unlink(wal[2]!)
      yield* unlink(wal[3]!)
      assert.deepStrictEqual(yield* verified, ["Missing 2 to 3"])
      yield* put(directory, hot(wal[2]!), hot(wal[3]!), { ...hot(wal[4]!), name: hot(wal[1]!).name })
      assert.deepStrictEqual(yield* verified, ["BadOrder 1"])
    }).pipe(onSimulatedDisk))

  it.effect("tells the torn tail of the newest segment, which is no fault", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10], lastIsOpen: true })
      yield* put(directory, hot(wal[0]!), hot(torn(wal[1]!, 3)))
      const report = yield* verify({ directory })
      assert.deepStrictEqual(faultsOf(report), [])
      assert.strictEqual(report.segments[1]!.tornBytes, report.segments[1]!.bytes - wal[1]!.blockEnds[0]!.offset)
      assert.isAbove(report.segments[1]!.tornBytes, 0)
    }).pipe(onSimulatedDisk))

  it.effect("checks both forms of a segment, and lists what is not a segment", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10] })
      const frame = yield* Effect.promise(() => cold(wal[0]!))
      yield* put(directory, ...wal.map(hot), frame, { name: "notes.txt", bytes: new Uint8Array(1) })
      const whole = yield* verify({ directory })
      assert.deepStrictEqual(faultsOf(whole), [])
      assert.deepStrictEqual(whole.severalForms, [0])
      assert.deepStrictEqual(whole.foreign, ["notes.txt"])
      yield* put(directory, { ...frame, bytes: frame.bytes.subarray(0, 50) })
      assert.deepStrictEqual(yield* verified, ["BadFrame 0"])
    }).pipe(onSimulatedDisk))

  it.effect("goes on when a disk does not give the bytes", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10, 10] })
      yield* put(directory, ...wal.map(hot))
      const { failAlways } = yield* SimulatedDisk.SimulatedDisk
      yield* failAlways("read", "Io", /00000001/)
      const report = yield* verify({ directory })
      assert.deepStrictEqual(faultsOf(report), ["Unreadable 1"])
      assert.strictEqual(report.segments.length, 2)
    }).pipe(onSimulatedDisk))

  it.effect("leaves out what retention deletes meanwhile, and follows what is frozen meanwhile", () =>
    Effect.gen(function*() {
      const disk = yield* Disk
      const wal = buildWal({ layout, segments: [10, 10, 10, 10] })
      yield* put(directory, ...wal.map(hot))
      const frozen = yield* Effect.promise(() => cold(wal[2]!))
      let isChanged = false
      const changing = Disk.of({
        ...disk,
        open: Effect.fnUntraced(function*(path, mode) {
          if (!isChanged) {
            isChanged = true
            yield* put(directory, frozen)
            for (const position of [0, 1, 2]) yield* unlink(wal[position]!)
          }
          return yield* disk.open(path, mode)
        }, Effect.provideService(Disk, disk))
      })
      const report = yield* Effect.provideService(verify({ directory }), Disk, changing)
      assert.deepStrictEqual(faultsOf(report), [])
      assert.deepStrictEqual(report.segments.map(({ form, segmentIndex }) => [segmentIndex, form]), [
        [2, "cold"],
        [3, "hot"]
      ])
    }).pipe(onSimulatedDisk))

  it.effect("does not take for missing what retention deletes behind a segment that was seen", () =>
    Effect.gen(function*() {
      const disk = yield* Disk
      const wal = buildWal({ segments: [10, 10, 10, 10] })
      yield* put(directory, ...wal.map(hot))
      const changing = Disk.of({
        ...disk,
        open: Effect.fnUntraced(function*(path, mode) {
          if (path.endsWith(hot(wal[1]!).name)) {
            for (const position of [0, 1, 2]) yield* Effect.ignore(unlink(wal[position]!))
          }
          return yield* disk.open(path, mode)
        }, Effect.provideService(Disk, disk))
      })
      const report = yield* Effect.provideService(verifyAlone({ directory }), Disk, changing)
      assert.deepStrictEqual(faultsOf(report), [])
      assert.deepStrictEqual(report.segments.map(({ segmentIndex }) => segmentIndex), [0, 3])
    }).pipe(onSimulatedDisk))

  it.live("opens no link and no directory that bears a segment's name", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* put(directory, ...buildWal({ layout, segments: [10] }).map(hot))
      symlinkSync(join(directory, "FS.00000000.wal"), join(directory, "FS.00000001.wal"))
      yield* Disk.use((disk) => disk.makeDirectory(join(directory, "FS.00000002.wal.lz4")))
      const report = yield* verify({ directory })
      assert.deepStrictEqual(faultsOf(report), [
        `Unsafe ${join(directory, "FS.00000001.wal")}`,
        `Unsafe ${join(directory, "FS.00000002.wal.lz4")}`
      ])
      assert.strictEqual(report.segments.length, 1)
    }).pipe(Effect.provide(NodeDisk.layer)))
})

describe("Verify of format 2", () => {
  it.effect("takes an unclosed segment that others follow for a fault", () =>
    Effect.gen(function*() {
      const closed = buildWal({ segments: [10, 10] })
      yield* put(directory, hot(buildWal({ segments: [10], lastIsOpen: true })[0]!), hot(closed[1]!))
      assert.deepStrictEqual(yield* verified, ["BadHeader 0"])
    }).pipe(onSimulatedDisk))

  it.effect("holds the segment behind a damaged one against that one's header", () =>
    Effect.gen(function*() {
      const wal = buildWal({ segments: [10, 10, 10] })
      const other = buildSegment({
        segmentIndex: 2,
        firstEventId: 21,
        commits: [eventsNamed(21, 25)],
        previousChainedChecksum: 1n
      })
      wal[1]!.bytes[wal[1]!.blockEnds[0]!.offset + 70]! ^= 1
      yield* put(directory, hot(wal[0]!), hot(wal[1]!), hot(other))
      assert.deepStrictEqual(yield* verified, ["BadPayload 1", "BrokenChain 2"])
    }).pipe(onSimulatedDisk))

  it.effect("finds swapped and foreign segments", () =>
    Effect.gen(function*() {
      const wal = buildWal({ segments: [10, 10, 10, 10, 10, 10] })
      yield* put(directory, ...wal.map(hot))
      yield* put(directory, hot(buildWal({ segments: [10, 10], commitEvents: 2 })[1]!))
      assert.deepStrictEqual(yield* verified, ["BrokenChain 1"])
      const foreign = buildWal({ segments: [10, 10], walId: new Uint8Array(16) })
      yield* put(directory, hot(foreign[1]!))
      assert.deepStrictEqual(yield* verified, ["BrokenChain 1"])
    }).pipe(onSimulatedDisk))

  it.effect("finds a segment of another wal behind a hole", () =>
    Effect.gen(function*() {
      const wal = buildWal({ segments: [10, 10, 10] })
      const foreign = buildWal({ segments: [10, 10, 10], walId: new Uint8Array(16) })
      yield* put(directory, hot(wal[0]!), hot(foreign[2]!))
      assert.deepStrictEqual(yield* verified, ["BrokenChain 2", "Missing 1 to 1"])
    }).pipe(onSimulatedDisk))
})

describe("Verify of format 1", () => {
  it.effect("takes an unclosed segment that others follow for a fault, unless they go on with the next id", () =>
    Effect.gen(function*() {
      yield* put(
        directory,
        hot(unclosedByAnother(0, 1, 10)),
        hot(unclosedByAnother(1, 11, 0)),
        hot(unclosedByAnother(2, 11, 10))
      )
      assert.deepStrictEqual(yield* verified, [])
      yield* put(directory, hot(unclosedByAnother(2, 12, 10)))
      assert.deepStrictEqual(yield* verified, ["Truncated 0"])
      const torn = unclosedByAnother(0, 1, 10)
      torn.bytes[torn.blockEnds.at(-1)!.offset + 5] = 1
      yield* put(directory, hot(torn), hot(unclosedByAnother(2, 11, 10)))
      assert.deepStrictEqual(yield* verified, ["BadBlockHeader 0"])
      yield* put(directory, hot(unclosedByAnother(2, 11, 0)))
      assert.deepStrictEqual(yield* verified, [])
    }).pipe(onSimulatedDisk))
})

describe("Verify of a directory with both formats", () => {
  it.effect("takes a change of format within a directory for a fault", () =>
    Effect.gen(function*() {
      const [first] = buildWal({ segments: [10] })
      const second = buildWal({ layout: format1Layout, segments: [10, 10] })[1]!
      yield* put(directory, hot(first!), hot(second))
      assert.deepStrictEqual(yield* verified, ["BadHeader 1"])
    }).pipe(onSimulatedDisk))
})
