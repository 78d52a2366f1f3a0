/**
 * The library in a bundle, which runs where effect-wal is not installed: its threads are found, beside the bundle by
 * themselves and elsewhere by name; without them it records and compresses all the same; and what an application does
 * not use stays out. Native packages cannot be bundled.
 */
import { assert, describe, it } from "@effect/vitest"
import { cpSync, mkdirSync, writeFileSync } from "node:fs"
import { join, sep } from "node:path"
import { build } from "vite"
import type { Rolldown } from "vite"
import { inject } from "vitest"
import { runtimes } from "./npm.ts"
import type { Runtime } from "./npm.ts"
import { run, runApplication } from "./running.ts"
import type { Found } from "./running.ts"

const isMissing = inject("tarball") === undefined
const project = inject("project")
const native = ["lz4-napi", "@node-rs/xxhash"]
const node = runtimes()["Node 24"]

/** The form of a bundle. */
interface Form {
  readonly format: "es" | "cjs"
  readonly ending: "js" | "cjs"
  /** What the bundler puts in the place of `import.meta.url`; left as it is, or made to a file's URL, unless given. */
  readonly define?: Readonly<Record<string, string>>
}

const esm: Form = { format: "es", ending: "js" }

/** Builds into a folder that has the native packages and nothing else. */
const bundle = async (name: string, input: Record<string, string>, { define = {}, ending, format }: Form = esm) => {
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
    define,
    build: {
      ssr: true,
      minify: true,
      outDir: join(directory, "bundle"),
      emptyOutDir: true,
      rolldownOptions: { input, output: { format, entryFileNames: `[name].${ending}` } }
    },
    ssr: { noExternal: true, external: native }
  })
  const outputs = [built].flat().flatMap((one) => ("output" in one ? one.output : []))
  return { directory, chunks: outputs.filter((output): output is Rolldown.OutputChunk => output.type === "chunk") }
}

/** Runs `bundled.ts` from its bundle: what it found, and the lines that it logged. */
const runBundled = async ({ args, file }: Runtime, directory: string, ending: string, way: string) => {
  const given = [...args, `bundle/app.${ending}`, join(directory, `log ${way}`), way]
  const { code, stderr, stdout } = await run(file, file, given, { cwd: directory })
  assert.strictEqual(code, 0, stderr)
  const found: Found = JSON.parse(stdout)
  return { found, warnings: stderr.split("\n").filter((line) => line !== "") }
}

const isWhole = ({ found }: { readonly found: Found }, what: string): void => {
  assert.deepInclude(found, { durable: 1000, replayed: 1000, faults: 0 }, what)
  assert.isAbove(found.cold, 0, what)
}

/** One line that names what is missing and where to read on. */
const warnsOnceOf = (module: string, { warnings }: { readonly warnings: ReadonlyArray<string> }): void => {
  assert.strictEqual(warnings.length, 1, warnings.join("\n"))
  assert.include(warnings[0], `no effect-wal/${module} beside it`)
  assert.include(warnings[0], "see Bundled applications in docs/OPERATIONS.md")
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
      const found = await runApplication(node, "bundle/app.js", args, directory)
      assert.deepInclude(found, { durable: 1000, replayed: 1000, faults: 0 }, maintainer)
      assert.isAbove(found.cold, 0, maintainer)
    }
  })

  it("finds its threads beside the bundle as CommonJS too, and warns of nothing", async () => {
    const form: Form = { format: "cjs", ending: "cjs" }
    const { directory } = await bundle("beside as CommonJS", {
      app: "bundled.ts",
      maintainerThread: "effect-wal/maintainerThread",
      compressorThread: "effect-wal/compressorThread"
    }, form)
    for (const way of ["thread", "fiber"]) {
      const ran = await runBundled(node, directory, form.ending, way)
      isWhole(ran, way)
      assert.deepStrictEqual(ran.warnings, [], way)
    }
  })

  it.each<readonly [string, Form]>([
    ["ESM", esm],
    ["CommonJS", { format: "cjs", ending: "cjs" }],
    ["CommonJS that does not know where it lies", {
      format: "cjs",
      ending: "cjs",
      define: { "import.meta.url": "undefined" }
    }]
  ])("records and compresses without its threads, in one file of %s, and warns once", async (what, form) => {
    const { chunks, directory } = await bundle(`alone as ${what}`, { app: "bundled.ts" }, form)
    assert.strictEqual(chunks.length, 1)
    for (const [name, runtime] of Object.entries(runtimes())) {
      if (runtime.file === "") continue
      const inThread = await runBundled(runtime, directory, form.ending, `thread of ${name}`)
      isWhole(inThread, name)
      warnsOnceOf("maintainerThread", inThread)
    }
    const inFiber = await runBundled(node, directory, form.ending, "fiber")
    isWhole(inFiber, "fiber")
    warnsOnceOf("compressorThread", inFiber)
  })

  it("compresses in the maintainer's thread when only that one lies beside the bundle, and warns once", async () => {
    const { directory } = await bundle("without compressor", {
      app: "bundled.ts",
      maintainerThread: "effect-wal/maintainerThread"
    })
    const ran = await runBundled(node, directory, "js", "thread")
    isWhole(ran, "thread")
    warnsOnceOf("compressorThread", ran)
  })

  it("leaves the recorder and the maintainer out of an application that only reads", async ({ annotate }) => {
    const reader = ownFolders((await bundle("reader", { app: "replay.ts" })).chunks)
    const recorder = ownFolders((await bundle("recorder", { app: "record.ts" })).chunks)
    assert.isTrue(reader.has("reading"))
    for (const folder of ["recorder", "maintainer", "bin", "testing"]) assert.isFalse(reader.has(folder), folder)
    assert.isTrue(recorder.has("recorder"))
    for (const folder of ["bin", "testing"]) assert.isFalse(recorder.has(folder), folder)
    await annotate(`effect-wal in a reader: ${total(reader)} bytes, in a recorder: ${total(recorder)} bytes`)
    assert.isBelow(total(reader), total(recorder) / 2)
  })
})
