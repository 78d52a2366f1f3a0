/**
 * What happens when the file system below a recorder fails as file systems do: it is full, it turns read-only, the
 * directory goes away, descriptors run out, another recorder is there already, the clock jumps. Each scenario throws when
 * a promise is broken, and otherwise says in a sentence what happened.
 *
 * ```text
 * node test/faults/filesystems.ts
 * ```
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { execFileSync, spawnSync } from "node:child_process"
import { mkdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import type { RecorderError } from "../../src/recorder/RecorderError.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import { dayMillis, settableClock } from "../fixtures/settableClock.ts"
import {
  coldWorth,
  hangMillis,
  inspect,
  layers,
  quiet,
  reopen,
  startVictim,
  stopped,
  withDirectory
} from "./harness.ts"
import type { RunningVictim, Testimony } from "./harness.ts"
import { fillUntil, mountMissing, withMount } from "./mounts.ts"
import type { FileSystem } from "./mounts.ts"
import type { VictimOptions } from "./victim.ts"
import { eventOf } from "./workload.ts"

type LayerName = "fiber" | "worker"

/** One thing that goes wrong. */
export interface Scenario {
  readonly name: string
  /** Both, when not given. */
  readonly layers?: ReadonlyArray<LayerName>
  /** Why it cannot be played here; empty when it can. */
  readonly missing: () => Promise<string>
  readonly play: (layer: LayerName) => Promise<string>
}

const seed = 3
const limits = { maxSegments: 3, maxCompressedSegments: 512 } as const
/** For what hangs. */
const patienceMillis = hangMillis

const check = (condition: boolean, promise: string): void => {
  if (!condition) throw new Error(`broken promise: ${promise}`)
}

// ---------------------------------------------------------------------------------------------------------------------
// a recorder in this process
// ---------------------------------------------------------------------------------------------------------------------

/** A recorder that is opened, used and closed step by step. */
interface OpenRecorder {
  readonly recorder: Recorder["Service"]
  readonly maintainer: SegmentMaintainer["Service"]
  readonly close: () => Promise<void>
}

const inTime = <A, E>(name: string, effect: Effect.Effect<A, E>): Promise<A> =>
  Effect.runPromise(
    Effect.flatMap(Effect.timeoutOption(effect, patienceMillis), (result) =>
      result._tag === "Some"
        ? Effect.succeed(result.value)
        : Effect.die(new Error(`broken promise: ${name} ends within ${patienceMillis} ms`)))
  )

const openRecorder = async (
  layer: LayerName,
  options: Wal.WalOptions,
  clock?: Clock.Clock
): Promise<OpenRecorder> => {
  const walOptions: Wal.WalOptions = {
    segmentBytesMax: 128 * 1024,
    blockBytesMax: 16 * 1024,
    slots: 3,
    limits,
    onDiskFailure: "fail",
    ...options
  }
  const wal = layer === "worker" ? Wal.layerWorker(walOptions) : Wal.layer(walOptions)
  const scope = await Effect.runPromise(Scope.make())
  const context = await Layer.buildWithScope(Layer.provide(wal, Layer.merge(NodeDisk.layer, quiet)), scope).pipe(
    (build) => clock === undefined ? build : Effect.provideService(build, Clock.Clock, clock),
    Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))),
    Effect.runPromise
  )
  const recorder = await Effect.runPromise(Effect.provideContext(Recorder, context))
  const maintainer = await Effect.runPromise(Effect.provideContext(SegmentMaintainer, context))
  return { recorder, maintainer, close: () => inTime("closing the recorder", Scope.close(scope, Exit.void)) }
}

/** Appends so many events; the promised content follows from the ids. Returns the error that stopped it, if one did. */
const append = async (recorder: Recorder["Service"], count: number): Promise<RecorderError | undefined> => {
  for (let done = 0; done < count; done++) {
    const exit = await Effect.runPromiseExit(recorder.append(eventOf(seed, recorder.writer.lastEventId + 1)))
    if (Exit.isFailure(exit)) return errorOf(exit.cause)
  }
  return undefined
}

const commit = async (recorder: Recorder["Service"]): Promise<number | RecorderError> => {
  const exit = await inTime("a commit", Effect.exit(recorder.commit))
  return Exit.isSuccess(exit) ? exit.value : errorOf(exit.cause)
}

/** Commits until it is done; an attempt that was made just before there was room again may still fail. */
const commitAtLast = async (recorder: Recorder["Service"]) => {
  const begun = Date.now()
  for (;;) {
    const result = await commit(recorder)
    if (typeof result === "number" || !result.isRetryable || Date.now() - begun > patienceMillis) return result
  }
}

const errorOf = (cause: Cause.Cause<RecorderError>): RecorderError => {
  for (const reason of cause.reasons) if (reason._tag === "Fail") return reason.error
  throw new Error(`broken promise: every failure is a RecorderError\n${Cause.pretty(cause)}`)
}

/** Appends and commits until a commit fails; returns its error and the highest id that was called durable before. */
const recordUntilFailure = async (recorder: Recorder["Service"]) => {
  let durable = 0
  for (let round = 0; round < 5000; round++) {
    const refused = await append(recorder, 20)
    if (refused !== undefined) return { error: refused, durable }
    const result = await commit(recorder)
    if (typeof result !== "number") return { error: result, durable }
    durable = result
  }
  throw new Error("nothing went wrong")
}

const holds = (directory: string, durable: number, maxCompressedSegments: number = limits.maxCompressedSegments) =>
  inspect(directory, { seed, durable, maxSegments: limits.maxSegments, maxCompressedSegments })

const sleep = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))

/** Waits until a freeze was tried as often as it is, or for as long as that takes where none was due. */
const freezeAbandoned = async (maintainer: SegmentMaintainer["Service"]): Promise<void> => {
  const begun = Date.now()
  while ((await Effect.runPromise(maintainer.failures)).length === 0 && Date.now() - begun < 4000) await sleep(20)
}

// ---------------------------------------------------------------------------------------------------------------------
// a full disk
// ---------------------------------------------------------------------------------------------------------------------

/** Room for three or four segments, so that persisting, freezing and preparing all meet the end of it. */
const bytesLeft = 600 * 1024

const full = (kind: FileSystem): Scenario => ({
  name: `a full ${kind}, and room again`,
  missing: () => mountMissing(kind),
  play: (layer) =>
    withMount(kind, async (mount) => {
      const directory = join(mount.path, "wal")
      const { close, maintainer, recorder } = await openRecorder(layer, {
        directory,
        strategy: "dropping"
      })
      const filler = fillUntil(mount.path, bytesLeft)
      const { durable, error } = await recordUntilFailure(recorder)
      check(error.reason._tag === "DiskFull", `the error is DiskFull, not ${error.reason._tag}`)
      check(error.message.includes("disk space"), `the error names disk space: ${error.message}`)
      check(error.isRetryable, "a full disk is retryable")
      check(durable > 0, "something was durable before")
      await holds(directory, durable)
      // What is appended now stays in memory until there is none left.
      const refused = await append(recorder, 100_000)
      check(refused?.reason._tag === "Backpressure", `a full arena refuses, not ${refused?.reason._tag}`)
      await freezeAbandoned(maintainer)
      rmSync(filler)
      const { lastEventId } = recorder.writer
      const caughtUp = await commitAtLast(recorder)
      check(
        caughtUp === lastEventId,
        `when there is room everything becomes durable: ${lastEventId}, not ${String(caughtUp)}`
      )
      for (let round = 0; round < 20; round++) {
        const again = await append(recorder, 50)
        check(again === undefined, `recording goes on: ${again?.message}`)
        check(await commit(recorder) === recorder.writer.lastEventId, "commits go on")
      }
      const last = recorder.writer.lastEventId
      await close()
      const remains = await holds(directory, last)
      return `${durable} events were durable when it was full, ${lastEventId} when there was room again, ${remains.lastId} at the end`
    })
})

const fullDrain: Scenario = {
  name: "a full tmpfs, and a drain that needs the reserve",
  missing: () => mountMissing("tmpfs"),
  play: (layer) =>
    withMount("tmpfs", async (mount) => {
      const directory = join(mount.path, "wal")
      const reserveBytes = 1024 * 1024
      const { close, recorder } = await openRecorder(layer, {
        directory,
        strategy: "dropping",
        reserveBytes
      })
      fillUntil(mount.path, bytesLeft)
      const { error } = await recordUntilFailure(recorder)
      check(error.reason._tag === "DiskFull", `the error is DiskFull, not ${error.reason._tag}`)
      await append(recorder, 100_000)
      const last = recorder.writer.lastEventId
      const begun = Date.now()
      await close()
      const remains = await holds(directory, last)
      check(remains.lastId === last, `the drain wrote everything: ${last}, not ${remains.lastId}`)
      return `drained to event ${last} in ${Date.now() - begun} ms`
    })
}

// ---------------------------------------------------------------------------------------------------------------------
// a victim whose disk goes away
// ---------------------------------------------------------------------------------------------------------------------

const victimSegmentBytes = 64 * 1024
const victimLimits = { maxSegments: 3, maxCompressedSegments: 16 } as const

const victimOptions = (directory: string, layer: LayerName): VictimOptions => ({
  directory,
  layer,
  seed,
  behaviourSeed: seed,
  segmentBytesMax: victimSegmentBytes,
  giveUpMillis: 1500,
  ...victimLimits
})

/** Runs a victim to its end; it stands still while `strike` comes, after it has called so many events durable. */
const strikeAt = async (
  options: VictimOptions,
  eventId: number,
  strike: (victim: RunningVictim) => void
): Promise<Testimony> => {
  const victim = startVictim({ ...options, stopsAt: eventId })
  try {
    const isStopped = await stopped(victim, eventId)
    check(isStopped, `it got so far: ${victim.testimony.lines.at(-1)} ${victim.testimony.stderr}`)
    strike(victim)
    victim.child.kill("SIGCONT")
  } catch (error) {
    victim.kill()
    throw error
  }
  const testimony = await victim.ended
  check(!testimony.hung, `it does not hang: ${testimony.lines.at(-1)}`)
  return testimony
}

/** So many that a victim is still at work when a strike that takes a while has come. */
const eventsMax = 10_000

const failedReasons = (testimony: Testimony): string =>
  [...new Set(testimony.lines.filter((line) => line.startsWith("failed ")).map((line) => line.split(" ")[1]))].join(
    ", "
  )

const abortedJournal: Scenario = {
  name: "an ext4 that turns itself read-only",
  missing: () => mountMissing("ext4"),
  play: (layer) =>
    withMount("ext4", async (mount) => {
      const directory = join(mount.path, "wal")
      mkdirSync(directory)
      const options = victimOptions(directory, layer)
      const testimony = await strikeAt(options, 500, () => mount.remount("abort"))
      check(testimony.lines.at(-1) === "gave up", `commits fail for as long as it lasts: ${testimony.lines.at(-1)}`)
      mount.restart()
      await holds(directory, testimony.durable, victimLimits.maxCompressedSegments)
      const reopened = await reopen(options)
      await holds(directory, testimony.durable, victimLimits.maxCompressedSegments)
      return `commits failed with ${
        failedReasons(testimony)
      }; ${testimony.durable} were durable, ${reopened} were found`
    })
}

const readOnlyOpening: Scenario = {
  name: "a read-only file system at the opening",
  missing: () => mountMissing("tmpfs"),
  play: (layer) =>
    withMount("tmpfs", async (mount) => {
      const directory = join(mount.path, "wal")
      mkdirSync(directory)
      mount.remount("ro")
      const victim = startVictim(victimOptions(directory, layer))
      const testimony = await victim.ended
      const last = testimony.lines.at(-1) ?? ""
      check(testimony.exitCode === 3 && last.startsWith("error DiskError Denied "), `it is refused: ${last}`)
      check(last.includes("read-only"), `the error names a read-only file system: ${last}`)
      return last
    })
}

const removedDirectory: Scenario = {
  name: "the directory removed",
  missing: () => Promise.resolve(""),
  play: (layer) =>
    withDirectory("removed", async (directory) => {
      let durableAtRemoval = 0
      const options = victimOptions(directory, layer)
      const testimony = await strikeAt(options, 500, ({ testimony }) => {
        // In one step: files that are made meanwhile would keep a directory from being removed.
        renameSync(directory, `${directory}.removed`)
        rmSync(`${directory}.removed`, { recursive: true })
        durableAtRemoval = testimony.durable
      })
      check(testimony.lines.at(-1) === "gave up", `commits fail from then on: ${testimony.lines.at(-1)}`)
      const after = testimony.durable - durableAtRemoval
      // The open segment's file lives on without a name until it is full; no segment can be begun.
      check(after < 600, `at most the open segment still takes events, not ${after}`)
      mkdirSync(directory, { recursive: true })
      return `commits failed with ${failedReasons(testimony)}, ${after} events later`
    })
}

const movedDirectory: Scenario = {
  name: "the directory moved away and back",
  missing: () => Promise.resolve(""),
  play: (layer) =>
    withDirectory("moved", async (directory) => {
      const away = `${directory}.away`
      const options = { ...victimOptions(directory, layer), eventsMax }
      const { giveUpMillis: _, ...patient } = options
      const testimony = await strikeAt(patient, 500, () => {
        renameSync(directory, away)
        setTimeout(() => renameSync(away, directory), 1000)
      })
      check(testimony.lines.at(-1) === `end ${eventsMax}`, `it goes on: ${testimony.lines.at(-1)}`)
      await holds(directory, eventsMax, victimLimits.maxCompressedSegments)
      return `commits failed with ${failedReasons(testimony)}, and nothing was lost`
    })
}

const descriptors: Scenario = {
  name: "no file descriptors left for a while",
  missing: () =>
    Promise.resolve(spawnSync("prlimit", ["--version"]).error === undefined ? "" : "prlimit is not installed"),
  play: (layer) =>
    withDirectory("descriptors", async (directory) => {
      const { giveUpMillis: _, ...patient } = victimOptions(directory, layer)
      let durableAfter = 0
      const testimony = await strikeAt(patient, 500, (victim) => {
        const setLimit = (count: number) =>
          execFileSync("prlimit", ["--pid", String(victim.child.pid), `--nofile=${count}:4096`])
        // Nothing new can be opened; what is open stays open. Longer than a freeze is tried, so freezes are given up.
        setLimit(3)
        setTimeout(() => {
          setLimit(1024)
          durableAfter = victim.testimony.durable
          // Given up freezes are tried again at the latest after 10 seconds.
          setTimeout(victim.kill, 13_000)
        }, 3000)
      })
      check(testimony.durable > durableAfter, `recording goes on after event ${durableAfter}`)
      const remains = await holds(directory, testimony.durable, victimLimits.maxCompressedSegments)
      check(
        remains.hotSegments <= victimLimits.maxSegments &&
          coldWorth(remains, victimSegmentBytes) <= victimLimits.maxCompressedSegments,
        `retention catches up: ${remains.hotSegments} hot, ${remains.coldSegments} cold segments`
      )
      const reasons = failedReasons(testimony)
      return `commits ${
        reasons === "" ? "waited" : `failed with ${reasons}`
      }; event ${durableAfter} by then, ${testimony.durable} at the end`
    })
}

const twoRecorders: Scenario = {
  name: "two recorders on one directory",
  missing: () => Promise.resolve(""),
  play: (layer) =>
    withDirectory("two", async (directory) => {
      let second: Promise<Testimony> | undefined
      let holder: number | undefined
      const options = victimOptions(directory, layer)
      const first = await strikeAt(options, 100, (victim) => {
        holder = victim.child.pid
        second = startVictim(options).ended
        void second.then(victim.kill)
      })
      const refused = await second
      const last = refused?.lines.at(-1) ?? ""
      check(last.startsWith("error DiskError Held "), `the second is refused: ${last}`)
      check(last.includes(`process ${holder} `), `the error names the holder, ${holder}: ${last}`)
      await holds(directory, first.durable, victimLimits.maxCompressedSegments)
      await reopen(options)
      await holds(directory, first.durable, victimLimits.maxCompressedSegments)
      return last
    })
}

// ---------------------------------------------------------------------------------------------------------------------
// the clock
// ---------------------------------------------------------------------------------------------------------------------

const clockJumps: Scenario = {
  name: "a clock that jumps back and forth",
  // A thread has the clock of the machine, which is not ours to set.
  layers: ["fiber"],
  missing: () => Promise.resolve(""),
  play: () =>
    withDirectory("clock", async (directory) => {
      const { clock, set } = await Effect.runPromise(settableClock)
      const options = { directory, commit: "onTimer", flushEvery: 20 } as const
      const jumps = [-400 * dayMillis, 800 * dayMillis, -30_000 * dayMillis, 40_000 * dayMillis]
      let opened = await openRecorder("fiber", options, clock)
      for (const byMillis of [0, ...jumps]) {
        set(byMillis)
        for (let round = 0; round < 10; round++) {
          await append(opened.recorder, 40)
          const result = await commit(opened.recorder)
          check(result === opened.recorder.writer.lastEventId, `commits on a timer go on: ${String(result)}`)
        }
        const last = opened.recorder.writer.lastEventId
        await opened.close()
        await holds(directory, last)
        opened = await openRecorder("fiber", options, clock)
        check(opened.recorder.recovery.lastEventId === last, "it opens to the same event")
      }
      await opened.close()
      return `${opened.recorder.writer.lastEventId} events over jumps of ${
        jumps.map((jump) => jump / dayMillis).join(", ")
      } days`
    })
}

/** All of them. */
export const scenarios: ReadonlyArray<Scenario> = [
  full("tmpfs"),
  full("ext4"),
  fullDrain,
  abortedJournal,
  readOnlyOpening,
  removedDirectory,
  movedDirectory,
  descriptors,
  twoRecorders,
  clockJumps
]

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const wanted = process.argv[2]
  for (const scenario of scenarios.filter(({ name }) => wanted === undefined || name.includes(wanted))) {
    const missing = await scenario.missing()
    for (const layer of scenario.layers ?? layers) {
      const begun = Date.now()
      const outcome = missing !== "" ? `skipped: ${missing}` : await scenario.play(layer).catch((error: unknown) => {
        process.exitCode = 1
        return `BROKEN: ${error instanceof Error ? error.message : String(error)}`
      })
      process.stdout.write(`${scenario.name} (${layer}, ${Date.now() - begun} ms): ${outcome}\n`)
    }
  }
  // A recorder that could not be closed would keep the process.
  process.exit()
}
