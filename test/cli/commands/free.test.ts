/** `effect-wal free`: what lies before an id is reported, and deleted when that is asked for. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { positionName } from "../../../src/disk/FileNames.ts"
import * as NodeDisk from "../../../src/disk/NodeDisk.ts"
import * as PositionStore from "../../../src/disk/PositionStore.ts"
import { hot, put } from "../../fixtures/segments.ts"
import { buildWal } from "../../fixtures/segments.ts"
import { layers, recording, temporaryDirectory } from "../../recorder/fixtures.ts"
import { here } from "../commandLine.ts"

const putInto = (...given: Parameters<typeof put>) => Effect.provide(put(...given), NodeDisk.layer)

const segmentsIn = (directory: string) => readdirSync(directory).filter((name) => /^FS.*\.(wal|lz4)$/.test(name)).sort()

describe("effect-wal free", () => {
  it.live("reports what lies before an id, and deletes it with --apply", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* putInto(directory, ...buildWal({ segments: [20, 20, 20, 20] }).map(hot))
      const before = segmentsIn(directory)
      const planned = yield* here("free", "--dir", directory, "--before", "50")
      assert.deepStrictEqual([planned.code, segmentsIn(directory)], [0, before])
      assert.include(planned.stdout, "2 segments to delete; the oldest event is 1\nnothing was changed")
      const applied = yield* here("free", "--dir", directory, "--before", "50", "--apply")
      assert.deepStrictEqual([applied.code, applied.stderr], [0, ""])
      assert.strictEqual(applied.stdout, `${directory}: 2 segments deleted; the oldest event is 41\n`)
      assert.deepStrictEqual(segmentsIn(directory), before.slice(2))
      const again = yield* here("free", "--dir", directory, "--before", "50", "--apply", "--json")
      assert.deepStrictEqual(JSON.parse(again.stdout), {
        directory,
        applied: true,
        segments: 0,
        left: 0,
        firstEventId: 41,
        keptFor: []
      })
      assert.strictEqual((yield* here("verify", "--dir", directory)).code, 0)
    }))

  it.live("keeps what a consumer has not done, and names the consumer", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* putInto(directory, ...buildWal({ segments: [20, 20, 20, 20] }).map(hot))
      writeFileSync(
        join(directory, positionName("billing")),
        PositionStore.encode({ name: "billing", eventId: 25 })
      )
      const applied = yield* here("free", "--dir", directory, "--before", "61", "--apply")
      assert.strictEqual(applied.code, 1)
      assert.include(applied.stdout, "1 segments deleted, 2 could not be deleted; the oldest event is 21\n")
      assert.include(applied.stdout, "note: billing has not done all of these events")
    }))

  it.live("refuses beside a recorder, which has freeBefore of its own", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* putInto(directory, ...buildWal({ segments: [20, 20, 20] }).map(hot))
      const wal = Layer.provide(layers[0]![1]({ directory }), NodeDisk.layer)
      yield* recording(wal, () =>
        Effect.gen(function*() {
          const refused = yield* here("free", "--dir", directory, "--before", "30", "--apply")
          assert.strictEqual(refused.code, 1)
          assert.include(refused.stderr, "wal.lock: another process holds it")
          assert.lengthOf(segmentsIn(directory), 3)
        }))
    }))
})
