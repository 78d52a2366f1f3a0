/** npm as its users call it: none of what `npm run` tells its children, and the cache before the network. */
import { execFileSync } from "node:child_process"
import { delimiter, dirname, resolve } from "node:path"

const root = resolve(import.meta.dirname, "../..")

/** The two ends of what is supported, both from npm's package `node`. */
export const runtimes = {
  "Node 22": resolve(root, "tools/node_modules/node/bin/node"),
  "Node 24": resolve(root, "node_modules/node/bin/node")
} as const

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
    env: environmentOf(runtimes["Node 24"]),
    stdio: ["ignore", "pipe", "pipe"],
    shell: process.platform === "win32"
  })

/** npm's words for a network that is not there. */
export const isOffline = (error: unknown): boolean =>
  error instanceof Error && "stderr" in error
  && /\b(ENOTCACHED|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT)\b/.test(
    String(error.stderr)
  )
