/**
 * Where the program puts a failure into words: where a command fails in its own, and where an error of the library gives its
 * message. Processes that ran with `NODE_V8_COVERAGE` tell which of these places they came to.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { SourceMap } from "node:module"
import { dirname, join } from "node:path"
import { program } from "../programs.ts"

const root = join(import.meta.dirname, "../..")

/** In the words of the source as in those of the bundle. */
const patternFor = (source: string): RegExp =>
  source.startsWith("src/cli/") ? /new (?:Operating|Usage)Failure\(/g : /get message\(\)/g

/** A reason's own words are part of its error's message, and which reason it is, the disk decides. */
const isOfReason = (lines: ReadonlyArray<string>, index: number): boolean =>
  lines.slice(0, index).findLast((line) => line.includes("@category"))?.endsWith("@category reasons") === true

/** Every place in the sources, as in `src/cli/commands/dump.ts:42`. */
const places: ReadonlyArray<string> = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .flatMap((name) => {
    const source = `src/${name}`
    const lines = readFileSync(join(root, source), "utf8").split("\n")
    return lines.flatMap((line, index) =>
      line.search(patternFor(source)) < 0 || isOfReason(lines, index) ? [] : [`${source}:${index + 1}`]
    )
  })

/** A place in a bundle. */
interface Site {
  readonly file: string
  readonly offset: number
  readonly place: string
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

const sitesIn = (folder: string, file: string): ReadonlyArray<Site> => {
  const mapPath = join(folder, `${file}.map`)
  if (!existsSync(mapPath)) return []
  const code = readFileSync(join(folder, file), "utf8")
  const map = new SourceMap(JSON.parse(readFileSync(mapPath, "utf8")))
  return [...code.matchAll(/new (?:Operating|Usage)Failure\(|get message\(\)/g)].flatMap(({ 0: words, index }) => {
    const before = code.slice(0, index).split("\n")
    const entry = map.findEntry(before.length - 1, before.at(-1)?.length ?? 0)
    if (!("originalSource" in entry)) return []
    const source = entry.originalSource.replace(/^(\.\.\/)+/, "")
    const place = `${source}:${entry.originalLine + 1}`
    return words.search(patternFor(source)) < 0 || !places.includes(place) ? [] : [{ file, offset: index, place }]
  })
}

/** The innermost range that has the place says how often it was come to. */
const isReached = ({ file, offset }: Site, { result }: Coverage): boolean => {
  const ranges = result.filter(({ url }) => url.endsWith(`/${file}`))
    .flatMap(({ functions }) => functions.flatMap(({ ranges }) => ranges))
    .filter(({ endOffset, startOffset }) => startOffset <= offset && offset < endOffset)
    .toSorted((a, b) => (a.endOffset - a.startOffset) - (b.endOffset - b.startOffset))
  return (ranges[0]?.count ?? 0) > 0
}

/** The places that none of the processes came to whose coverage lies in a directory. */
export const unreachedPlaces = (coverageDirectory: string): ReadonlyArray<string> => {
  const folder = dirname(program("effect-wal"))
  let sites = readdirSync(folder).filter((name) => name.endsWith(".js")).flatMap((name) => sitesIn(folder, name))
  const unreached = new Set(places)
  for (const file of readdirSync(coverageDirectory)) {
    const coverage: Coverage = JSON.parse(readFileSync(join(coverageDirectory, file), "utf8"))
    for (const site of sites) if (isReached(site, coverage)) unreached.delete(site.place)
    sites = sites.filter(({ place }) => unreached.has(place))
  }
  return [...unreached]
}
