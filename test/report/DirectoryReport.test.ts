import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { newestEventId } from "../../src/report/DirectoryReport.ts"
import { buildWal, hot, put } from "../fixtures/segments.ts"
import { directory, onSimulatedDisk } from "../fixtures/simulatedWal.ts"

describe("the newest event of a directory", () => {
  it("is in the segment before the newest one when that has none yet", () =>
    Effect.gen(function*() {
      for (const lastIsOpen of [true, false]) {
        const segments = buildWal({ segments: [40, 30, 0], lastIsOpen }).map(hot)
        yield* put(`${directory}/${lastIsOpen}`, ...segments)
        assert.strictEqual(yield* newestEventId(`${directory}/${lastIsOpen}`), 70)
      }
    }).pipe(onSimulatedDisk, Effect.runPromise))

  it("is none in a directory without segments", () =>
    Effect.gen(function*() {
      yield* put(directory)
      assert.strictEqual(yield* newestEventId(directory), 0)
    }).pipe(onSimulatedDisk, Effect.runPromise))
})
