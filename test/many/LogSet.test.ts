/** A log for each key: where it lies, when it is opened and closed, and what becomes of one that fails. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Disk, DiskError } from "../../src/disk/Disk.ts"
import { Io } from "../../src/disk/DiskReason.ts"
import * as LogSet from "../../src/many/LogSet.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { settle, whileClockTurns } from "../maintainer/maintaining.ts"
import { FiberTenants, subjects, Tenant } from "./subjects.ts"

const eventsOf = <E, R>(events: Stream.Stream<{ readonly id: number; readonly event: string }, E, R>) =>
  Effect.map(Stream.runCollect(events), (all) => all.map(({ event, id }) => `${id} ${event}`))

const refused = [
  "",
  ".",
  "..",
  "../ada",
  "ada/../../grace",
  "/etc",
  "a/b",
  "a\\b",
  "a\0b",
  ".hidden",
  "ada.",
  "-rf",
  "Ada",
  "ADA",
  "é",
  "ada\n",
  "a b",
  "%2e%2e",
  "x".repeat(129),
  // What JavaScript may pass.
  undefined,
  7,
  { toString: () => "ada" }
]

describe.each(subjects)("a set of logs ($name)", ({ place }) => {
  it.live("gives each key a log of its own, opened when it is first used", () =>
    Effect.gen(function*() {
      const { disk, open, root } = yield* place
      const tenants = yield* open()
      assert.deepStrictEqual(yield* tenants.opened, [])
      assert.deepStrictEqual(yield* tenants.keys, [])
      assert.strictEqual(yield* tenants.use("ada", (log) => log.appendDurable("of ada")), 1)
      assert.strictEqual(yield* tenants.use("grace", (log) => log.appendDurable("of grace")), 1)
      assert.strictEqual(yield* tenants.use("ada", (log) => log.appendDurable("also of ada")), 2)
      assert.deepStrictEqual(yield* eventsOf(tenants.events("ada")), ["1 of ada", "2 also of ada"])
      assert.deepStrictEqual(yield* eventsOf(tenants.events("grace")), ["1 of grace"])
      assert.deepStrictEqual((yield* tenants.opened).toSorted(), ["ada", "grace"])
      assert.deepStrictEqual((yield* disk.list(root)).map(({ name }) => name).toSorted(), ["ada", "grace"])
      assert.deepStrictEqual(yield* tenants.keys, ["ada", "grace"])
    }))

  it.live("opens one log for all who ask for a key at once", () =>
    Effect.gen(function*() {
      const { open } = yield* place
      const tenants = yield* open()
      const ids = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, number) => String(number)),
        (event) => tenants.use("ada", (log) => log.appendDurable(event)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(ids.toSorted((a, b) => a - b), Array.from({ length: 50 }, (_, index) => index + 1))
    }))

  it.live("refuses every key that is no name everywhere, or that would leave the root, and makes nothing", () =>
    Effect.gen(function*() {
      const { disk, open, root } = yield* place
      const tenants = yield* open()
      for (const key of refused as ReadonlyArray<string>) {
        const error = yield* Effect.flip(tenants.use(key, (log) => log.appendDurable("never")))
        assert.strictEqual(error._tag, "KeyRefused")
        assert.isBelow(error.message.length, 400)
        assert.strictEqual((yield* Effect.flip(Stream.runDrain(tenants.events(key))))._tag, "KeyRefused")
      }
      assert.isTrue(Exit.isFailure(yield* Effect.exit(disk.stat(root))))
      for (const key of ["a", "7", "ada.lovelace_1815-1852", "x".repeat(128)]) {
        assert.strictEqual(yield* tenants.use(key, (log) => log.appendDurable("here")), 1)
      }
    }))

  it.live("hands a key that is being closed out again as soon as it is closed, and goes on with its ids", () =>
    Effect.gen(function*() {
      const { open } = yield* place
      // Each use is the last one, so the log closes after each, and the next one comes meanwhile.
      const tenants = yield* open({ idleTimeToLive: 0 })
      const ids = yield* Effect.forEach(
        Array.from({ length: 12 }, (_, number) => number),
        (number) => Effect.delay(tenants.use("ada", (log) => log.appendDurable(String(number))), number * 3),
        { concurrency: 4 }
      )
      assert.deepStrictEqual(ids.toSorted((a, b) => a - b), Array.from({ length: 12 }, (_, index) => index + 1))
    }))

  it.live("keeps a log open while it is used, and no other than this one", () =>
    Effect.gen(function*() {
      const { open } = yield* place
      const tenants = yield* open({ idleTimeToLive: 0 })
      yield* tenants.use("ada", (ada) =>
        Effect.gen(function*() {
          yield* tenants.use("grace", (log) => log.appendDurable("x"))
          yield* tenants.close("grace")
          yield* tenants.close("ada")
          assert.deepStrictEqual(yield* tenants.opened, ["ada"])
          assert.strictEqual(yield* ada.appendDurable("still"), 1)
        }))
      yield* tenants.close("ada")
      assert.deepStrictEqual(yield* tenants.opened, [])
    }))

  it.live("has no more logs open than it may, closes the one that was idle for longest, and loses nothing", () =>
    Effect.gen(function*() {
      const { open } = yield* place
      const tenants = yield* open({ openMax: 3, idleTimeToLive: "1 hour" })
      const keys = Array.from({ length: 9 }, (_, number) => `tenant-${number}`)
      let most = 0
      yield* Effect.forEach([...keys, ...keys], (key) =>
        tenants.use(key, (log) =>
          Effect.gen(function*() {
            yield* log.appendDurable(key)
            most = Math.max(most, (yield* tenants.opened).length)
          })), { discard: true })
      assert.isAtMost(most, 4) // With one that is being closed for the one that is used.
      assert.deepStrictEqual((yield* tenants.opened).toSorted(), keys.slice(-3))
      for (const key of keys) {
        assert.deepStrictEqual(yield* eventsOf(tenants.events(key)), [`1 ${key}`, `2 ${key}`])
      }
    }))

  it.live("lets who asks for one more wait while all are in use", () =>
    Effect.gen(function*() {
      const { open } = yield* place
      const tenants = yield* open({ openMax: 1, idleTimeToLive: "1 hour" })
      const release = yield* Deferred.make<void>()
      const isUsed = yield* Deferred.make<void>()
      const first = yield* Effect.forkChild(
        tenants.use("ada", () => Effect.andThen(Deferred.succeed(isUsed, undefined), Deferred.await(release)))
      )
      yield* Deferred.await(isUsed)
      const second = yield* Effect.forkChild(tenants.use("grace", (log) => log.appendDurable("x")))
      for (let turn = 0; turn < 100; turn++) yield* Effect.yieldNow
      assert.isUndefined(second.pollUnsafe())
      yield* Deferred.succeed(release, undefined)
      yield* Fiber.join(first)
      // Without the hour that an idle log stays open.
      assert.strictEqual(yield* Fiber.join(second), 1)
    }))

  it.live("closes all logs with its layer, and another set goes on with them", () =>
    Effect.gen(function*() {
      const { open } = yield* place
      const scope = yield* Scope.make()
      const tenants = yield* Scope.provide(open(), scope)
      const keys = Array.from({ length: 5 }, (_, number) => `tenant-${number}`)
      yield* Effect.forEach(keys, (key) => tenants.use(key, (log) => log.append("not committed")))
      yield* Scope.close(scope, Exit.void)
      const again = yield* open()
      assert.deepStrictEqual(yield* again.keys, keys)
      for (const key of keys) {
        assert.strictEqual(yield* again.use(key, (log) => log.appendDurable("x")), 2)
      }
    }))

  it.live("leaves the other logs as they are when one cannot be opened, and opens that one when it can be", () =>
    Effect.gen(function*() {
      const { disk, open, root } = yield* place
      const tenants = yield* open()
      const other = yield* open()
      yield* tenants.use("ada", (log) => log.appendDurable("x"))
      yield* other.use("grace", () =>
        Effect.gen(function*() {
          // In one scope: a failure of before does not stand in the way.
          yield* Effect.scoped(Effect.gen(function*() {
            for (let attempt = 0; attempt < 3; attempt++) {
              const error = yield* Effect.flip(tenants.get("grace"))
              assert.strictEqual(error._tag === "DiskError" && error.reason._tag, "Held")
            }
            assert.deepStrictEqual(yield* tenants.opened, ["ada"])
            assert.strictEqual(yield* tenants.use("ada", (log) => log.appendDurable("x")), 2)
          }))
        }))
      yield* other.close("grace")
      assert.strictEqual(yield* tenants.use("grace", (log) => log.appendDurable("x")), 1)
      assert.strictEqual((yield* disk.stat(`${root}/grace`)).kind, "directory")
    }))
})

const makeSet = Effect.fnUntraced(function*<Self, S>(
  set: Context.Key<Self, S> & { readonly layer: (options: LogSet.LogSetOptions) => Layer.Layer<Self, never, Disk> },
  options: LogSet.LogSetOptions,
  disk: Disk["Service"]
) {
  return Context.get(yield* Effect.provideService(Layer.build(set.layer(options)), Disk, disk), set)
})

describe("a set of logs", () => {
  it.effect("closes a log that nobody has used for as long as it was told, and none that is used", () =>
    Effect.gen(function*() {
      const { disk } = yield* SimulatedDisk.make({ seed: 1 })
      const tenants = yield* makeSet(FiberTenants, { root: "/tenants", idleTimeToLive: "1 minute" }, disk)
      const scope = yield* Scope.make()
      yield* whileClockTurns(Scope.provide(tenants.get("used"), scope))
      yield* whileClockTurns(tenants.use("idle", (log) => log.appendDurable("x")))
      yield* TestClock.adjust("59 seconds")
      yield* settle
      assert.deepStrictEqual(yield* tenants.opened, ["used", "idle"])
      yield* TestClock.adjust("1 second")
      // Its end flushes, which takes some time of the clock.
      yield* TestClock.adjust("5 seconds")
      yield* settle
      assert.deepStrictEqual(yield* tenants.opened, ["used"])
      yield* whileClockTurns(Scope.close(scope, Exit.void))
    }))

  it.effect("opens a log again whose maintainer was down, and the others go on meanwhile", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.make({ seed: 1 })
      const { disk } = simulated
      const down = yield* Deferred.make<void>()
      class Tenants extends LogSet.Service<Tenants>()("test/Tenants", {
        log: Tenant,
        // The fiber that builds it ends as when its maintainer is down.
        lookup: ({ directory, key }) =>
          Tenant.layer({ directory }).pipe(
            Layer.tap(() =>
              key === "ada"
                ? Effect.withFiber((builder) =>
                  Effect.forkScoped(
                    Effect.andThen(Deferred.await(down), Effect.sync(() => builder.interruptUnsafe(builder.id)))
                  )
                )
                : Effect.void
            )
          )
      }) {}
      const tenants = yield* makeSet(Tenants, { root: "/tenants", idleTimeToLive: "1 hour" }, disk)
      const scope = yield* Scope.make()
      const ada = yield* whileClockTurns(Scope.provide(tenants.get("ada"), scope))
      yield* whileClockTurns(ada.appendDurable("one"))
      yield* whileClockTurns(tenants.use("grace", (log) => log.appendDurable("one")))
      yield* Deferred.succeed(down, undefined)
      // A log that has ended is closed under whoever uses it, so it can be opened again.
      assert.strictEqual(
        yield* whileClockTurns(Scope.provide(
          Effect.flatMap(
            Effect.repeat(tenants.get("ada"), { until: (log) => log !== ada }),
            (log) => log.appendDurable("two")
          ),
          scope
        )),
        2
      )
      assert.deepStrictEqual((yield* Effect.flip(ada.append("late"))).reason._tag, "Closed")
      assert.strictEqual(yield* whileClockTurns(tenants.use("grace", (log) => log.appendDurable("two"))), 2)
      yield* whileClockTurns(Scope.close(scope, Exit.void))
    }))

  it.effect("fails alone where one log's disk fails", () =>
    Effect.gen(function*() {
      const { disk } = yield* SimulatedDisk.make({ seed: 1 })
      const broken = new Set(["/tenants/ada"])
      const tenants = yield* makeSet(FiberTenants, { root: "/tenants" }, {
        ...disk,
        list: (path) =>
          broken.has(path)
            ? Effect.fail(new DiskError({ operation: "list", path, reason: new Io({ detail: "EIO" }) }))
            : disk.list(path)
      })
      const error = yield* whileClockTurns(Effect.flip(tenants.use("ada", (log) => log.appendDurable("x"))))
      assert.strictEqual(error._tag, "DiskError")
      assert.strictEqual(yield* whileClockTurns(tenants.use("grace", (log) => log.appendDurable("x"))), 1)
      broken.clear()
      assert.strictEqual(yield* whileClockTurns(tenants.use("ada", (log) => log.appendDurable("x"))), 1)
    }))

  it.effect("refuses a lookup that gives two keys one directory", () =>
    Effect.gen(function*() {
      const { disk } = yield* SimulatedDisk.make({ seed: 1 })
      const shared = Tenant.layer({ directory: "/tenants/ada" })
      class Tenants extends LogSet.Service<Tenants>()("test/Tenants", { log: Tenant, lookup: () => shared }) {}
      const tenants = yield* makeSet(Tenants, { root: "/tenants" }, disk)
      assert.strictEqual(yield* whileClockTurns(tenants.use("ada", (log) => log.appendDurable("x"))), 1)
      const exit = yield* whileClockTurns(Effect.exit(tenants.use("grace", (log) => log.appendDurable("x"))))
      assert.include(String(exit), "lookup has made the log of grace in /tenants/ada, expected /tenants/grace")
    }))

  it.effect("gives what asks for one log the log of a key", () =>
    Effect.gen(function*() {
      const { disk } = yield* SimulatedDisk.make({ seed: 1 })
      const context = yield* Effect.provideService(
        Layer.build(FiberTenants.layer({ root: "/tenants" })),
        Disk,
        disk
      )
      const program = Tenant.use((log) => log.appendDurable("x"))
      const run = (key: string) =>
        whileClockTurns(Effect.provideContext(Effect.provide(program, FiberTenants.get(key)), context))
      assert.strictEqual(yield* run("ada"), 1)
      assert.strictEqual(yield* run("ada"), 2)
      assert.strictEqual(yield* run("grace"), 1)
    }))

  it.effect("refuses options that it does not understand, before anything is made", () =>
    Effect.gen(function*() {
      const { disk } = yield* SimulatedDisk.make({ seed: 1 })
      const wrong = { root: "", openMax: 0, idleTimeToLive: -1, rooot: "x" }
      const exit = yield* Effect.exit(makeSet(FiberTenants, wrong, disk))
      for (const name of ["options.root", "options.openMax", "options.idleTimeToLive", "options.rooot"]) {
        assert.include(String(exit), name)
      }
    }))
})
