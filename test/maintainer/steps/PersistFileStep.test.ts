/** The order in which a file of an application becomes durable. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Disk, openScoped, writeFully } from "../../../src/disk/Disk.ts"
import { layerAlone } from "../../../src/maintainer/SegmentMaintainer.ts"
import { SegmentsToPersist } from "../../../src/shared/SegmentQueues.ts"
import * as TaskQueue from "../../../src/shared/TaskQueue.ts"
import { foundation, hotPath, open, quiet, settle, simulated } from "../maintaining.ts"
import { changes, directory, lastChanges } from "../stepping.ts"

describe("persisting an application's own file", () => {
  it.effect("syncs the file, then its name", () =>
    Effect.gen(function*() {
      const services = yield* Layer.build(Layer.merge(foundation, simulated()))
      yield* Effect.gen(function*() {
        yield* Disk.use((disk) => disk.makeDirectory(directory))
        yield* Effect.scoped(Effect.flatMap(
          openScoped(hotPath(directory, 0), "create"),
          (file) => writeFully(file, [Buffer.from("not synced")], 0)
        ))
        const { close } = yield* open(layerAlone({ directory }))
        yield* settle
        const before = (yield* changes).length
        const toPersist = Context.get(services, SegmentsToPersist)
        assert.isTrue(TaskQueue.offerUnsafe(toPersist, { segmentIndex: 0, bytes: 10 }))
        yield* settle
        assert.deepStrictEqual(yield* lastChanges(before), ["sync FS.00000000.wal", "syncDirectory ."])
        yield* close
      }).pipe(Effect.provideContext(services))
    }).pipe(Effect.scoped, quiet))
})
