/**
 * Runs the victim, takes down what it said, and holds the directory it left to it. What is held:
 *
 * 1. Every event up to the highest id that was ever called durable is there, except that retention may have deleted whole
 *    segments, the oldest ones, and then as many are left as it may keep.
 * 2. Ids are consecutive and each event's bytes are those that its id demands: no gap, no duplicate, nothing invented.
 * 3. Every byte on disk verifies.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { setTimeout as delay } from "node:timers/promises"
import { isLockName, lockName } from "../../src/disk/FileNames.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Verify from "../../src/reading/recovery/Verify.ts"
import * as Replay from "../../src/reading/Replay.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import { program } from "../programs.ts"
import type { VictimOptions } from "./victim.ts"
import { isEventOf } from "./workload.ts"

export const layers = ["fiber", "worker"] as const

/** For what hangs: a victim on a busy machine may take its time. */
export const hangMillis = 240_000

/** What a victim has said and how it ended. */
export interface Testimony {
  /** Every line of its standard output. */
  readonly lines: Array<string>
  /** The last lines of its standard error. */
  stderr: string
  /** The last event when it opened; `undefined` when it did not get so far. */
  opened: number | undefined
  /** The highest id that it called durable; 0 when none. */
  durable: number
  exitCode: number | null
  /** It did not end in time and was killed by us. */
  hung: boolean
}

/** A victim at work. */
export interface RunningVictim {
  readonly testimony: Testimony
  readonly child: ChildProcess
  /** Kills the victim and all of its children. */
  readonly kill: () => void
  readonly ended: Promise<Testimony>
}

/** Starts a victim in a process group of its own. `command` stands before `node`, as in `strace ARGUMENTS`. */
export const startVictim = (options: VictimOptions, given: {
  readonly command?: ReadonlyArray<string>
  readonly environment?: Readonly<Record<string, string>>
  readonly hangMillis?: number
  readonly onLine?: (line: string, victim: RunningVictim) => void
} = {}): RunningVictim => {
  const commandLine = [...given.command ?? [], process.execPath, program("victim"), JSON.stringify(options)]
  const child = spawn(commandLine[0]!, commandLine.slice(1), {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...given.environment }
  })
  const testimony: Testimony = { lines: [], stderr: "", opened: undefined, durable: 0, exitCode: null, hung: false }
  const kill = () => {
    try {
      process.kill(-child.pid!, "SIGKILL")
    } catch {
      // It has ended by itself.
    }
  }
  const hang = setTimeout(() => {
    testimony.hung = true
    kill()
  }, given.hangMillis ?? hangMillis)
  child.stderr.on("data", (data: Buffer) => {
    testimony.stderr = (testimony.stderr + data.toString()).slice(-200_000)
  })
  const victim: RunningVictim = {
    testimony,
    child,
    kill,
    ended: new Promise((resolve, reject) => {
      child.once("error", reject)
      child.once("close", (exitCode) => {
        clearTimeout(hang)
        testimony.exitCode = exitCode
        resolve(testimony)
      })
    })
  }
  createInterface({ input: child.stdout }).on("line", (line) => {
    testimony.lines.push(line)
    const id = Number(line.split(" ")[1])
    if (line.startsWith("open ")) testimony.opened = id
    if (line.startsWith("durable ")) testimony.durable = Math.max(testimony.durable, id)
    given.onLine?.(line, victim)
  })
  return victim
}

/** Waits until a victim stands still at the event of its `stopsAt`; false when it ended before. */
export const stopped = async ({ child, testimony }: RunningVictim, eventId: number): Promise<boolean> => {
  while (child.exitCode === null && child.signalCode === null) {
    if (testimony.durable >= eventId && stateOf(child.pid!) === "T") return true
    await delay(5)
  }
  return false
}

/** As `man 5 proc_pid_stat` names it; `undefined` when the process has gone. */
const stateOf = (pid: number): string | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
    return stat.slice(stat.lastIndexOf(")") + 2)[0]
  } catch {
    return undefined
  }
}

/** What lies in a directory. Ids are 0 when there is no event. A segment in the middle of its freeze is hot and cold. */
export interface Remains {
  readonly firstId: number
  readonly lastId: number
  readonly hotSegments: number
  readonly coldSegments: number
  /** The uncompressed lengths of the cold ones, as their frames claim. */
  readonly coldContentBytes: ReadonlyArray<number>
}

/** What the cold segments count, in full ones: each by its length. */
export const coldWorth = ({ coldContentBytes }: Remains, segmentBytesMax: number): number =>
  coldContentBytes.reduce((sum, bytes) => {
    const units = Math.ceil(1024 * bytes / (128 + segmentBytesMax))
    return sum + Math.min(1024, Math.max(8, units)) / 1024
  }, 0)

/** The segments of which there is a file with this ending. */
const segmentsWith = (directory: string, ending: RegExp): ReadonlySet<string> =>
  new Set(readdirSync(directory).filter((name) => ending.test(name)).map((name) => name.slice(0, "FS.00000000".length)))

/** For what runs in the test's own process. */
export const quiet: Layer.Layer<never> = Layer.succeed(References.MinimumLogLevel, "None")

const broken = (promise: string): never => {
  throw new Error(`broken promise: ${promise}`)
}

/** Verifies and replays a directory, without opening it for recording; throws when a promise is broken. */
export const inspect = (directory: string, promised: {
  readonly seed: number
  readonly durable: number
  readonly maxSegments: number
  readonly maxCompressedSegments: number
}): Promise<Remains> =>
  Effect.gen(function*() {
    const report = yield* Verify.verify({ directory })
    if (report.faults.length > 0) broken(`${directory} does not verify: ${JSON.stringify(report.faults)}`)
    let firstId = 0
    let lastId = 0
    yield* Replay.events({ directory }).pipe(Stream.runForEach(({ bytes, id }) =>
      Effect.sync(() => {
        if (firstId === 0) firstId = id
        else if (id !== lastId + 1) broken(`event ${id} follows ${lastId}`)
        if (!isEventOf(promised.seed, id, bytes)) broken(`event ${id} is not what was recorded`)
        lastId = id
      })
    ))
    if (lastId < promised.durable) broken(`event ${promised.durable} was durable, and the last one is ${lastId}`)
    const hot = segmentsWith(directory, /\.wal$/)
    const cold = segmentsWith(directory, /\.wal\.lz4b?$/)
    // The oldest cold segment goes before the freeze of another begins, and that one is hot until then.
    const segments = new Set([...hot, ...cold]).size
    if (firstId > 1 && segments < promised.maxCompressedSegments + promised.maxSegments - 2) {
      broken(`events before ${firstId} are gone although only ${hot.size} hot and ${cold.size} cold segments are left`)
    }
    const coldContentBytes = readdirSync(directory).filter((name) => name.endsWith(".wal.lz4")).map((name) =>
      Number(readFileSync(join(directory, name)).readBigUInt64LE(6))
    )
    return { firstId, lastId, hotSegments: hot.size, coldSegments: cold.size, coldContentBytes }
  }).pipe(Effect.provide(NodeDisk.layer), Effect.runPromise)

/** Opens a directory for recording, lets the maintainer finish its work, and closes it; returns the last event. */
export const reopen = (
  options: Pick<
    VictimOptions,
    "directory" | "segmentBytesMax" | "maxSegments" | "maxCompressedSegments"
  >
): Promise<number> => {
  const { directory, maxCompressedSegments, maxSegments, segmentBytesMax } = options
  return Effect.map(Recorder, (recorder) => recorder.recovery.lastEventId).pipe(
    Effect.provide(Wal.layer({ directory, segmentBytesMax, limits: { maxSegments, maxCompressedSegments } })),
    Effect.provide(Layer.merge(NodeDisk.layer, quiet)),
    Effect.runPromise
  )
}

/** Names in a directory that nobody needs when nobody writes. */
export const leftovers = (directory: string): ReadonlyArray<string> =>
  readdirSync(directory).filter((name) => name.endsWith(".tmp") || isLockName(lockName, name) || name === "wal.reserve")

/** A fresh directory, removed afterwards unless the work fails: then its path is part of the error. */
export const withDirectory = async <A>(name: string, work: (directory: string) => Promise<A>): Promise<A> => {
  const root = mkdtempSync(join(tmpdir(), `effect-wal-${name}-`))
  const directory = join(root, "wal")
  mkdirSync(directory)
  try {
    const result = await work(directory)
    rmSync(root, { recursive: true })
    return result
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : String(error)}; see ${root}`, { cause: error })
  }
}
