/** The order in which a deletion changes the disk. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { free } from "../../../src/maintainer/steps/FreeStep.ts"
import { kinds, look } from "../maintaining.ts"
import {
  changes,
  directory,
  freezing,
  lastChanges,
  putDurably,
  segments,
  stepLayer,
  threeSegments
} from "../stepping.ts"

describe.each(kinds)("steps on a directory of $name", (kind) => {
  const wal = threeSegments(kind)
  const putSegments = putDurably(wal)

  describe("free", () => {
    it.effect("takes the name, syncs the directory, then unlinks, and counts a missing file as done", () =>
      Effect.gen(function*() {
        yield* putSegments
        yield* freezing(0)
        const before = (yield* changes).length
        yield* free(segments, 0)
        assert.deepStrictEqual(yield* lastChanges(before), [
          "rename FS.00000000.wal.lz4 → FS.00000000.wal.lz4.tmp",
          "syncDirectory .",
          "unlink FS.00000000.wal.lz4.tmp"
        ])
        yield* free(segments, 0)
        assert.deepStrictEqual((yield* look(directory)).cold, [])
      }).pipe(Effect.provide(stepLayer())))

    it.effect("never deletes a hot segment", () =>
      Effect.gen(function*() {
        yield* putSegments
        const error = yield* Effect.flip(free(segments, 1))
        assert.deepStrictEqual([error.step, error.reason._tag, error.isRetryable], ["free", "NotFound", false])
        assert.deepStrictEqual((yield* look(directory)).hot, [0, 1, 2])
      }).pipe(Effect.provide(stepLayer())))
  })
})
