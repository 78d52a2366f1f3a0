/** What `verify` does with a second thread. The rulings of what it finds are those of `Verify`. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { availableParallelism } from "node:os"
import * as NodeDisk from "../../../src/disk/NodeDisk.ts"
import { buildWal, hot, put } from "../../fixtures/segments.ts"
import { effectWal, place, slowly } from "../commandLine.ts"

describe("verify", () => {
  it.live.skipIf(availableParallelism() < 2)(
    "verifies on a second thread when it takes long, and reports the same, byte for byte (needs two processors)",
    () =>
      Effect.gen(function*() {
        const directory = (yield* place)("log")
        const segments = buildWal({ segments: Array.from({ length: 20 }, () => 100) })
        const damaged = segments[13]!
        damaged.bytes[damaged.bytes.length - 70]! ^= 1
        yield* put(directory, ...segments.map(hot)).pipe(Effect.provide(NodeDisk.layer))
        const alone = yield* effectWal(["verify", "--json", "--dir", directory])
        const slow = yield* effectWal(["verify", "--json", "--dir", directory], "", { env: slowly(400) })
        assert.strictEqual(alone.code, 1)
        assert.deepStrictEqual([slow.code, slow.stdout], [alone.code, alone.stdout])
        // Only what the command's own thread opens is slow, and is told. It opens the damaged one twice.
        const opened = slow.stderr.split("opening a segment\n").length - 1
        assert.isAtLeast(opened, 10)
        assert.isBelow(opened, 20)
      })
  )
})
