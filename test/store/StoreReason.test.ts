/** The reasons of a failed request tell what to do, and whether trying again may help. */
import { assert, describe, it } from "@effect/vitest"
import {
  Busy,
  Changed,
  Corrupt,
  Denied,
  NotFound,
  storeReason,
  Taken,
  Unreachable,
  Unsuitable
} from "../../src/store/StoreReason.ts"

describe("the reasons of a failed request", () => {
  it("may pass when they are of the moment, and not when they are of the object, the credentials or the server", () => {
    for (const Passing of [Busy, Unreachable, Corrupt]) assert.isTrue(new Passing({ detail: "" }).isRetryable)
    for (const Lasting of [NotFound, Taken, Changed, Denied, Unsuitable]) {
      assert.isFalse(new Lasting({ detail: "" }).isRetryable)
    }
  })

  it("have one line each, with what the store reported in it", () => {
    const reason = storeReason("Busy", "503\nSlowDown")
    assert.instanceOf(reason, Busy)
    assert.strictEqual(reason.message, "the store cannot do this now; try again later (503\\u000aSlowDown)")
  })
})
