/**
 * In a context of its own, where jest runs tests, `Error`, `Uint8Array` and `Promise` are other classes than those of
 * which Node's errors, buffers and promises are. A class of the language must therefore never be asked for.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { runInNewContext } from "node:vm"
import { settle } from "../../src/maintainer/Compressor.ts"

const source = join(import.meta.dirname, "../../src")

/** The result of a program that is run in a context, with a directory of its own. */
const inContext = (text: string): unknown => {
  const directory = mkdtempSync(join(tmpdir(), "effect-wal-"))
  try {
    const program = `
      import * as Effect from "effect/Effect"
      import * as Exit from "effect/Exit"
      import * as Layer from "effect/Layer"
      import * as Stream from "effect/Stream"
      import * as NodeDisk from "./disk/NodeDisk.js"
      import { Disk, Replay, Wal } from "./index.js"
      const directory = ${JSON.stringify(join(directory, "log"))}
      ${text}`
    const flags = ["--experimental-vm-modules", "--no-warnings"]
    const { stderr, stdout } = spawnSync(
      process.execPath,
      [...flags, join(import.meta.dirname, "inContext.ts"), program],
      { encoding: "utf8", timeout: 60_000 }
    )
    assert.notStrictEqual(stdout, "", stderr)
    return JSON.parse(stdout)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const recording = (layer: string, disk: string): unknown =>
  inContext(`
    class Events extends Wal.Service()("test/Events") {}
    const program = Effect.gen(function*() {
      const { append, appendDurable, maintainer, rotate } = yield* Events
      for (let segment = 0; segment < 4; segment++) {
        yield* append(outerBytes("outer"))
        yield* appendDurable(new Uint8Array([105, 110]))
        yield* rotate
      }
      yield* maintainer.drain
      const { coldSegments, failures, restarts } = yield* maintainer.status
      const events = yield* Stream.runCollect(Replay.events({ directory }))
      return { isCold: coldSegments > 0, failures, restarts, texts: events.map(({ bytes }) => Buffer.from(bytes).toString()) }
    })
    const limits = { maxSegments: 2, maxCompressedSegments: 64 }
    const wal = Layer.provideMerge(Events.${layer}({ directory, limits }), NodeDisk.${disk})
    console.log(JSON.stringify([outerBytes("") instanceof Uint8Array, await Effect.runPromise(Effect.provide(program, wal))]))
  `)

const expected = [false, {
  isCold: true,
  failures: 0,
  restarts: 0,
  texts: ["outer", "in", "outer", "in", "outer", "in", "outer", "in"]
}]

describe("in a context of its own", () => {
  it.each([["layer", "layer"], ["layer", "layerBlocking"], ["layerWorker", "layer"]])(
    "a recorder takes bytes of every realm, compresses them and gives them back (%s on NodeDisk.%s)",
    (layer, disk) => {
      assert.deepStrictEqual(recording(layer, disk), expected)
    }
  )

  it.each(["layer", "layerBlocking"])("an error of the system is a DiskError, and no defect (NodeDisk.%s)", (disk) => {
    const result = inContext(`
      const program = Effect.gen(function*() {
        const disk = yield* Disk.Disk
        const error = yield* Effect.flip(disk.stat(directory + "/nothing"))
        const missing = yield* Effect.flip(disk.open(directory, "read"))
        return [error.reason._tag, missing.reason._tag, error.cause instanceof Error]
      })
      const exit = await Effect.runPromiseExit(Effect.provide(program, NodeDisk.${disk}))
      console.log(JSON.stringify(Exit.isSuccess(exit) ? exit.value : String(exit)))
    `)
    assert.deepStrictEqual(result, ["NotFound", "NotFound", false])
  })
})

describe("a value of another realm", () => {
  it.live("that is a promise is waited for", () =>
    Effect.gen(function*() {
      const promise: Promise<number> = runInNewContext("Promise.resolve(7)")
      assert.isFalse(promise instanceof Promise)
      assert.strictEqual(yield* settle(() => promise, () => "failed"), 7)
      const rejected: Promise<number> = runInNewContext("Promise.reject(8)")
      assert.strictEqual(yield* Effect.flip(settle(() => rejected, (cause) => cause)), 8)
    }))

  it("is never asked for by a class of the language", () => {
    const ofLanguage = /instanceof (?!this)(?:globalThis\.)?(\w+)/g
    const found = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((name) =>
      // The page's own code runs in a browser, as text.
      name.endsWith(".ts") && name !== "console/pageFiles.ts"
    )
      .flatMap((name) =>
        [...readFileSync(join(source, name), "utf8").matchAll(ofLanguage)].filter(([, asked = ""]) =>
          asked in globalThis
        ).map(([text]) => `${name}: ${text}`)
      )
    assert.deepStrictEqual(found, [])
    assert.isNotEmpty([..."error instanceof Error".matchAll(ofLanguage)])
  })
})
