/** Threads start whatever flags their program was given. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { threadFlags } from "../../src/internal/threadFlags.ts"

const built = (name: string): string => pathToFileURL(join(import.meta.dirname, `../../dist/${name}.js`)).href
const effect = (name: string): string => import.meta.resolve(`effect/${name}`)

/** Records three segments with a thread, which compresses two of them in a thread of its own, and prints what came of it. */
const text = (directory: string): string => `
import * as Effect from ${JSON.stringify(effect("Effect"))}
import * as Layer from ${JSON.stringify(effect("Layer"))}
import * as NodeDisk from ${JSON.stringify(built("NodeDisk"))}
import * as Wal from ${JSON.stringify(built("Wal"))}
class Events extends Wal.Service()("test/Events") {}
const program = Effect.gen(function*() {
  const { appendDurable, maintainer, rotate } = yield* Events
  for (let segment = 0; segment < 3; segment++) {
    yield* appendDurable(Buffer.from("hello"))
    yield* rotate
  }
  yield* maintainer.drain
  const { coldSegments, failures, restarts } = yield* maintainer.status
  console.log(JSON.stringify({ isCold: coldSegments > 0, failures, restarts }))
})
const limits = { maxSegments: 2, maxCompressedSegments: 64 }
const wal = Events.layerWorker({ directory: ${JSON.stringify(directory)}, limits })
await Effect.runPromise(Effect.provide(program, Layer.provide(wal, NodeDisk.layer)))
`

const run = (flags: (text: string) => ReadonlyArray<string>, environment: Readonly<Record<string, string>> = {}) => {
  const root = mkdtempSync(join(tmpdir(), "effect-wal-"))
  try {
    const source = text(join(root, "log"))
    const { stderr, stdout } = spawnSync(process.execPath, flags(source), {
      input: source,
      encoding: "utf8",
      env: { ...process.env, ...environment },
      timeout: 60_000
    })
    return stdout.trim() === "" ? stderr : stdout.trim()
  } finally {
    rmSync(root, { recursive: true })
  }
}

const recorded = JSON.stringify({ isCold: true, failures: 0, restarts: 0 })

describe("a program's threads", () => {
  it.each<readonly [string, (text: string) => ReadonlyArray<string>, Readonly<Record<string, string>>]>([
    ["--input-type=module --eval", (text) => ["--input-type=module", "--eval", text], {}],
    ["--input-type module -e, with a module that is loaded first", (text) => [
      "--import",
      "data:text/javascript,globalThis.isLoaded=true",
      "--input-type",
      "module",
      "-e",
      text
    ], {}],
    ["standard input", () => ["--input-type=module"], {}],
    ["NODE_OPTIONS", (text) => ["--eval", text], { NODE_OPTIONS: "--input-type=module" }],
    ["flags that no thread takes", (text) => ["--title=x", "--expose-gc", "--input-type=module", "--eval", text], {}]
  ])("start when its own flags are: %s", (_, flags, environment) => {
    assert.strictEqual(run(flags, environment), recorded)
  })

  it("take the program's own flags where they can, and otherwise those that decide how modules are loaded", () => {
    assert.deepStrictEqual(threadFlags([], {}), {})
    assert.deepStrictEqual(threadFlags(["--expose-gc", "--import", "tsx"], { NODE_OPTIONS: "--title=x" }), {})
    assert.deepStrictEqual(threadFlags(["--input-type=module", "-e", "--import"], { A: "b" }), {
      execArgv: [],
      env: { A: "b", NODE_OPTIONS: "" }
    })
    assert.deepStrictEqual(
      threadFlags(["--import", "tsx", "--input-type", "module", "--conditions=development"], {
        NODE_OPTIONS: "-r ./before.cjs --title=x"
      }),
      {
        execArgv: ["--import", "tsx", "--conditions=development"],
        env: { NODE_OPTIONS: "-r ./before.cjs" }
      }
    )
  })
})
