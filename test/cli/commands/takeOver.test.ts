/** A replicated log that is taken over on the command line. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { mkdirSync } from "node:fs"
import { pathToFileURL } from "node:url"
import * as Archive from "../../../src/archive/Archive.ts"
import * as Failover from "../../../src/failover/Failover.ts"
import { NodeDisk, Wal } from "../../../src/index.ts"
import * as DirectoryStore from "../../../src/store/DirectoryStore.ts"
import { here, place } from "../commandLine.ts"

class Orders extends Wal.Service<Orders>()("test/Orders") {}

describe("a replicated log", () => {
  it.live("is taken over by a machine that has nothing; whoever had it acknowledges nothing more", () =>
    Effect.gen(function*() {
      const at = yield* place
      mkdirSync(at("store"))
      const owner = Archive.layer({ log: "app", settleMax: 0 }).pipe(
        Layer.provide(Orders.parts),
        Layer.provideMerge(
          Orders.layer({ directory: at("one"), onArchiveBehind: "keep", acknowledge: "replicated" })
        ),
        Layer.provide(Failover.layer({ log: "app", directory: at("one"), settleMax: 0 })),
        Layer.provide(DirectoryStore.layer({ directory: at("store") })),
        Layer.provide(NodeDisk.layer)
      )
      const url = `${pathToFileURL(at("store")).href}/app`
      const late = yield* Effect.gen(function*() {
        const { appendDurable } = yield* Orders
        for (const event of ["one", "two", "three"]) yield* appendDurable(Buffer.from(event))
        const taken = yield* here("take-over", "--archive", url, "--dir", at("two"))
        assert.deepStrictEqual([taken.code, taken.stderr], [0, ""])
        assert.match(taken.stdout, /as epoch 2\nevents up to 3 are in the store\n1 segments restored into /)
        return yield* Effect.flip(appendDurable(Buffer.from("late")))
      }).pipe(Effect.provide(owner))
      assert.strictEqual(late.reason._tag, "Fenced")
      assert.strictEqual((yield* here("replay", "--dir", at("two"))).stdout, "onetwothree")
    }))

  it.live("is not taken over where there is none", () =>
    Effect.gen(function*() {
      const at = yield* place
      mkdirSync(at("store"))
      const none = yield* here("take-over", "--archive", `${pathToFileURL(at("store")).href}/app`, "--dir", at("two"))
      assert.strictEqual(none.code, 1)
      assert.match(none.stderr, /has no archive/)
    }))
})
