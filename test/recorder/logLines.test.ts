/** What a log writes into the application's log tells by annotations which part and which log it is from. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import * as Monitor from "../../src/recorder/monitor/Monitor.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import { layers, small, temporaryDirectory } from "./fixtures.ts"

describe.each(layers)("the lines of a log in the application's log (%s)", (_, layer) => {
  it.live("name the part and the directory, wherever they are written", () =>
    Effect.gen(function*() {
      const root = yield* temporaryDirectory
      const lines: Array<readonly [text: string, module: unknown, log: unknown]> = []
      const logger = Logger.make(({ fiber, message }) => {
        const { log, module } = fiber.getRef(References.CurrentLogAnnotations)
        lines.push([[message].flat().map(String).join(" "), module, log])
      })
      const logs = ["one", "two"].map((name) => join(root, name))
      for (const log of logs) {
        mkdirSync(log)
        writeFileSync(join(log, "FS.00000000.wal.tmp"), "unfinished")
        // No socket can get this name.
        mkdirSync(join(log, "wal.monitor"))
        mkdirSync(join(log, "wal.monitor", "in the way"))
        yield* Effect.gen(function*() {
          const { appendDurable } = yield* Recorder
          yield* appendDurable(Buffer.from("event"))
          yield* (yield* SegmentMaintainer).drain
        }).pipe(
          Effect.provide(Monitor.layer.pipe(Layer.provideMerge(layer({
            ...small,
            directory: log,
            limits: { maxSegments: 2, maxCompressedSegments: 2 }
          })))),
          Effect.provide([Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "All")])
        )
      }
      const of = (text: string) => lines.filter((line) => line[0].includes(text)).map(([, ...where]) => where)
      const from = (module: string): Array<[unknown, unknown]> => logs.map((log) => [`effect-wal/${module}`, log])
      assert.deepStrictEqual(of("removed what a crash left unfinished"), from("SegmentMaintainer"))
      assert.deepStrictEqual(of("maxCompressedSegments 2 is outside"), from("SegmentMaintainer"))
      assert.deepStrictEqual(of("no monitor"), from("Monitor"))
      const fromRecorder = lines.filter(([, module]) => module === "effect-wal/Recorder")
      assert.deepStrictEqual(fromRecorder.map(([, , log]) => log), logs)
      // That of the caller, and that of the closing scope.
      assert.strictEqual(of("drained").length, 4)
      for (const [text, module, log] of lines) {
        assert.match(String(module), /^effect-wal\/\w+$/, text)
        assert.include(logs, String(log), text)
      }
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))
})
