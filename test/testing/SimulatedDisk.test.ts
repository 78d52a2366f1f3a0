/** The fault model of the simulated disk, rule by rule. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import type { DiskError } from "../../src/disk/Disk.ts"
import { Disk, openScoped, readFully, writeFully } from "../../src/disk/Disk.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"

type Simulated = SimulatedDisk.SimulatedDisk["Service"]

const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value)
const errorOf = <A, R>(effect: Effect.Effect<A, DiskError, R>) => Effect.orDie(Effect.flip(effect))
const reasonOf = <A, R>(effect: Effect.Effect<A, DiskError, R>) =>
  Effect.map(errorOf(effect), (error) => error.reason._tag)

const assertPowerOff = (exit: Exit.Exit<unknown, unknown>) =>
  assert.isTrue(Exit.isFailure(exit) && SimulatedDisk.isPowerOff(exit.cause), "the operation died with PowerOff")

/** Runs a scenario for many seeds; returns its result for each. */
const forSeeds = <A>(count: number, scenario: (simulated: Simulated) => Effect.Effect<A, DiskError>) =>
  Effect.forEach(
    Array.from({ length: count }, (_, seed) => seed),
    (seed) => Effect.flatMap(SimulatedDisk.make({ seed }), scenario)
  )

/** Makes a file that is durable, with this content. */
const storedFile = Effect.fnUntraced(function*({ disk }: Simulated, path: string, content: Uint8Array) {
  const file = yield* disk.open(path, "create")
  yield* writeFully(file, [content], 0)
  yield* file.sync
  yield* disk.syncDirectory("/")
  return file
})

const contentOf = (simulated: Simulated, path: string) => Effect.map(simulated.files, (files) => files.get(path))

const namesIn = (simulated: Simulated) => Effect.map(simulated.files, (files) => [...files.keys()].sort().join(" "))

/** Gives the value of every 512-byte sector; "?" for a sector that is torn inside. */
const sectorsOf = (content: Uint8Array): string => {
  let sectors = ""
  for (let start = 0; start < content.length; start += 512) {
    const sector = content.subarray(start, start + 512)
    sectors += sector.every((byte) => byte === sector[0]) ? String.fromCharCode(64 + sector[0]!) : "?"
  }
  return sectors
}

describe("SimulatedDisk", () => {
  it.effect("keeps through a crash what was synced (rules 1 and 2)", () =>
    Effect.gen(function*() {
      yield* forSeeds(50, (simulated) =>
        Effect.gen(function*() {
          const file = yield* storedFile(simulated, "/a", filled(3000, 1))
          yield* file.truncate(2500)
          yield* file.sync
          yield* simulated.crash
          assert.deepStrictEqual(yield* contentOf(simulated, "/a"), filled(2500, 1))
        }))
    }))

  it.effect("keeps unsynced writes wholly, partly, in any order, or not at all, torn at sectors (rule 2)", () =>
    Effect.gen(function*() {
      const outcomes = yield* forSeeds(300, (simulated) =>
        Effect.gen(function*() {
          const file = yield* storedFile(simulated, "/a", filled(4 * 512, 1))
          yield* writeFully(file, [filled(2 * 512, 2)], 0)
          yield* writeFully(file, [filled(2 * 512, 3)], 512)
          yield* simulated.crash
          return sectorsOf((yield* contentOf(simulated, "/a"))!)
        }))
      // A: as synced, B: first write, C: second write. The first reached sectors 1 and 2, the second 2 and 3.
      for (const outcome of outcomes) assert.match(outcome, /^[AB][ABC][AC]A$/)
      for (const outcome of ["AAAA", "BBAA", "BCCA", "ACCA", "ABAA", "BACA", "AACA"]) {
        assert.include(outcomes, outcome)
      }
    }))

  it.effect("draws the length of a file on its own (rule 2)", () =>
    Effect.gen(function*() {
      const outcomes = yield* forSeeds(300, (simulated) =>
        Effect.gen(function*() {
          const file = yield* storedFile(simulated, "/a", filled(512, 1))
          yield* writeFully(file, [filled(512, 2)], 512)
          yield* file.truncate(100)
          yield* simulated.crash
          const content = (yield* contentOf(simulated, "/a"))!
          return `${content.length} ${sectorsOf(content)}`
        }))
      // @ stands for zeros: the new length without the bytes.
      assert.deepStrictEqual([...new Set(outcomes)].sort(), ["100 A", "1024 A@", "1024 AB", "512 A"])
    }))

  it.effect("loses names that no directory sync has followed, each on its own (rule 3)", () =>
    Effect.gen(function*() {
      const outcomes = yield* forSeeds(300, (simulated) =>
        Effect.gen(function*() {
          const { disk } = simulated
          yield* storedFile(simulated, "/a", filled(1, 1))
          yield* storedFile(simulated, "/b", filled(1, 2))
          yield* Effect.scoped(Effect.provideService(openScoped("/c", "create"), Disk, disk))
          yield* disk.unlink("/a")
          yield* disk.rename("/b", "/d")
          yield* simulated.crash
          return yield* namesIn(simulated)
        }))
      assert.deepStrictEqual([...new Set(outcomes)].sort(), [
        "/a /b",
        "/a /b /c",
        "/a /c /d",
        "/a /d",
        "/b",
        "/b /c",
        "/c /d",
        "/d"
      ])
    }))

  it.effect("keeps names that a directory sync has followed, and only in that directory (rule 3)", () =>
    Effect.gen(function*() {
      const outcomes = yield* forSeeds(100, (simulated) =>
        Effect.gen(function*() {
          const { disk } = simulated
          yield* disk.makeDirectory("/d")
          yield* disk.makeDirectory("/e")
          yield* disk.syncDirectory("/")
          for (const name of ["/d/a", "/d/b", "/e/a"]) yield* disk.open(name, "create")
          yield* disk.rename("/d/b", "/d/c")
          yield* disk.syncDirectory("/d")
          yield* simulated.crash
          return yield* namesIn(simulated)
        }))
      assert.deepStrictEqual([...new Set(outcomes)].sort(), ["/d/a /d/c", "/d/a /d/c /e/a"])
    }))

  it.effect("keeps what a synced change rests on, in the other directory too (rule 3)", () =>
    Effect.gen(function*() {
      yield* forSeeds(50, (simulated) =>
        Effect.gen(function*() {
          const { disk } = simulated
          yield* disk.makeDirectory("/d")
          yield* disk.syncDirectory("/")
          yield* storedFile(simulated, "/a", filled(10, 1))
          yield* disk.rename("/a", "/b")
          yield* disk.rename("/b", "/d/c")
          yield* disk.syncDirectory("/d")
          yield* simulated.crash
          assert.strictEqual(yield* namesIn(simulated), "/d/c")
        }))
    }))

  it.effect("replaces by rename atomically: the old file or the new one, whole (rule 3)", () =>
    Effect.gen(function*() {
      const outcomes = yield* forSeeds(100, (simulated) =>
        Effect.gen(function*() {
          yield* storedFile(simulated, "/a", filled(1000, 1))
          const fresh = yield* simulated.disk.open("/a.tmp", "create")
          yield* writeFully(fresh, [filled(2000, 2)], 0)
          yield* fresh.sync
          yield* simulated.disk.rename("/a.tmp", "/a")
          yield* simulated.crash
          const files = yield* simulated.files
          return [...files].sort().map(([name, content]) => `${name} ${content.length}`).join(", ")
        }))
      assert.deepStrictEqual([...new Set(outcomes)].sort(), ["/a 1000", "/a 1000, /a.tmp 2000", "/a 2000"])
    }))

  it.effect("never loses a synced file to a change that rests on a lost one (rule 3)", () =>
    Effect.gen(function*() {
      yield* forSeeds(200, (simulated) =>
        Effect.gen(function*() {
          yield* storedFile(simulated, "/a", filled(10, 1))
          yield* simulated.disk.rename("/a", "/b")
          yield* simulated.disk.open("/a", "create")
          yield* simulated.disk.rename("/b", "/c")
          yield* simulated.crash
          const files = yield* simulated.files
          const survivors = [...files.values()].filter((content) => content.length === 10)
          assert.strictEqual(survivors.length, 1)
        }))
    }))

  it.effect("takes everything in a directory along when its own name is lost (rule 3)", () =>
    Effect.gen(function*() {
      const outcomes = yield* forSeeds(50, (simulated) =>
        Effect.gen(function*() {
          yield* simulated.disk.makeDirectory("/d")
          const file = yield* simulated.disk.open("/d/a", "create")
          yield* file.sync
          yield* simulated.disk.syncDirectory("/d")
          yield* simulated.crash
          return yield* namesIn(simulated)
        }))
      assert.deepStrictEqual([...new Set(outcomes)].sort(), ["", "/d/a"])
    }))

  it.effect("loses unsynced bytes at a failed sync, though reads show them and the next sync says ok (rule 4)", () =>
    Effect.gen(function*() {
      const outcomes = yield* forSeeds(100, (simulated) =>
        Effect.gen(function*() {
          const file = yield* storedFile(simulated, "/a", filled(8 * 512, 1))
          yield* writeFully(file, [filled(8 * 512, 2)], 0)
          yield* simulated.failNext("sync", "Io")
          assert.strictEqual(yield* reasonOf(file.sync), "Io")
          yield* file.sync
          assert.strictEqual(sectorsOf((yield* contentOf(simulated, "/a"))!), "BBBBBBBB")
          yield* writeFully(file, [filled(512, 3)], 0)
          yield* file.sync
          yield* simulated.crash
          return sectorsOf((yield* contentOf(simulated, "/a"))!)
        }))
      for (const outcome of outcomes) assert.match(outcome, /^C[AB]{7}$/)
      assert.include(outcomes, "CAAAAAAA")
      assert.isTrue(outcomes.some((outcome) => outcome.includes("B")))
    }))

  it.effect("lets a stuck file fail every sync until the disk is healed, and no other file (rule 4)", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.make({ seed: 1 })
      const stuck = yield* simulated.disk.open("/a", "create")
      const other = yield* simulated.disk.open("/b", "create")
      yield* simulated.setFaults({ errorRates: { sync: 1 }, stuckSyncRate: 1 })
      assert.strictEqual(yield* reasonOf(stuck.sync), "Io")
      yield* simulated.setFaults({})
      for (let round = 0; round < 3; round++) assert.strictEqual(yield* reasonOf(stuck.sync), "Io")
      yield* other.sync
      yield* simulated.heal
      yield* stuck.sync
    }))

  it.effect("ends its space at any byte, short first and full then (rule 5)", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.make({ seed: 1, capacityBytes: 1000 })
      const { disk } = simulated
      const file = yield* disk.open("/a", "create")
      yield* writeFully(file, [filled(990, 1)], 0)
      assert.strictEqual(yield* disk.freeBytes("/"), 10)
      assert.strictEqual(yield* file.write([filled(7, 2), filled(7, 3)], 990), 10)
      assert.strictEqual(yield* reasonOf(file.write([filled(1, 4)], 1000)), "Full")
      assert.strictEqual(yield* reasonOf(disk.open("/b", "create")), "Full")
      assert.strictEqual(yield* file.write([filled(1000, 5)], 0), 1000)
      yield* simulated.setCapacityBytes(1001)
      assert.strictEqual(yield* file.write([filled(4, 4)], 1000), 1)
      yield* file.truncate(500)
      assert.strictEqual(yield* disk.freeBytes("/"), 501)
      yield* disk.unlink("/a")
      assert.strictEqual(yield* disk.freeBytes("/"), 501)
      yield* file.close
      assert.strictEqual(yield* disk.freeBytes("/"), 1001)
    }))

  it.effect("counts the space of what is left after a crash (rule 5)", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.make({ seed: 1, capacityBytes: 1000 })
      yield* storedFile(simulated, "/a", filled(300, 1))
      const file = yield* storedFile(simulated, "/b", filled(200, 1))
      yield* simulated.disk.unlink("/b")
      yield* simulated.disk.syncDirectory("/")
      yield* simulated.crash
      yield* file.close
      assert.strictEqual(yield* simulated.disk.freeBytes("/"), 700)
    }))

  it.effect("reads and writes shortly, but never nothing (rule 6)", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.make({ seed: 1, faults: { shortReadRate: 0.5, shortWriteRate: 0.5 } })
      const file = yield* simulated.disk.open("/a", "create")
      const written = new Set<number>()
      const read = new Set<number>()
      const target = new Uint8Array(10)
      for (let round = 0; round < 200; round++) {
        written.add(yield* file.write([filled(4, 1), filled(6, 2)], 0))
        if (round > 20) read.add(yield* file.read(target, 0))
      }
      assert.strictEqual(Math.min(...written), 1)
      assert.strictEqual(Math.max(...written), 10)
      assert.strictEqual(Math.min(...read), 1)
      assert.strictEqual(Math.max(...read), 10)
      const content = Uint8Array.from({ length: 5000 }, (_, index) => index % 251)
      yield* writeFully(file, [content.subarray(0, 3000), content.subarray(3000)], 0)
      const back = new Uint8Array(5000)
      assert.strictEqual(yield* readFully(file, back, 0), 5000)
      assert.deepStrictEqual(back, content)
    }))

  it.effect("fails what it is told to fail, on the paths that match, once or until healed (rule 7)", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.make({ seed: 1 })
      const { disk } = simulated
      yield* simulated.failNext("open", "TooManyFiles")
      yield* simulated.failNext("open", "Denied")
      assert.strictEqual(yield* reasonOf(disk.open("/a", "create")), "TooManyFiles")
      assert.strictEqual(yield* reasonOf(disk.open("/a", "create")), "Denied")
      yield* disk.open("/a", "create")
      yield* simulated.failAlways("rename", "Io", /\.tmp$/)
      yield* disk.open("/a.tmp", "create")
      yield* disk.rename("/a", "/b")
      assert.strictEqual(yield* reasonOf(disk.rename("/a.tmp", "/a")), "Io")
      assert.strictEqual(yield* reasonOf(disk.rename("/a.tmp", "/a")), "Io")
      assert.strictEqual(yield* namesIn(simulated), "/a.tmp /b")
      yield* simulated.heal
      yield* disk.rename("/a.tmp", "/a")
      yield* simulated.failNext("lock", "Held")
      assert.strictEqual(yield* reasonOf(Effect.scoped(disk.lock("/LOCK"))), "Held")
    }))

  it.effect("fails at the rates that are set, and leaves some sectors of a failed write (rule 7)", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.make({ seed: 1, faults: { errorRates: { write: 0.25 } } })
      const file = yield* simulated.disk.open("/a", "create")
      let failures = 0
      const left = new Set<number>()
      for (let round = 0; round < 1000; round++) {
        const result = yield* Effect.exit(file.write([filled(1436, 1)], 100))
        if (Exit.isFailure(result)) {
          failures++
          left.add((yield* file.stat).bytes)
        }
        yield* file.truncate(0)
      }
      assert.isAbove(failures, 200)
      assert.isBelow(failures, 300)
      assert.deepStrictEqual([...left].sort((a, b) => a - b), [0, 512, 1024])
    }))

  it.effect("shows an observer the operations of its own view, and lets them die before or after", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.make({ seed: 1 })
      const seen: Array<string> = []
      const deaths: Array<string> = []
      const view = simulated.viewedBy({
        begin: (operation) => deaths.includes(`before ${operation}`) ? "dead" : undefined,
        end: (operation, path, detail, outcome) => {
          seen.push(`${operation} ${path}${detail}: ${outcome}`)
          return deaths.includes(`after ${operation}`) ? "dead" : undefined
        }
      })
      const file = yield* view.open("/a", "create")
      yield* file.write([filled(5, 1)], 3)
      yield* Effect.flip(view.unlink("/b"))
      yield* simulated.disk.stat("/a")
      deaths.push("before unlink", "after rename")
      for (const dying of [view.unlink("/a"), view.rename("/a", "/c")]) {
        const exit = yield* Effect.exit(dying)
        assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) === "dead")
      }
      assert.strictEqual((yield* simulated.disk.stat("/c")).bytes, 8)
      assert.deepStrictEqual(seen, [
        "open /a create: ok",
        "write /a 3+5: 5",
        "unlink /b: NotFound",
        "rename /a /c: ok"
      ])
    }))

  it.effect("rots bits of a synced file, for readers and for good (rule 8)", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.make({ seed: 1 })
      const file = yield* storedFile(simulated, "/a", filled(1000, 0))
      yield* file.close
      const offsets = yield* simulated.rotBits("/a", 20)
      const rotten = (yield* contentOf(simulated, "/a"))!
      const hit = [...rotten.keys()].filter((offset) => rotten[offset] !== 0)
      assert.deepStrictEqual(hit, [...new Set(offsets)].sort((left, right) => left - right))
      assert.strictEqual(offsets.length, 20)
      yield* simulated.crash
      assert.deepStrictEqual(yield* contentOf(simulated, "/a"), rotten)
    }))

  it.effect("is slow by the clock, before or after the effect (rule 9)", () =>
    Effect.gen(function*() {
      let begun = 0
      for (let seed = 0; seed < 40; seed++) {
        const simulated = yield* SimulatedDisk.make({ seed })
        const file = yield* simulated.disk.open("/a", "create")
        yield* simulated.setFaults({ slowRate: 1, slowMax: 100 })
        const slow = yield* Effect.forkChild(file.write([filled(4, 1)], 0), { startImmediately: true })
        const now = (yield* contentOf(simulated, "/a"))!.length
        if (now === 4) begun++
        if (seed % 2 === 0) {
          yield* TestClock.adjust(100)
          assert.strictEqual(yield* Fiber.join(slow), 4)
          assert.strictEqual((yield* contentOf(simulated, "/a"))!.length, 4)
        } else {
          yield* Fiber.interrupt(slow)
          yield* TestClock.adjust(100)
          assert.strictEqual((yield* contentOf(simulated, "/a"))!.length, now)
        }
      }
      assert.isAbove(begun, 10)
      assert.isBelow(begun, 30)
    }))

  it.effect("closes a file only when the slow calls on it have ended (rule 9)", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.make({ seed: 1 })
      const file = yield* simulated.disk.open("/a", "create")
      yield* simulated.setFaults({ slowRate: 1 })
      const write = yield* Effect.forkChild(file.write([filled(4, 1)], 0), { startImmediately: true })
      const close = yield* Effect.forkChild(file.close, { startImmediately: true })
      assert.isUndefined(close.pollUnsafe())
      yield* TestClock.adjust(1000)
      yield* Fiber.join(close)
      assert.strictEqual(yield* Fiber.join(write), 4)
    }))

  it.effect("lists in any order (rule 10)", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.make({ seed: 1 })
      for (const name of ["/a", "/b", "/c"]) yield* simulated.disk.open(name, "create")
      const orders = new Set<string>()
      for (let round = 0; round < 100; round++) {
        orders.add((yield* simulated.disk.list("/")).map(({ name }) => name).join(""))
      }
      assert.strictEqual(orders.size, 6)
    }))

  it.effect("dies in the middle of the operation it was told, and in all after it (rule 11)", () =>
    Effect.gen(function*() {
      const outcomes = yield* forSeeds(100, (simulated) =>
        Effect.gen(function*() {
          const { disk } = simulated
          const file = yield* storedFile(simulated, "/a", filled(512, 1))
          yield* simulated.crashAt((yield* simulated.operationCount) + 2)
          yield* file.stat
          assertPowerOff(yield* Effect.exit(file.write([filled(512, 2)], 0)))
          yield* simulated.awaitPowerOff
          assertPowerOff(yield* Effect.exit(file.sync))
          assertPowerOff(yield* Effect.exit(disk.open("/b", "create")))
          assertPowerOff(yield* Effect.exit(Effect.scoped(disk.lock("/LOCK"))))
          yield* simulated.crash
          assertPowerOff(yield* Effect.exit(file.write([filled(512, 3)], 0)))
          yield* file.close
          assert.strictEqual(yield* namesIn(simulated), "/a")
          return sectorsOf((yield* contentOf(simulated, "/a"))!)
        }))
      assert.deepStrictEqual([...new Set(outcomes)].sort(), ["A", "B"])
    }))

  it.effect("may have finished, or not, the sync in which the power went off (rule 11)", () =>
    Effect.gen(function*() {
      const outcomes = yield* forSeeds(100, (simulated) =>
        Effect.gen(function*() {
          const file = yield* simulated.disk.open("/a", "create")
          yield* writeFully(file, [filled(512, 1)], 0)
          yield* file.sync
          yield* simulated.crashAt((yield* simulated.operationCount) + 1)
          assertPowerOff(yield* Effect.exit(simulated.disk.syncDirectory("/")))
          yield* simulated.crash
          return yield* namesIn(simulated)
        }))
      assert.deepStrictEqual([...new Set(outcomes)].sort(), ["", "/a"])
    }))

  it.effect("lets a test stop the code and open the disk again, with the lock free (rule 11)", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.make({ seed: 1, faults: { slowRate: 0.1 } })
      const finalizers: Array<string> = []
      const program = (path: string) =>
        Effect.gen(function*() {
          const disk = yield* Disk
          yield* disk.lock("/LOCK")
          const file = yield* openScoped(path, "create")
          yield* Effect.addFinalizer(() => Effect.sync(() => void finalizers.push("ran")))
          yield* Effect.addFinalizer(() => Effect.ignoreCause(file.sync))
          while (true) {
            yield* file.write([filled(10, 1)], 0)
            yield* file.sync
          }
        }).pipe(Effect.scoped, Effect.provideService(Disk, simulated.disk))
      for (let round = 1; round <= 20; round++) {
        yield* simulated.crashAt((yield* simulated.operationCount) + 2 + round)
        const fiber = yield* Effect.forkChild(
          Effect.exit(Effect.raceFirst(program(`/${round}`), simulated.awaitPowerOff))
        )
        while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(1000)
        assert.strictEqual(finalizers.length, round)
        yield* simulated.crash
      }
    }))

  it.effect("wakes whoever sleeps on a slow operation, even in a finalizer, when the power goes off (rule 11)", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.make({ seed: 1 })
      const file = yield* simulated.disk.open("/a", "create")
      yield* simulated.setFaults({ slowRate: 1 })
      const sleeper = yield* Effect.forkChild(Effect.uninterruptible(file.sync), { startImmediately: true })
      yield* simulated.crash
      assertPowerOff(yield* Fiber.await(sleeper))
    }))

  it.effect("does the same for the same seed, and something else for another", () =>
    Effect.gen(function*() {
      const faults = { errorRates: { write: 0.1, sync: 0.1, rename: 0.1 }, shortWriteRate: 0.2, stuckSyncRate: 0.2 }
      const run = Effect.fnUntraced(function*(seed: number) {
        const simulated = yield* SimulatedDisk.make({ seed, faults, logLength: 1000 })
        const { disk } = simulated
        const random = new SeededRandom(7)
        for (let round = 0; round < 60; round++) {
          const file = yield* disk.open(`/${round}`, "create")
          yield* Effect.ignore(file.write([filled(1 + random.below(3000), 1 + random.below(250))], 0))
          if (random.chance(0.3)) yield* Effect.ignore(file.sync)
          if (random.chance(0.3)) yield* Effect.ignore(disk.rename(`/${round}`, `/${random.below(60)}`))
          yield* file.close
          if (random.chance(0.05)) yield* simulated.crash
        }
        return { log: yield* simulated.log, files: [...(yield* simulated.files)] }
      }, Effect.exit)
      assert.deepStrictEqual(yield* run(1), yield* run(1))
      assert.notDeepEqual(yield* run(1), yield* run(2))
    }))

  it("completes at once, without a promise, when nothing is slow", () => {
    const count = Effect.runSync(Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.make({ seed: 1 })
      const file = yield* simulated.disk.open("/a", "create")
      for (let index = 0; index < 1000; index++) {
        yield* file.write([filled(8, 1)], index * 8)
        yield* file.sync
      }
      yield* simulated.disk.syncDirectory("/")
      yield* simulated.crash
      return yield* simulated.operationCount
    }))
    assert.strictEqual(count, 2002)
  })

  it.effect("remembers the last operations, for whoever reads a failure", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.make({ seed: 1, logLength: 5 })
      const { disk } = simulated
      const file = yield* disk.open("/a", "create")
      yield* file.write([filled(10, 1)], 20)
      yield* simulated.failNext("sync", "Io")
      yield* Effect.ignore(file.sync)
      yield* disk.rename("/a", "/b")
      yield* Effect.ignore(disk.stat("/a"))
      yield* disk.freeBytes("/")
      assert.deepStrictEqual(yield* simulated.log, [
        "#2 write /a 20+10: 10",
        "#3 sync /a: Io",
        "#4 rename /a /b: ok",
        "#5 stat /a: NotFound",
        `#6 freeBytes /: ${2 ** 40 - 30}`
      ])
    }))

  it.effect("serves the same disk through both services", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.SimulatedDisk
      yield* Effect.scoped(openScoped("/a", "create"))
      assert.strictEqual(yield* namesIn(simulated), "/a")
    }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 }))))
})
