/**
 * A process that runs one command line after the other and tells of each what it said and the code that it ends with, as
 * `src/cli/process.ts` would: for the many that ask nothing of a process but what `NODE_V8_COVERAGE` writes at its end.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { Readable } from "node:stream"
import { run } from "../../src/cli/program.ts"
import { exitCodeOf } from "../../src/cli/terminal/CliFailure.ts"

/** A command line to run, and what lies on its standard input. */
export interface Order {
  readonly args: ReadonlyArray<string>
  readonly input: string
}

/** What it said. */
export interface Answer {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Collects what goes to a standard stream, until it is given back. */
const collect = (stream: NodeJS.WriteStream) => {
  const { write } = stream
  let text = ""
  const collected = (data: string | Uint8Array, done?: (error?: Error) => void): boolean => {
    text += Buffer.from(data).toString()
    if (done !== undefined) queueMicrotask(done)
    return true
  }
  Object.assign(stream, { write: collected })
  return (): string => {
    Object.assign(stream, { write })
    return text
  }
}

const obey = async ({ args, input }: Order): Promise<Answer> => {
  Object.defineProperty(process, "stdin", { value: Readable.from([Buffer.from(input)]), configurable: true })
  const [stdout, stderr] = [collect(process.stdout), collect(process.stderr)]
  const exit = await Effect.runPromiseExit(run(args))
  return { code: Exit.isSuccess(exit) ? 0 : exitCodeOf(exit.cause), stdout: stdout(), stderr: stderr() }
}

let last = Promise.resolve()
process.on("message", (order: Order) => {
  last = last.then(async () => void process.send?.(await obey(order)))
})
