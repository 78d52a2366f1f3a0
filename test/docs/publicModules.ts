/** What can be imported from the package: the entries, the modules they export, and what those re-export. */
import { existsSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"

export const source = resolve(import.meta.dirname, "../../src")

export const textOf = (file: string): string => readFileSync(join(source, file), "utf8")

/** The entries of the package that hold modules for its users, as paths under `src`. */
export const entries: ReadonlyArray<string> = [
  "index.ts",
  "archive/index.ts",
  "buffer/index.ts",
  "failover/index.ts",
  "cluster/index.ts",
  "cluster-storage/index.ts",
  "eventlog/index.ts",
  "kvs/index.ts",
  "many/index.ts",
  "queue/index.ts",
  "s3/index.ts",
  "state/index.ts",
  "testing/index.ts"
].filter((file) => existsSync(join(source, file)))

/** The entries that are a module themselves. */
const moduleEntries: ReadonlyArray<PublicModule> = [
  { name: "console", file: "console/index.ts" },
  { name: "rpc", file: "rpc/index.ts" },
  { name: "promise", file: "promise/index.ts" },
  { name: "PrometheusRoute", file: "PrometheusRoute.ts" }
]

/** A module as its users see it. */
export interface PublicModule {
  readonly name: string
  readonly file: string
}

const pathFrom = (file: string, imported: string): string => relative(source, resolve(source, dirname(file), imported))

/** The modules that an entry exports. */
export const modulesOf = (entry: string): ReadonlyArray<PublicModule> =>
  [...textOf(entry).matchAll(/^export \* as (\w+) from "([^"]+)"/gm)].map(([, name = "", imported = ""]) => ({
    name,
    file: pathFrom(entry, imported)
  }))

/** The modules of all entries, and those that a module passes on as a whole. */
export const publicModules: ReadonlyArray<PublicModule> = [
  ...entries.flatMap(modulesOf).flatMap((module) => [module, ...modulesOf(module.file)]),
  ...moduleEntries
]

/** A statement that exports a name, and where it begins in the text of its file. */
export interface Declaration {
  readonly file: string
  readonly name: string
  readonly at: number
}

const docComment = /\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n$/

/** The comment above a place in a text; empty if there is none. */
export const commentAbove = (text: string, at: number): string => docComment.exec(text.slice(0, at))?.[0] ?? ""

/** What a file itself declares and exports. */
export const declarationsIn = (file: string, text: string): ReadonlyArray<Declaration> =>
  [...text.matchAll(
    /^export (?:default |declare |abstract |async )*(?:const|function|class|interface|type|enum) (\w+)/gm
  )].map((found) => ({ file, name: found[1] ?? "", at: found.index }))

/** What a module exports, wherever it is declared. */
export const exportsOf = (file: string): ReadonlyArray<Declaration> => {
  const text = textOf(file)
  const passedOn = [...text.matchAll(/^export (?:type )?\{([^}]*)\} from "([^"]+)"/gm)].flatMap(
    ([, names = "", imported = ""]) => {
      const wanted = new Set(names.split(",").map((name) => name.trim().replace(/^type /, "")))
      return exportsOf(pathFrom(file, imported)).filter(({ name }) => wanted.has(name))
    }
  )
  return [...declarationsIn(file, text), ...passedOn]
}

/** The names that a module exports; a namespace that it passes on is one. */
export const namesOf = (file: string): ReadonlySet<string> =>
  new Set([
    ...exportsOf(file).map(({ name }) => name),
    ...[...textOf(file).matchAll(/^export \* as (\w+) from /gm)].map(([, name = ""]) => name)
  ])
