/** What a maintainer warns of in the application's log before an operator would notice it. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { Compressor, threadedFrom } from "../../src/maintainer/Compressor.ts"
import type { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import * as SegmentMaintainerWorker from "../../src/maintainer/SegmentMaintainerWorker.ts"
import { foundation, inTime, NodeDisk, open, subjects, temporaryDirectory } from "./maintaining.ts"

type Options = Parameters<typeof SegmentMaintainerWorker.layerAlone>[0]

/** The first warning of a maintainer. */
const firstWarning = Effect.fnUntraced(function*(
  layer: (options: Options) => ReturnType<typeof SegmentMaintainerWorker.layerAlone>,
  options: Omit<Options, "directory"> = {}
) {
  const directory = yield* temporaryDirectory
  const warning = yield* Deferred.make<string>()
  const logger = Logger.make(({ logLevel, message }) => {
    if (logLevel === "Warn") Deferred.doneUnsafe(warning, Effect.succeed([message].flat().join(" ")))
  })
  const { close } = yield* open<SegmentMaintainer, unknown, never>(
    layer({ directory, ...options }).pipe(
      Layer.provide(Layer.mergeAll(foundation, NodeDisk.layer)),
      Layer.provide(Logger.layer([logger]))
    )
  )
  const message = yield* inTime("a warning", Deferred.await(warning))
  yield* close
  return message.replace(directory, "/wal")
}, Effect.scoped)

describe("a maintainer warns in the application's log", () => {
  it.live("when its compressor does not start", () =>
    Effect.gen(function*() {
      const nowhere = threadedFrom(new URL("./nothingIsHere.ts", import.meta.url))
      const message = yield* firstWarning(subjects[0]!.alone).pipe(Effect.provideService(Compressor, nowhere))
      assert.include(message, "executor 0 of /wal: the compressor's thread does not start")
      assert.include(message, "nothingIsHere.ts")
    }))

  it.live("of what its thread says", () =>
    Effect.gen(function*() {
      const threadModule = new URL("./warningThread.ts", import.meta.url)
      const message = yield* firstWarning(SegmentMaintainerWorker.layerAlone, { threadModule })
      assert.strictEqual(message, "executor 0 of /wal: something is wrong")
    }))
})
