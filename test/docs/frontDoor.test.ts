/** The front door: a file of `src` is a module of the index and a subpath of the package, and there are not many. */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { modulesOf, namesOf, source } from "./publicModules.ts"

const doors = readdirSync(source).filter((name) => name.endsWith(".ts") && name !== "index.ts")
const modules = modulesOf("index.ts")
const { exports: subpaths }: { exports: Record<string, unknown> } = JSON.parse(
  readFileSync(join(source, "../package.json"), "utf8")
)

describe("the front door", () => {
  it("is the same in the index, in the files of src and in the subpaths of the package", () => {
    assert.deepStrictEqual(modules.map(({ file }) => file).toSorted(), doors.toSorted())
    for (const { file, name } of modules) {
      assert.strictEqual(file, `${name}.ts`)
      assert.deepStrictEqual(subpaths[`./${name}`], { types: `./dist/${name}.d.ts`, default: `./dist/${name}.js` })
    }
    const others = [".", "./testing", "./promise", "./maintainerThread", "./compressorThread", "./package.json"]
    assert.deepStrictEqual(
      Object.keys(subpaths).toSorted(),
      [...others, ...modules.map(({ name }) => `./${name}`)].toSorted()
    )
  })

  it("has at most 25 modules and 150 names", () => {
    assert.isAtMost(modules.length, 25)
    const names = modules.flatMap(({ file, name }) => [...namesOf(file)].map((exported) => `${name}.${exported}`))
    assert.isAtMost(names.length, 150, names.join(" "))
    assert.isAbove(names.length, 100)
  })

  it("hands out what rooms have, and has nothing of its own", () => {
    for (const { file } of modules) {
      const statements = readFileSync(join(source, file), "utf8").replace(/\/\*[\s\S]*?\*\//g, "").trim().split(
        /\n(?=export )/
      )
      for (const statement of statements) {
        assert.match(statement, /^export (type )?(\{[^}]*\}|\* as \w+) from "\.\/\w+\/[^"]+"$/)
      }
    }
  })
})
