/** npm as its users call it: none of what `npm run` tells its children, and the cache before the network. */
import { execFileSync } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import { delimiter, dirname, join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "../..")

/** What runs a program: the file, and what stands before the program's own name. */
export interface Runtime {
  readonly file: string
  readonly args: ReadonlyArray<string>
}

/** The two ends of what is supported, both from npm's package `node`. */
export const nodes = {
  "Node 22": resolve(root, "tools/node_modules/node/bin/node"),
  "Node 24": resolve(root, "node_modules/node/bin/node")
} as const

/** The runtime that npm brought for this system: its package differs from system to system. */
const broughtBy = (scope: string, file: string): string => {
  const folder = resolve(root, "tools/node_modules", scope)
  const packages = existsSync(folder) ? readdirSync(folder) : []
  return packages.map((name) => join(folder, name, file)).find((path) => existsSync(path)) ?? ""
}

/** Every runtime in which the package is tried; one that is not here has no file. Known once the tools are installed. */
export const runtimes = (): Readonly<Record<"Node 22" | "Node 24" | "Bun" | "Deno", Runtime>> => ({
  "Node 22": { file: nodes["Node 22"], args: [] },
  "Node 24": { file: nodes["Node 24"], args: [] },
  Bun: { file: broughtBy("@oven", "bin/bun"), args: [] },
  Deno: { file: broughtBy("@deno", "deno"), args: ["run", "--allow-all"] }
})

/** The environment of a shell in which `node` is this one. */
export const environmentOf = (node: string): NodeJS.ProcessEnv => {
  const inherited = Object.entries(process.env).filter(
    ([name]) =>
      !/^(npm_(?!config_(registry|cache|userconfig|offline)$)|INIT_CWD$|VITEST|NODE_(?!EXTRA_CA_CERTS$))/.test(name)
  )
  return {
    ...Object.fromEntries(inherited),
    PATH: `${dirname(node)}${delimiter}${process.env.PATH ?? ""}`,
    npm_config_prefer_offline: "true",
    npm_config_loglevel: "error",
    // Where no registry answers, npm would try for minutes.
    npm_config_fetch_retries: "1",
    npm_config_fetch_retry_mintimeout: "1000",
    npm_config_audit: "false",
    npm_config_fund: "false"
  }
}

/** Runs npm in a folder; gives back what it printed. */
export const npm = (args: ReadonlyArray<string>, cwd: string): string =>
  execFileSync("npm", args, {
    cwd,
    encoding: "utf8",
    env: environmentOf(nodes["Node 24"]),
    stdio: ["ignore", "pipe", "pipe"],
    shell: process.platform === "win32"
  })

/** npm's words for a network that is not there. */
export const isOffline = (error: unknown): boolean =>
  error instanceof Error && "stderr" in error
  && /\b(ENOTCACHED|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT)\b/.test(
    String(error.stderr)
  )
