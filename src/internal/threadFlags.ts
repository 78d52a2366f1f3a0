/**
 * The flags of Node with which a program's threads are started. A thread takes those of its program, and dies of
 * `--input-type`, which tells what the text of `--eval` or of standard input is: a thread has a file. So where the
 * program has that flag, its threads are given only the flags that decide how modules are loaded.
 */

const inputType = /^--input-type(=|$)/

/** Flags that decide how modules are loaded, and whether a value follows them. */
const loading: ReadonlyMap<string, boolean> = new Map([
  ["--import", true],
  ["--require", true],
  ["-r", true],
  ["--loader", true],
  ["--experimental-loader", true],
  ["--conditions", true],
  ["-C", true],
  ["--enable-source-maps", false],
  ["--experimental-strip-types", false],
  ["--experimental-transform-types", false],
  ["--preserve-symlinks", false],
  ["--no-warnings", false]
])

/** Flags whose value is the text of a program, which may look like a flag. */
const ofText: ReadonlySet<string> = new Set(["-e", "--eval", "-p", "--print", "-pe"])

const loadingOf = (flags: ReadonlyArray<string>): Array<string> => {
  const kept: Array<string> = []
  for (let index = 0; index < flags.length; index++) {
    const flag = flags[index] ?? ""
    if (ofText.has(flag)) index += 1
    const takesValue = loading.get(flag.split("=")[0] ?? "")
    if (takesValue === undefined) continue
    kept.push(flag)
    if (takesValue && !flag.includes("=")) kept.push(flags[++index] ?? "")
  }
  return kept
}

/** The options of a `Worker` that set its flags; none where a thread of this program takes the program's own. */
export const threadFlags = (
  flags: ReadonlyArray<string> = process.execArgv,
  environment: NodeJS.ProcessEnv = process.env
): { readonly execArgv?: Array<string>; readonly env?: NodeJS.ProcessEnv } => {
  const inEnvironment = (environment["NODE_OPTIONS"] ?? "").split(/\s+/).filter((flag) => flag !== "")
  if (![...flags, ...inEnvironment].some((flag) => inputType.test(flag))) return {}
  return {
    execArgv: loadingOf(flags),
    env: { ...environment, NODE_OPTIONS: loadingOf(inEnvironment).join(" ") }
  }
}
