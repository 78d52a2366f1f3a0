/**
 * The installed package in an empty project: the library and the command, in every runtime that is supported, and its
 * types in both ways of finding modules and both generations of TypeScript.
 */
import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { createInterface } from "node:readline"
import { inject } from "vitest"
import { environmentOf, nodes, runtimes } from "./npm.ts"
import { run, runApplication } from "./running.ts"

const isMissing = inject("tarball") === undefined
const project = inject("project")
const root = resolve(import.meta.dirname, "../..")

const node = runtimes()["Node 24"]
const here = Object.entries(runtimes()).filter(([, { file }]) => file !== "")

for (const [name, runtime] of Object.entries(runtimes())) {
  const isHere = runtime.file !== ""
  const reason = isHere ? "" : ": SKIPPED, npm brings none for this system"

  describe.skipIf(isMissing || !isHere)(`the library, with ${name}${reason}`, () => {
    const logOf = (what: string): string => join(project, `${what} ${name}`)

    it.each(["thread", "fiber"])("records, compresses and reads back, with the maintainer in a %s", async (way) => {
      const found = await runApplication(runtime, "record.ts", [logOf(way), way], project)
      assert.deepInclude(found, { runtime: name, durable: 1000, replayed: 1000, faults: 0 })
      assert.isAbove(found.cold, 0)
    })

    it.each(["thread", "fiber"])("keeps what was durable when it is killed, in a %s", async (way) => {
      const directory = logOf(`killed ${way}`)
      const victim = spawn(runtime.file, [...runtime.args, "untilKilled.ts", directory, way], {
        cwd: project,
        env: environmentOf(runtime.file),
        stdio: ["ignore", "pipe", "inherit"]
      })
      let durable = 0
      for await (const line of createInterface(victim.stdout)) {
        durable = Number(line)
        // Several segments are full by then, and some are compressed.
        if (durable >= 300) victim.kill("SIGKILL")
      }
      assert.isAtLeast(durable, 300)
      assert.isAtLeast(await runApplication<number>(node, "replay.ts", [directory], project), durable)
    })

    it("replaces a maintainer thread that dies, and ends in good order", async () => {
      const found = await runApplication<unknown>(runtime, "restarted.ts", [logOf("restarted")], project)
      assert.deepStrictEqual(found, { isDown: false, restarts: 1, hasRecorded: true })
    })

    it("answers a monitor, and keeps a second recorder out", async () => {
      const seen = await runApplication<object>(runtime, "monitored.ts", [logOf("monitored")], project)
      assert.deepStrictEqual(seen, { durable: 1, second: "Held" })
    })

    it("records with promises", async () => {
      const words = await runApplication<unknown>(runtime, "promised.ts", [logOf("promised"), "one"], project)
      assert.deepStrictEqual(words, ["one"])
    })

    it("simulates a disk that loses power, for tests of an application", async () => {
      const simulated = await runApplication<unknown>(runtime, "simulated.ts", [], project)
      assert.deepStrictEqual(simulated, { recovered: 1, replayed: ["committed"] })
    })
  })

  describe.skipIf(isMissing || !isHere)(`the command, with ${name}${reason}`, () => {
    it("records, verifies and replays", async () => {
      const file = join(project, "node_modules/.bin/effect-wal")
      // A shell finds Node by the file's first line.
      const isNode = name.startsWith("Node")
      const command = (...args: ReadonlyArray<string>) => ({
        given: (input: string) =>
          isNode
            ? run(runtime.file, file, args, { cwd: project, input })
            : run(runtime.file, runtime.file, [...runtime.args, file, ...args], { cwd: project, input })
      })
      const directory = ["--dir", join(project, `command ${name}`)]
      const lines = Array.from({ length: 5000 }, (_, index) => `line ${index}\n`).join("")
      const small = ["--segment-bytes", "8KiB", "--max-segments", "2"]
      const recorded = await command("record", ...directory, ...small).given(lines)
      assert.strictEqual(recorded.code, 0, recorded.stderr)
      const verified = await command("verify", ...directory).given("")
      assert.strictEqual(verified.code, 0, verified.stdout)
      const replayed = await command("replay", ...directory).given("")
      assert.strictEqual(replayed.code, 0, replayed.stderr)
      assert.strictEqual(replayed.stdout, lines)
    })
  })
}

describe.skipIf(isMissing)("one directory", () => {
  it("is continued by every runtime after the other", async () => {
    const directory = join(project, "in turn")
    const names = here.map(([name]) => name)
    for (const [turn, [name, runtime]] of [...here, ...here].entries()) {
      const words = await runApplication<unknown>(runtime, "promised.ts", [directory, name], project)
      assert.deepStrictEqual(words, [...names, ...names].slice(0, turn + 1))
    }
  })

  it("is recorded into by one runtime at a time", async () => {
    for (const [holder, { args, file }] of here) {
      const directory = join(project, `held by ${holder}`)
      const victim = spawn(file, [...args, "untilKilled.ts", directory, "thread"], {
        cwd: project,
        env: environmentOf(file),
        stdio: ["ignore", "pipe", "inherit"]
      })
      const ended = new Promise((done) => victim.once("close", done))
      try {
        await new Promise((first) => victim.stdout.once("data", first))
        victim.stdout.resume()
        for (const [name, second] of here) {
          const run = runApplication(second, "promised.ts", [directory, name], project)
          const error = await run.then(() => undefined, (error: Error) => error)
          assert.match(String(error?.message), /another process holds it/, `${name} beside ${holder}`)
        }
      } finally {
        victim.kill("SIGKILL")
        await ended
      }
    }
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
    const { code, stdout } = await run(nodes["Node 24"], process.execPath, [tsc, "-p", config], { cwd: project })
    assert.strictEqual(code === 0, stdout === "")
    return stdout
  }
  const resolutions = ["node16", "bundler"]

  it.each(resolutions)("hold with moduleResolution %s", async (moduleResolution) => {
    const files = [
      "bundled.ts",
      "monitored.ts",
      "promised.ts",
      "record.ts",
      "recordElsewhere.ts",
      "replay.ts",
      "restarted.ts",
      "simulated.ts",
      "untilKilled.ts"
    ]
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
