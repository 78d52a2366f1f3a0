/**
 * What is in the packed package, by rules: what its users need, and nothing of the workshop.
 */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync, statSync } from "node:fs"
import { builtinModules } from "node:module"
import { homedir } from "node:os"
import { dirname, join, normalize, resolve } from "node:path"
import { inject } from "vitest"

const tarball = inject("tarball")
const root = join(inject("project"), "node_modules/effect-wal")

/** About twice what it is today. */
const packedBytesMax = 1024 * 1024

describe.skipIf(tarball === undefined)("the packed package", () => {
  const files = tarball === undefined
    ? []
    : readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => statSync(join(root, name)).isFile())
  const textOf = (file: string): string => readFileSync(join(root, file), "utf8")
  const compiled = files.filter((file) => file.endsWith(".js"))

  it("holds the code, its types, its sources and four files, and nothing else", () => {
    const allowed = [
      /^dist\/[\w/]+\.(js|js\.map|d\.ts)$/,
      /^src\/[\w/]+\.ts$/,
      /^(package\.json|README\.md|LICENSE|CHANGELOG\.md)$/
    ]
    assert.deepStrictEqual(files.filter((file) => !allowed.some((rule) => rule.test(file))), [])
    const needed = ["package.json", "README.md", "LICENSE", "CHANGELOG.md", "dist/index.js", "dist/cli/main.js"]
    assert.deepStrictEqual(needed.filter((file) => !files.includes(file)), [])
  })

  it("holds no tests, benchmarks or examples", () => {
    assert.deepStrictEqual(files.filter((file) => /\.test\.|(^|\/)(test|bench|examples|simulation)\//.test(file)), [])
  })

  it("has types, a map and a source for every compiled module, and no compiled module without a source", () => {
    const lone = compiled.filter((file) => {
      const name = file.slice("dist/".length, -".js".length)
      return [`dist/${name}.d.ts`, `dist/${name}.js.map`, `src/${name}.ts`].some((beside) => !files.includes(beside))
    })
    assert.isAbove(compiled.length, 50)
    assert.deepStrictEqual(lone, [])
  })

  it("has maps that lead to sources in the package", () => {
    const lost = files.filter((file) => file.endsWith(".map")).flatMap((file) => {
      const { sources }: { readonly sources: ReadonlyArray<string> } = JSON.parse(textOf(file))
      return sources.map((source) => normalize(join(dirname(file), source))).filter((path) => !files.includes(path))
    })
    assert.deepStrictEqual(lost, [])
  })

  it("names no path of the machine that packed it", () => {
    const here = [resolve(import.meta.dirname, "../.."), `${homedir()}/`]
    assert.deepStrictEqual(files.filter((file) => here.some((path) => textOf(file).includes(path))), [])
  })

  it("depends on what it imports, and on nothing else", () => {
    const { dependencies, peerDependencies }: {
      readonly dependencies: Record<string, string>
      readonly peerDependencies: Record<string, string>
    } = JSON.parse(textOf("package.json"))
    const imported = new Set<string>()
    for (const file of compiled) {
      for (const [, name = ""] of textOf(file).matchAll(/^(?:import|export) (?:.* from )?"([^."][^"]*)"/gm)) {
        if (name.startsWith("node:") || builtinModules.includes(name)) continue
        imported.add(name.split("/").slice(0, name.startsWith("@") ? 2 : 1).join("/"))
      }
    }
    assert.deepStrictEqual(
      [...imported].sort(),
      [...Object.keys(dependencies), ...Object.keys(peerDependencies)].sort()
    )
  })

  it("is small", () => {
    assert.isBelow(tarball === undefined ? 0 : statSync(tarball).size, packedBytesMax)
  })
})
