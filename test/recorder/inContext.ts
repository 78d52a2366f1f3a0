/**
 * Runs the text of a module in a context of its own, as jest runs tests: the modules of `dist` and of Effect are made
 * there, Node's own and the native ones are those of the main realm. `outerBytes` makes bytes of the main realm.
 *
 * ```text
 * node --experimental-vm-modules test/recorder/inContext.ts TEXT
 * ```
 */
import { readFileSync } from "node:fs"
import { createRequire, isBuiltin } from "node:module"
import { fileURLToPath, pathToFileURL } from "node:url"
import { createContext, runInContext, SourceTextModule, SyntheticModule } from "node:vm"
import type { Module } from "node:vm"

const root = new URL("../../", import.meta.url).href
const text = process.argv[2] ?? ""

const context = createContext()
const language: ReadonlySet<string> = new Set(runInContext("Object.getOwnPropertyNames(globalThis)", context))
for (const name of Object.getOwnPropertyNames(globalThis)) {
  if (!language.has(name)) context[name] = Reflect.get(globalThis, name)
}
// A context has one of its own that prints nothing.
context["console"] = console
context["outerBytes"] = (value: string) => new Uint8Array(Buffer.from(value))

const made = new Map<string, Promise<Module>>()

const foreign = async (specifier: string): Promise<Module> => {
  const exported: object = await import(specifier)
  const names = Object.keys(exported)
  return new SyntheticModule(names, function() {
    for (const name of names) this.setExport(name, Reflect.get(exported, name))
  }, { context })
}

const sourceModule = (source: string, url: string): Module =>
  new SourceTextModule(source, {
    context,
    identifier: url,
    initializeImportMeta: (meta) => {
      meta.url = url
    },
    importModuleDynamically: async (specifier) => {
      const module = await moduleOf(specifier, url)
      if (module.status === "unlinked") await module.link(linkTo)
      if (module.status === "linked") await module.evaluate()
      return module
    }
  })

const moduleOf = (specifier: string, parent: string): Promise<Module> => {
  const path = isBuiltin(specifier) || specifier.startsWith("file:")
    ? specifier
    : createRequire(parent).resolve(specifier)
  const url = path.startsWith("/") ? pathToFileURL(path).href : path
  const known = made.get(url)
  if (known !== undefined) return known
  const isOurs = url.startsWith(`${root}dist/`) || /node_modules\/(effect|@effect)\//.test(url)
  const module = isOurs
    ? Promise.resolve(sourceModule(readFileSync(fileURLToPath(url), "utf8"), url))
    : foreign(url)
  made.set(url, module)
  return module
}

const linkTo = (specifier: string, { identifier }: Module): Promise<Module> => moduleOf(specifier, identifier)

const entry = sourceModule(text, `${root}dist/entry.js`)
await entry.link(linkTo)
await entry.evaluate()
