/**
 * Where the built program puts a failure into words: where a command fails in its own, and where an error of the library gives
 * its message. Processes that ran with `NODE_V8_COVERAGE` say which of these places they came to.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

const dist = join(import.meta.dirname, "../../dist")

/** A place in a module, which is named from `dist/` on: another copy of the program has the same places. */
interface Site {
  readonly module: string
  readonly offset: number
  /** As in `cli/dump.js:42`. */
  readonly name: string
}

interface Coverage {
  readonly result: ReadonlyArray<{
    readonly url: string
    readonly functions: ReadonlyArray<{
      readonly ranges: ReadonlyArray<
        { readonly startOffset: number; readonly endOffset: number; readonly count: number }
      >
    }>
  }>
}

const sites: ReadonlyArray<Site> = readdirSync(dist, { recursive: true, encoding: "utf8" })
  .filter((module) => module.endsWith(".js"))
  .flatMap((module) => {
    const text = readFileSync(join(dist, module), "utf8")
    const words = module.startsWith("cli/") ? /new (?:Operating|Usage)Failure\(/g : /get message\(\)/g
    return [...text.matchAll(words)].map(({ index }) => ({
      module,
      offset: index,
      name: `${module}:${text.slice(0, index).split("\n").length}`
    }))
  })

/** The innermost range that has the place says how often it was come to. */
const isReached = (site: Site, { result }: Coverage): boolean => {
  const ranges = result.filter(({ url }) => url.endsWith(`/dist/${site.module}`))
    .flatMap(({ functions }) => functions.flatMap(({ ranges }) => ranges))
    .filter(({ endOffset, startOffset }) => startOffset <= site.offset && site.offset < endOffset)
    .toSorted((a, b) => (a.endOffset - a.startOffset) - (b.endOffset - b.startOffset))
  return (ranges[0]?.count ?? 0) > 0
}

/** The places that none of the processes came to whose coverage lies in a directory. */
export const unreachedSites = (coverageDirectory: string): ReadonlyArray<string> => {
  let unreached = sites
  for (const file of readdirSync(coverageDirectory)) {
    const coverage: Coverage = JSON.parse(readFileSync(join(coverageDirectory, file), "utf8"))
    unreached = unreached.filter((site) => !isReached(site, coverage))
  }
  return unreached.map(({ name }) => name)
}
