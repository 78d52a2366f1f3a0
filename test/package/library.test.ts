/**
 * The installed package in an empty project: the library and the command, in both Nodes, and its types in both ways of
 * finding modules and both generations of TypeScript.
 */
import { assert, describe, it } from "@effect/vitest"
import { writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { inject } from "vitest"
import { runtimes } from "./npm.ts"
import { run, runApplication } from "./running.ts"

const isMissing = inject("tarball") === undefined
const project = inject("project")
const root = resolve(import.meta.dirname, "../..")

describe.skipIf(isMissing).each(Object.entries(runtimes))("installed, with %s", (name, node) => {
  const logOf = (what: string): string => join(project, `${what} ${name}`)

  it("records, compresses in threads and reads back with the library", async () => {
    const found = await runApplication(node, "record.ts", [logOf("library")], project)
    assert.isTrue(found.node.startsWith(`v${name.slice("Node ".length)}.`), found.node)
    assert.deepInclude(found, { durable: 1000, replayed: 1000, faults: 0 })
    assert.isAbove(found.cold, 0)
  })

  it("simulates a disk that loses power, for tests of an application", async () => {
    const { code, stderr, stdout } = await run(node, node, ["simulated.ts"], { cwd: project })
    assert.strictEqual(code, 0, stderr)
    assert.deepStrictEqual(JSON.parse(stdout), { recovered: 1, replayed: ["committed"] })
  })

  it("records, verifies and replays with the command", async () => {
    const command = (...args: ReadonlyArray<string>) => ({
      given: (input: string) => run(node, join(project, "node_modules/.bin/effect-wal"), args, { cwd: project, input })
    })
    const directory = ["--dir", logOf("command")]
    const lines = Array.from({ length: 5000 }, (_, index) => `line ${index}\n`).join("")
    const recorded = await command("record", ...directory, "--segment-bytes", "8KiB", "--max-segments", "2").given(
      lines
    )
    assert.strictEqual(recorded.code, 0, recorded.stderr)
    const verified = await command("verify", ...directory).given("")
    assert.strictEqual(verified.code, 0, verified.stdout)
    const replayed = await command("replay", ...directory).given("")
    assert.strictEqual(replayed.code, 0, replayed.stderr)
    assert.strictEqual(replayed.stdout, lines)
  })
})

/** Every flag of TypeScript that refuses something. */
const everyStrictness = {
  strict: true,
  allowUnreachableCode: false,
  allowUnusedLabels: false,
  allowImportingTsExtensions: true,
  erasableSyntaxOnly: true,
  exactOptionalPropertyTypes: true,
  isolatedModules: true,
  noFallthroughCasesInSwitch: true,
  noImplicitOverride: true,
  noImplicitReturns: true,
  noPropertyAccessFromIndexSignature: true,
  noUncheckedIndexedAccess: true,
  noUncheckedSideEffectImports: true,
  noUnusedLocals: true,
  noUnusedParameters: true,
  verbatimModuleSyntax: true
}

describe.skipIf(isMissing).each([
  ["TypeScript 7", join(root, "node_modules/typescript/bin/tsc")],
  ["TypeScript 5.9", join(root, "tools/node_modules/typescript/bin/tsc")]
])("the types, read by %s", (name, tsc) => {
  const compile = async (
    what: string,
    moduleResolution: string,
    files: ReadonlyArray<string>,
    options: Readonly<Record<string, boolean>>
  ): Promise<string> => {
    const config = `tsconfig.${what}.${name}.${moduleResolution}.json`
    const compilerOptions = {
      target: "ES2024",
      // Effect's own declarations name types of the DOM.
      lib: ["ES2024", "DOM"],
      types: ["node"],
      module: moduleResolution === "node16" ? "node16" : "esnext",
      moduleResolution,
      outDir: "declarations",
      ...everyStrictness,
      ...options
    }
    writeFileSync(join(project, config), JSON.stringify({ compilerOptions, files }))
    const { code, stdout } = await run(runtimes["Node 24"], process.execPath, [tsc, "-p", config], { cwd: project })
    assert.strictEqual(code === 0, stdout === "")
    return stdout
  }
  const resolutions = ["node16", "bundler"]

  it.each(resolutions)("hold with moduleResolution %s", async (moduleResolution) => {
    const files = ["record.ts", "recordElsewhere.ts", "replay.ts", "simulated.ts"]
    assert.strictEqual(await compile("used", moduleResolution, files, { noEmit: true }), "")
  })

  it.each(resolutions)("have names for what a package exports without a word, with %s", async (moduleResolution) => {
    const options = { declaration: true, emitDeclarationOnly: true }
    assert.strictEqual(await compile("exported", moduleResolution, ["exported.ts"], options), "")
  })

  it.each(resolutions)("can be written out for isolatedDeclarations, with %s", async (moduleResolution) => {
    const options = { declaration: true, emitDeclarationOnly: true, isolatedDeclarations: true }
    assert.strictEqual(await compile("annotated", moduleResolution, ["annotated.ts"], options), "")
  })
})
