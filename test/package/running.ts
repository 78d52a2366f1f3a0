/** Runs commands of an installed package, and reads what the applications of `consumer/` print. */
import { execFile } from "node:child_process"
import { environmentOf } from "./npm.ts"

/** Less than a test may take, so that a command that hangs ends with its test. */
const commandMillisMax = 100_000

/** How a command ended, and what it printed. */
export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command in a shell's environment in which `node` is the one given. */
export const run = (
  node: string,
  command: string,
  args: ReadonlyArray<string>,
  options: { readonly cwd: string; readonly input?: string }
): Promise<Ran> =>
  new Promise((resolve, reject) => {
    const child = execFile(
      command,
      args,
      {
        cwd: options.cwd,
        env: environmentOf(node),
        maxBuffer: 64 * 1024 * 1024,
        timeout: commandMillisMax,
        killSignal: "SIGKILL"
      },
      (error, stdout, stderr) => {
        if (error !== null && typeof error.code !== "number") reject(error)
        else resolve({ code: Number(error?.code ?? 0), stdout, stderr })
      }
    )
    child.stdin?.end(options.input ?? "")
  })

/** What `recordAndCheck` prints. */
export interface Found {
  readonly node: string
  readonly durable: number
  readonly replayed: number
  readonly cold: number
  readonly faults: number
}

/** Runs an application with a runtime; throws with everything it said when it fails. */
export const runApplication = async (
  node: string,
  file: string,
  args: ReadonlyArray<string>,
  cwd: string
): Promise<Found> => {
  const { code, stderr, stdout } = await run(node, node, [file, ...args], { cwd })
  if (code !== 0) throw new Error(`${file} ended with code ${code}\n${stdout}${stderr}`)
  return JSON.parse(stdout)
}
