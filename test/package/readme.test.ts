/**
 * The commands under "First five minutes" in the README, as they stand, in one shell that begins in an empty directory.
 * Only the name of the package is replaced, by that of the packed file.
 */
import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { inject } from "vitest"
import { environmentOf, nodes } from "./npm.ts"

const tarball = inject("tarball")
const readme = readFileSync(resolve(import.meta.dirname, "../../README.md"), "utf8")

/** The shell commands of a section, one text for each fence. */
const commandsUnder = (heading: string): ReadonlyArray<string> => {
  const section = readme.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? ""
  return [...section.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? "")
}

const boundary = "---- next fence"

/** Runs the fences one after the other in one shell; what each printed on both outputs. */
const runShell = async (fences: ReadonlyArray<string>, cwd: string): Promise<ReadonlyArray<string>> => {
  const script = ["set -eu", "exec 2>&1", ...fences].join(`\necho '${boundary}'\n`)
  // A group of its own, so that a program in the background ends with the test whatever happens.
  const shell = spawn("bash", ["-c", script], { cwd, env: environmentOf(nodes["Node 22"]), detached: true })
  let printed = ""
  shell.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text))
  try {
    const code = await new Promise<number | null>((done) => shell.once("close", done))
    assert.strictEqual(code, 0, printed)
  } finally {
    try {
      process.kill(-(shell.pid ?? 0), "SIGKILL")
    } catch {
      // The group is gone, as it should be.
    }
  }
  return printed.split(`${boundary}\n`).slice(2)
}

describe.skipIf(tarball === undefined)("the README", () => {
  it("takes a new user from an empty directory through install, record, replay, metrics and a crash", async () => {
    const fences = commandsUnder("First five minutes")
    const installLine = "npm install effect-wal effect\n"
    assert.strictEqual(fences[0], installLine)
    const directory = mkdtempSync(join(tmpdir(), "effect-wal-readme-"))
    try {
      const [, record, metrics, crash, goOn] = await runShell(
        [installLine.replace("effect-wal ", `${tarball} `), ...fences.slice(1)],
        directory
      )
      assert.strictEqual(record, "event 1 is on disk\nevent 1 reads hello\nhello\n")
      assert.match(metrics ?? "", /^recorder +process \d+/m)
      assert.match(metrics ?? "", /^newest event +\d+, durable [1-9]/m)
      assert.match(metrics ?? "", /^effect_wal_durable_lag_events\{.*\} \d+$/m)
      assert.match(crash ?? "", /^measured at \d+$/m)
      assert.match(crash ?? "", /, 0 faults$/m)
      const said = Number(readFileSync(join(directory, "durable.txt"), "utf8").trimEnd().split("\n").at(-1))
      const next = Number(/^event (\d+) is on disk$/m.exec(goOn ?? "")?.[1])
      assert.isAbove(said, 1)
      assert.isAbove(next, said)
      assert.match(goOn ?? "", new RegExp(`^ +\\d+ +hot +[\\d,]+ +[\\d,]+ +${next.toLocaleString("en-US")} `, "m"))
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })
})
