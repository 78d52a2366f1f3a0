/**
 * The independent reader `read_wal.py` beside ours, over the same directory: what each makes of it. A log as the
 * simulation has left it (killed, continued, compressed, cut, rotten) is written to a real directory for that.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { spawn, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import { createInterface } from "node:readline"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Replay from "../../src/reading/Replay.ts"
import { directory as simulatedDirectory } from "../simulation/Scenario.ts"
import { run } from "../simulation/Simulation.ts"

/** What a reader finds in a directory: all events, or a fault. */
export interface Finding {
  readonly events?: number
  readonly firstId?: number | null
  readonly lastId?: number | null
  readonly sha256?: string
  readonly fault?: string
}

export const hasPython = spawnSync("python3", ["--version"]).status === 0

/** The independent reader, as a process that answers one directory after the other. */
export const startIndependentReader = () => {
  const child = spawn("python3", [join(import.meta.dirname, "read_wal.py")], { stdio: ["pipe", "pipe", "inherit"] })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  return {
    read: async (directory: string): Promise<Finding> => {
      child.stdin.write(`${directory}\n`)
      const { done, value } = await lines.next()
      if (done === true) throw new Error("the independent reader has ended; see its error above")
      return JSON.parse(value) as Finding
    },
    close: () => void child.kill()
  }
}

type IndependentReader = ReturnType<typeof startIndependentReader>

/** What the verified replay of this package finds. */
const ours = (directory: string): Promise<Finding> => {
  const hash = createHash("sha256")
  const head = new DataView(new ArrayBuffer(12))
  let events = 0
  let firstId: number | null = null
  let lastId: number | null = null
  return Replay.events({ directory }).pipe(
    Stream.runForEach(({ bytes, id }) =>
      Effect.sync(() => {
        head.setBigUint64(0, BigInt(id), true)
        head.setUint32(8, bytes.length, true)
        hash.update(new Uint8Array(head.buffer)).update(bytes)
        events++
        firstId ??= id
        lastId = id
      })
    ),
    Effect.match({
      onFailure: (failure): Finding => ({ fault: failure.message }),
      onSuccess: (): Finding => ({ events, firstId, lastId, sha256: hash.digest("hex") })
    }),
    Effect.provide(NodeDisk.layer),
    Effect.runPromise
  )
}

export type Verdict = "accepted" | "refused" | "of another format"

/** Has both readers read a directory. Throws where they do not agree. */
export const judge = async (reader: IndependentReader, directory: string): Promise<Verdict> => {
  const [theirs, own] = [await reader.read(directory), await ours(directory)]
  if (theirs.fault !== undefined && own.fault !== undefined) return "refused"
  if (theirs.fault === undefined && own.fault === undefined && JSON.stringify(theirs) === JSON.stringify(own)) {
    return "accepted"
  }
  throw new Error(`the readers differ: ${JSON.stringify(theirs)}, ours ${JSON.stringify(own)}`)
}

/** Plays a seed of the simulation, and judges the log that it leaves. */
export const judgeSeed = async (reader: IndependentReader, seed: number): Promise<Verdict> => {
  let left: ReadonlyMap<string, Uint8Array> = new Map()
  const { scenario, violation } = run({ seed, onEnd: (files) => void (left = files) })
  if (violation !== undefined) throw violation
  if (scenario.wal.format !== 2) return "of another format"
  const directory = mkdtempSync(join(tmpdir(), "effect-wal-judged-"))
  try {
    for (const [path, content] of left) {
      if (dirname(path) === simulatedDirectory) writeFileSync(join(directory, basename(path)), content)
    }
    return await judge(reader, directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
