/** The front door: a file of `src` is a module of the index and a subpath of the package, and there are not many. */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { modulesOf, namesOf, source } from "./publicModules.ts"

/** A subpath that is no module of the index, because of what it loads. */
const beside = ["PrometheusRoute"]
const doors = readdirSync(source).filter((name) =>
  name.endsWith(".ts") && name !== "index.ts" && !beside.includes(name.slice(0, -3))
)
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
    const others = [
      ...beside.map((name) => `./${name}`),
      ".",
      "./archive",
      "./buffer",
      "./console",
      "./failover",
      "./cluster",
      "./cluster-storage",
      "./eventlog",
      "./kvs",
      "./many",
      "./queue",
      "./rpc",
      "./s3",
      "./state",
      "./testing",
      "./promise",
      "./maintainerThread",
      "./compressorThread",
      "./package.json"
    ]
    assert.deepStrictEqual(
      Object.keys(subpaths).toSorted(),
      [...others, ...modules.map(({ name }) => `./${name}`)].toSorted()
    )
  })

  it("has at most 25 modules and 160 names", () => {
    assert.isAtMost(modules.length, 25)
    const names = modules.flatMap(({ file, name }) => [...namesOf(file)].map((exported) => `${name}.${exported}`))
    assert.isAtMost(names.length, 160, names.join(" "))
    assert.isAbove(names.length, 100)
  })

  it("loads nothing of HTTP and nothing of Node's platform: only an entry of its own does", () => {
    const loadedBy = (entry: string): ReadonlySet<string> => {
      const found = new Set<string>()
      const look = (file: string): void => {
        if (found.has(file)) return
        found.add(file)
        const code = readFileSync(file, "utf8").replace(/\/\*[\s\S]*?\*\//g, "")
        for (const [, types, imported = ""] of code.matchAll(/^(?:import|export) (type )?[^"]*? ?from "([^"]+)"/gm)) {
          if (types !== undefined) continue
          if (imported.startsWith(".")) look(join(dirname(file), imported))
          else found.add(imported)
        }
      }
      look(join(source, entry))
      return found
    }
    const isHeavy = (name: string) => /^effect\/(http|unstable|cli)\/|^@effect\/platform-node/.test(name)
    assert.isAbove(loadedBy("index.ts").size, 100)
    assert.deepStrictEqual([...loadedBy("index.ts")].filter(isHeavy), [])
    assert.deepStrictEqual([...loadedBy("promise/index.ts")].filter(isHeavy), [])
    assert.isAbove([...loadedBy("PrometheusRoute.ts")].filter(isHeavy).length, 0)
  })

  it("hands out what rooms have, and has nothing of its own", () => {
    for (const { file } of modules) {
      const statements = readFileSync(join(source, file), "utf8").replace(/\/\*[\s\S]*?\*\//g, "").trim().split(
        /\n(?=export )/
      )
      for (const statement of statements.map((text) => text.trim())) {
        assert.match(statement, /^export (type )?(\{[^}]*\}|\* as \w+) from "\.\/\w+\/[^"]+"$/)
      }
    }
  })
})
