/**
 * What it takes to begin: to import the library, beside the modules of Effect that it needs in any case, and to start
 * the command line, beside Node itself. Whole processes of the built package, so build first.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { pathToFileURL } from "node:url"
import { median } from "../harness/Statistics.ts"
import type { Contestant, Metric, Suite } from "../harness/Suite.ts"

const dist = join(import.meta.dirname, "../../dist")
const metrics: ReadonlyArray<Metric> = [{ name: "start", unit: "ms", better: "less" }]

/** The modules of Effect that the built modules import, from this one on. */
const effectModulesOf = (entry: string): ReadonlyArray<string> => {
  const found = new Set<string>()
  const seen = new Set<string>()
  const look = (file: string): void => {
    if (seen.has(file)) return
    seen.add(file)
    for (
      const [, name = ""] of readFileSync(file, "utf8").matchAll(/^(?:import|export) (?:[^"\n]* from )?"([^"\n]+)"/gm)
    ) {
      if (name.startsWith(".")) look(join(dirname(file), name))
      else if (name.startsWith("effect/")) found.add(name)
    }
  }
  look(entry)
  return [...found]
}

const importing = (modules: ReadonlyArray<string>): ReadonlyArray<string> => [
  "--input-type=module",
  "--eval",
  modules.map((name) => `import ${JSON.stringify(name)}`).join("\n")
]

const starting = (name: string, note: string, argumentsOf: () => ReadonlyArray<string>): Contestant => ({
  name,
  note,
  open: async ({ quick }) => {
    if (!existsSync(join(dist, "bin"))) throw new Error("nothing is built: npm run build")
    const args = argumentsOf()
    const startOnce = (): number => {
      const begun = performance.now()
      const { status, stderr } = spawnSync(process.execPath, args, {
        cwd: import.meta.dirname,
        stdio: ["ignore", "ignore", "pipe"],
        encoding: "utf8"
      })
      if (status !== 0) throw new Error(stderr)
      return performance.now() - begun
    }
    return {
      round: async () => ({ measures: { start: median(Array.from({ length: quick ? 1 : 9 }, startOnce)) } }),
      close: async () => {}
    }
  }
})

const entry = join(dist, "index.js")
const command = (flag: string) => () => [join(dist, "bin/effect-wal.js"), flag]
const node = starting("Node alone", "node -e 0", () => ["-e", "0"])

export const suite: Suite = {
  name: "start",
  tables: [{
    name: "start, library",
    title: "importing effect-wal, from the start of Node to its end",
    metrics,
    reference: "the Effect modules that it needs",
    contestants: [
      starting("effect-wal", "import \"effect-wal\"", () => importing([pathToFileURL(entry).href])),
      starting(
        "the Effect modules that it needs",
        "every module of Effect that effect-wal imports",
        () => importing(effectModulesOf(entry))
      ),
      node
    ]
  }, {
    name: "start, command",
    title: "starting the command line, from the start of Node to its end",
    metrics,
    reference: "Node alone",
    contestants: [
      starting("effect-wal --version", "answered before anything is loaded", command("--version")),
      starting("effect-wal --help", "the flags of all commands, and nothing that runs them", command("--help")),
      node
    ]
  }]
}
