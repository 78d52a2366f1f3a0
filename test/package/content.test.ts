/**
 * What is in the packed package, by rules: what its users need, and nothing of the workshop.
 */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync, statSync } from "node:fs"
import { builtinModules } from "node:module"
import { homedir } from "node:os"
import { dirname, join, normalize, resolve } from "node:path"
import { inject } from "vitest"
import { packagePrograms } from "../../tools/packagePrograms.ts"

const tarball = inject("tarball")
const root = join(inject("project"), "node_modules/effect-wal")

/** A fifth more than it is today: two fifths of that are the bundles, which have their parts of Effect in them. */
const packedBytesMax = 2.65 * 1024 * 1024

describe.skipIf(tarball === undefined)("the packed package", () => {
  const files = tarball === undefined
    ? []
    : readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => statSync(join(root, name)).isFile())
  const textOf = (file: string): string => readFileSync(join(root, file), "utf8")
  const compiled = files.filter((file) => file.endsWith(".js"))
  const isBundle = (file: string): boolean => file.startsWith("dist/bin/")

  it("holds the code, its types, its sources, its manual page and four files, and nothing else", () => {
    const allowed = [
      /^dist\/[\w/-]+\.(js|js\.map|d\.ts)$/,
      // A part of a bundle has a hash in its name.
      /^dist\/bin\/[\w-]+\.(js|js\.map)$/,
      /^dist\/bin\/LICENSES\.txt$/,
      /^src\/[\w/-]+\.ts$/,
      /^man\/effect-wal\.1$/,
      /^(package\.json|README\.md|LICENSE|CHANGELOG\.md)$/
    ]
    assert.deepStrictEqual(files.filter((file) => !allowed.some((rule) => rule.test(file))), [])
    const needed = ["package.json", "README.md", "LICENSE", "CHANGELOG.md", "dist/index.js", "man/effect-wal.1"]
    needed.push(...Object.keys(packagePrograms).map((name) => `dist/bin/${name}.js`), "dist/bin/LICENSES.txt")
    assert.deepStrictEqual(needed.filter((file) => !files.includes(file)), [])
  })

  it("holds no tests, benchmarks or examples", () => {
    assert.deepStrictEqual(files.filter((file) => /\.test\.|(^|\/)(test|bench|examples|simulation)\//.test(file)), [])
  })

  it("has types, a map and a source for every module that is imported", () => {
    const lone = compiled.filter((file) => !isBundle(file)).filter((file) => {
      const name = file.slice("dist/".length, -".js".length)
      return [`dist/${name}.d.ts`, `dist/${name}.js.map`, `src/${name}.ts`].some((beside) => !files.includes(beside))
    })
    assert.isAbove(compiled.length, 50)
    assert.deepStrictEqual(lone, [])
  })

  it("has what is started only as bundles, which import Node, the native packages and their own parts", () => {
    assert.deepStrictEqual(files.filter((file) => /^dist\/(cli\/|maintainer\/[a-z]\w*Thread\.)/.test(file)), [])
    const allowed = ["lz4-napi", "@node-rs/xxhash"]
    const strange = compiled.filter(isBundle).flatMap((file) =>
      [...textOf(file).matchAll(/^(?:import|export) (?:[^"\n]* from )?"([^"\n]+)"|\bimport\("([^"]+)"\)/gm)]
        .map(([, imported = "", loaded = ""]) => imported + loaded)
        .filter((name) =>
          name.startsWith(".")
            ? !files.includes(join(dirname(file), name))
            : !builtinModules.includes(name.replace(/^node:/, "")) && !allowed.includes(name)
        ).map((name) => `${file} imports ${name}`)
    )
    assert.deepStrictEqual(strange, [])
    // A part that only passes on what another has needs no map.
    const mapped = (file: string): boolean => files.includes(`${file}.map`) || statSync(join(root, file)).size < 100
    assert.deepStrictEqual(compiled.filter((file) => isBundle(file) && !mapped(file)), [])
  })

  it("names the licences of the packages whose code is in its bundles", () => {
    const notice = textOf("dist/bin/LICENSES.txt")
    for (const name of ["effect", "@effect/platform-node", "@effect/platform-node-shared", "ws"]) {
      assert.match(notice, new RegExp(`^${name} \\d`, "m"))
    }
    assert.isAtLeast(notice.match(/Permission is hereby granted/g)?.length ?? 0, 4)
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
