/**
 * The library in a bundle, which runs where effect-wal is not installed: its threads are found, beside the bundle by
 * themselves and elsewhere by name, and what an application does not use stays out. Native packages cannot be bundled.
 */
import { assert, describe, it } from "@effect/vitest"
import { cpSync, mkdirSync, writeFileSync } from "node:fs"
import { join, sep } from "node:path"
import type { Rolldown } from "vite"
import { build } from "vite"
import { inject } from "vitest"
import { runtimes } from "./npm.ts"
import { runApplication } from "./running.ts"

const isMissing = inject("tarball") === undefined
const project = inject("project")
const native = ["lz4-napi", "@node-rs/xxhash"]

/** Builds into a folder that has the native packages and nothing else. */
const bundle = async (name: string, input: Record<string, string>) => {
  const directory = join(project, "..", name)
  for (const installed of ["lz4-napi", "@antoniomuso", "@node-rs"]) {
    cpSync(join(project, "node_modules", installed), join(directory, "node_modules", installed), { recursive: true })
  }
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, "package.json"), JSON.stringify({ private: true, type: "module" }))
  const built = await build({
    root: project,
    configFile: false,
    logLevel: "error",
    build: {
      ssr: true,
      minify: true,
      outDir: join(directory, "bundle"),
      emptyOutDir: true,
      rolldownOptions: { input }
    },
    ssr: { noExternal: true, external: native }
  })
  const outputs = [built].flat().flatMap((one) => ("output" in one ? one.output : []))
  return { directory, chunks: outputs.filter((output): output is Rolldown.OutputChunk => output.type === "chunk") }
}

/** Folders of effect-wal whose code is in the chunks, and how much of it. */
const ownFolders = (chunks: ReadonlyArray<Rolldown.OutputChunk>): Map<string, number> => {
  const bytes = new Map<string, number>()
  for (const [id, module] of chunks.flatMap((chunk) => Object.entries(chunk.modules))) {
    const folder = id.split(`${sep}effect-wal${sep}dist${sep}`)[1]?.split(sep)[0]
    if (folder === undefined || module.renderedLength === 0) continue
    bytes.set(folder, (bytes.get(folder) ?? 0) + module.renderedLength)
  }
  return bytes
}

const total = (bytes: Map<string, number>): number => [...bytes.values()].reduce((sum, each) => sum + each, 0)

describe.skipIf(isMissing)("bundled", () => {
  it("finds its threads beside the bundle", async () => {
    const { directory } = await bundle("beside", {
      app: "record.ts",
      maintainerThread: "effect-wal/maintainerThread",
      compressorThread: "effect-wal/compressorThread"
    })
    for (const [name, runtime] of Object.entries(runtimes())) {
      if (runtime.file === "") continue
      const found = await runApplication(runtime, "bundle/app.js", [join(directory, `log ${name}`)], directory)
      assert.deepInclude(found, { durable: 1000, replayed: 1000, faults: 0 })
      assert.isAbove(found.cold, 0)
    }
  })

  it("is told where its threads are", async () => {
    const { directory } = await bundle("elsewhere", {
      app: "recordElsewhere.ts",
      "threads/maintainerThread": "effect-wal/maintainerThread",
      "threads/compressorThread": "effect-wal/compressorThread"
    })
    for (const maintainer of ["thread", "fiber"]) {
      const args = [join(directory, maintainer), maintainer]
      const found = await runApplication(runtimes()["Node 24"], "bundle/app.js", args, directory)
      assert.deepInclude(found, { durable: 1000, replayed: 1000, faults: 0 }, maintainer)
      assert.isAbove(found.cold, 0, maintainer)
    }
  })

  it("leaves the recorder and the maintainer out of an application that only reads", async ({ annotate }) => {
    const reader = ownFolders((await bundle("reader", { app: "replay.ts" })).chunks)
    const recorder = ownFolders((await bundle("recorder", { app: "record.ts" })).chunks)
    assert.isTrue(reader.has("reading"))
    for (const folder of ["recorder", "maintainer", "cli", "testing"]) assert.isFalse(reader.has(folder), folder)
    assert.isTrue(recorder.has("recorder"))
    for (const folder of ["cli", "testing"]) assert.isFalse(recorder.has(folder), folder)
    await annotate(`effect-wal in a reader: ${total(reader)} bytes, in a recorder: ${total(recorder)} bytes`)
    assert.isBelow(total(reader), total(recorder) / 2)
  })
})
