/**
 * Runs the real command line as a child process and feeds its standard input.
 */
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

/** The command as it is installed: the built one, which `test/build.ts` makes before the first test. */
export const bin = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url))

/** What a process that has ended said. */
export interface Ended {
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

/** Starts `effect-wal` with these arguments. A `uid` other than one's own is for the superuser. */
export const start = (args: ReadonlyArray<string>, options: { readonly uid?: number } = {}): ChildProcess =>
  spawn(process.execPath, [bin, ...args], { ...options, env: { ...process.env, NO_COLOR: "1" } })

/** Gathers what a process says until it has ended. */
export const ended = (child: ChildProcess): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const stdout: Array<Buffer> = []
    const stderr: Array<Buffer> = []
    child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk))
    child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk))
    child.once("error", reject)
    child.once("close", (code) =>
      resolve({ code, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() }))
  })

/** Runs `effect-wal` to its end, with `input` on its standard input. */
export const effectWal = (
  args: ReadonlyArray<string>,
  input: string | Uint8Array = "",
  options: { readonly uid?: number } = {}
): Promise<Ended> => {
  const child = start(args, options)
  // A command that fails early does not read its input.
  child.stdin?.on("error", () => undefined)
  child.stdin?.end(input)
  return ended(child)
}

/** A place for directories, which goes when `use` is done. */
export const withPlace = async <A>(use: (place: (name: string) => string) => Promise<A>): Promise<A> => {
  const root = mkdtempSync(join(tmpdir(), "effect-wal-cli-"))
  try {
    return await use((name) => join(root, name))
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}
