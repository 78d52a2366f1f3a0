/**
 * How programs and threads are bundled: with all that they import, since Node needs most of its time to find and load
 * hundreds of modules. Only the native packages stay outside.
 *
 * Names and lines stay, and so do licences; other comments go. Nothing is minified: the start would not be faster, and a
 * stack trace could not be read. Maps lead to our own sources, which are in the package.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { build } from "vite"

const root = join(import.meta.dirname, "..")

/** A file of a bundle. */
export interface BundledFile {
  readonly name: string
  readonly content: string | Uint8Array
}

/** Bundles: their files, and the folders of the packages whose code is in it. */
export interface Bundle {
  readonly files: ReadonlyArray<BundledFile>
  readonly packages: ReadonlyArray<string>
}

/** Vite has a module of its own in the place of a package that is optional and not there. */
const isForeign = /[\\/]node_modules[\\/]|__vite-optional-peer-dep/

const packageOf = (module: string): string | undefined =>
  /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(module)?.[0]

/**
 * Bundles programs, given by their sources; the first file of each is its name with the ending `.js`, all of them lie in one
 * folder. Those that are bundled together share files, and take hardly more time than one.
 */
export const bundle = async (sources: Readonly<Record<string, string>>): Promise<Bundle> => {
  const built = await build({
    root,
    configFile: false,
    logLevel: "error",
    plugins: [{
      name: "maps-of-our-own-modules",
      transform: {
        filter: { id: isForeign },
        handler: (code) => ({ code, map: { version: 3, sources: [], names: [], mappings: "" } })
      }
    }],
    build: {
      ssr: true,
      write: false,
      outDir: "dist/bin",
      sourcemap: true,
      target: "node22",
      rolldownOptions: {
        input: Object.fromEntries(Object.entries(sources).map(([name, source]) => [name, join(root, source)])),
        output: {
          entryFileNames: "[name].js",
          chunkFileNames: "[name]-[hash].js",
          comments: { legal: true, annotation: false, jsdoc: false },
          sourcemapExcludeSources: true
        }
      }
    },
    ssr: { noExternal: true, external: ["lz4-napi", "@node-rs/xxhash"] }
  })
  const outputs = [built].flat().flatMap((one) => "output" in one ? one.output : [])
  const modules = outputs.flatMap((file) => file.type === "chunk" ? Object.keys(file.modules) : [])
  return {
    files: outputs.map((file) => ({ name: file.fileName, content: file.type === "chunk" ? file.code : file.source })),
    packages: [...new Set(modules.flatMap((module) => packageOf(module) ?? []))].toSorted()
  }
}

/** The licences of the packages whose code is in a bundle: they ask to be named wherever their code goes. */
const noticeOf = (packages: ReadonlyArray<string>): string => {
  const texts = packages.map((folder) => {
    const { name, version }: { readonly name: string; readonly version: string } = JSON.parse(
      readFileSync(join(folder, "package.json"), "utf8")
    )
    const file = readdirSync(folder).find((entry) => /^licen[cs]e(\.\w+)?$/i.test(entry))
    if (file === undefined) throw new Error(`${name} has no licence that a bundle could name`)
    return `${name} ${version}\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`
  })
  return `The bundles in this folder contain code of these packages.\n\n${texts.join(`\n${"-".repeat(80)}\n\n`)}`
}

/** Writes a file unless it is there as it should be: a run of the tests beside this one may be reading it. */
const write = (path: string, content: string | Uint8Array): void => {
  if (existsSync(path) && readFileSync(path).equals(Buffer.from(content))) return
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
}

/** Writes the bundles of the package's programs to `dist/bin`. */
export const writePackageBundles = (bundles: ReadonlyArray<Bundle>): void => {
  const folder = join(root, "dist/bin")
  const put = (name: string, content: string | Uint8Array): void => write(join(folder, name), content)
  for (const { content, name } of bundles.flatMap(({ files }) => files)) put(name, content)
  put("LICENSES.txt", noticeOf([...new Set(bundles.flatMap(({ packages }) => packages))].toSorted()))
  // Applications import these two in a module of their own that runs as a thread.
  for (const name of ["maintainerThread", "compressorThread"]) put(`${name}.d.ts`, "export {}\n")
}
