/** The probe refuses servers that break a promise, and names the promise. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { ObjectStore, StoreError } from "../../src/store/ObjectStore.ts"
import type { PutOptions } from "../../src/store/ObjectStore.ts"
import { probe } from "../../src/store/Probe.ts"
import { storeReason } from "../../src/store/StoreReason.ts"
import * as SimulatedStore from "../../src/testing/SimulatedStore.ts"
import type { ServerOptions } from "./S3Server.ts"
import { onServer } from "./subjects.ts"

const refusedServers: ReadonlyArray<readonly [string, Omit<ServerOptions, "bucket">, string]> = [
  ["ignores If-None-Match", { ignores: ["If-None-Match"] }, "the server ignores If-None-Match: * of PUT"],
  ["ignores If-Match of PUT", { ignores: ["If-Match"] }, "the server ignores If-Match of PUT"],
  ["ignores If-Match of GET", { ignores: ["If-Match of GET"] }, "the server ignores If-Match of GET"],
  ["ignores Range", { ignores: ["Range"] }, "the server ignores Range"],
  [
    "refuses, and overwrites all the same",
    { overwrites: true },
    "the server refuses a PUT because of If-None-Match: *, and overwrites all the same"
  ]
]

describe("the probe", () => {
  it.live.each(refusedServers)(
    "refuses a server that %s, and leaves nothing there",
    ([, options, line]) =>
      Effect.gen(function*() {
        const store = yield* ObjectStore
        const error = yield* Effect.flip(probe(store))
        assert.strictEqual(error.reason._tag, "Unsuitable")
        assert.include(error.message, line)
        assert.deepStrictEqual(yield* Stream.runCollect(store.list("")), [])
      }).pipe(Effect.provide(onServer({ bucket: "wal", ...options })))
  )

  it.live("reports that a server does not check MD5, and takes it", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* probe(yield* ObjectStore), { checksMd5: false })
    }).pipe(Effect.provide(onServer({ bucket: "wal", ignores: ["Content-MD5"] }))))

  it.effect("calls no store unsuitable because a request failed", () =>
    Effect.gen(function*() {
      for (const fault of ["busy", "denied", "lostRequest", "lostAnswer", "late"] as const) {
        for (const operation of ["put", "get", "head"] as const) {
          const simulated = yield* SimulatedStore.make({ seed: 1 })
          yield* simulated.failNext(operation, fault)
          const result = yield* Effect.exit(probe(simulated.store))
          const words = `${fault} ${operation}: ${JSON.stringify(result)}`
          // A put whose answer is lost is looked up.
          const isFound = fault === "lostAnswer" && operation === "put"
          assert.strictEqual(result._tag, isFound ? "Success" : "Failure", words)
          assert.notInclude(words, "Unsuitable")
        }
      }
    }))

  it.effect("passes a store before which a proxy sends a request twice, whichever it is", () =>
    Effect.gen(function*() {
      const counted = yield* SimulatedStore.make({ seed: 1 })
      yield* probe(counted.store)
      const puts = (yield* counted.log).filter((line) => / put /.test(line)).length
      assert.isAbove(puts, 3)
      for (let doubled = 0; doubled < puts; doubled++) {
        const simulated = yield* SimulatedStore.make({ seed: 1 })
        let put = 0
        const store: ObjectStore["Service"] = {
          ...simulated.store,
          put: (key, content, options) => {
            const sent = simulated.store.put(key, content, options)
            return put++ === doubled ? Effect.andThen(Effect.ignore(sent), sent) : sent
          }
        }
        assert.deepStrictEqual(yield* probe(store), { checksMd5: true }, `put ${doubled}`)
      }
    }))

  it.effect("refuses a store that refuses what it has to take", () =>
    Effect.gen(function*() {
      const { store } = yield* SimulatedStore.make({ seed: 1 })
      const isTaken = (options: PutOptions | undefined) => options?.onlyIf === "absent"
      for (
        const [refuses, line] of [
          [isTaken, "refuses a PUT whose If-None-Match: * is right"],
          [(options) => !isTaken(options), "refuses a PUT whose If-Match is right"]
        ] as ReadonlyArray<readonly [(options: PutOptions | undefined) => boolean, string]>
      ) {
        const strict: ObjectStore["Service"] = {
          ...store,
          put: (key, content, options) =>
            refuses(options)
              ? Effect.fail(
                new StoreError({
                  reason: storeReason(isTaken(options) ? "Taken" : "Changed", ""),
                  operation: "put",
                  key,
                  isApplied: "no"
                })
              )
              : store.put(key, content, options)
        }
        const error = yield* Effect.flip(probe(strict))
        assert.strictEqual(error.reason._tag, "Unsuitable")
        assert.include(error.message, line)
      }
    }))
})
