/** Runs commands of an installed package, and reads what the applications of `consumer/` print. */
import { execFile } from "node:child_process"
import { environmentOf } from "./npm.ts"
import type { Runtime } from "./npm.ts"

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
  readonly runtime: string
  readonly durable: number
  readonly replayed: number
  readonly cold: number
  readonly faults: number
}

/** Runs an application with a runtime, and reads what it prints; throws with everything it said when it fails. */
export const runApplication = async <A = Found>(
  { args, file }: Runtime,
  application: string,
  given: ReadonlyArray<string>,
  cwd: string
): Promise<A> => {
  const { code, stderr, stdout } = await run(file, file, [...args, application, ...given], { cwd })
  if (code !== 0) throw new Error(`${application} ended with code ${code}\n${stdout}${stderr}`)
  return JSON.parse(stdout)
}
