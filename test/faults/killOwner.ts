/**
 * Takes a replicated log over, again and again: two recorders with a directory each and one store take turns under load.
 * The owner is killed (SIGKILL), put to sleep (SIGSTOP), cut off from the store, or nothing happens to him. The other one
 * opens the log, at once or as a standby, and goes on. Then the sleeper wakes, and the link is there again. In between, an
 * opening is killed or put to sleep in the middle.
 *
 * ```text
 * node test/faults/killOwner.ts --takeovers 500 --layer fiber|worker --store directory|s3 [--seed S]
 * node tools/radosgw.ts node test/faults/killOwner.ts --store s3      the same in a bucket of Ceph
 * ```
 *
 * What the processes tell is held together by an `OwnerWitness`: each owner tells what it reads of those before it. After
 * each takeover the store alone is read as well, by a machine that never wrote. In the end a third machine opens the log,
 * reads all of it and closes it in order, and all of it is read once more from the store alone. In a bucket each recorder
 * has a bad network of its own. A seed repeats what is planned; the moments themselves are the machine's.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { randomUUID } from "node:crypto"
import { mkdirSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { setTimeout as delay } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import * as ArchiveDisk from "../../src/archive/ArchiveDisk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Replay from "../../src/reading/Replay.ts"
import * as AwsEnvironment from "../../src/s3/AwsEnvironment.ts"
import * as S3Store from "../../src/s3/S3Store.ts"
import * as DirectoryStore from "../../src/store/DirectoryStore.ts"
import type { ObjectStore } from "../../src/store/ObjectStore.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import { program } from "../programs.ts"
import { startProxy } from "../store/nastyProxy.ts"
import type { NastyProxy } from "../store/nastyProxy.ts"
import { startServer } from "../store/S3Server.ts"
import { hangMillis, withDirectory } from "./harness.ts"
import { ownedLog, ownedName } from "./ownedEvents.ts"
import type { OwnerOptions } from "./ownerVictim.ts"
import { OwnerWitness } from "./OwnerWitness.ts"

type Fault = "kill" | "sleep" | "cut" | "none"

/** From the fault to the next acknowledged commit, in milliseconds. */
interface Gaps {
  readonly count: number
  readonly p50: number
  readonly max: number
}

/** What many takeovers came to. */
export interface TakeoverReport {
  readonly takeovers: number
  readonly faults: Readonly<Record<Fault, number>>
  /** Openings that were killed, or put to sleep, in the middle. */
  readonly openings: { readonly killed: number; readonly slept: number }
  /** Standbys that took over before anything had happened to the owner. */
  readonly early: number
  readonly events: number
  /** Of owners that were killed: by a standby that waits for a second, and by a process that was started then. */
  readonly gaps: { readonly standby: Gaps; readonly started: Gaps }
  readonly millis: number
}

interface TakeoverOptions {
  readonly takeovers: number
  readonly layer: "fiber" | "worker"
  readonly store: "directory" | "s3"
  readonly seed: number
  readonly onTakeover?: (done: number, lastId: number) => void
}

/** Where a recorder is: its directory, its store as it sees it, and its network. */
interface Place {
  readonly directory: string
  readonly store: OwnerOptions["store"]
  readonly network: NastyProxy | undefined
}

/** Two places, a third for the end, and the store as a reader sees it. */
interface Scene {
  readonly places: readonly [Place, Place, Place]
  readonly environment: Readonly<Record<string, string>>
  readonly stored: Layer.Layer<ObjectStore, unknown>
}

/** A bad network does something to so many requests. */
const networkRate = 0.03
/** An owner records for so long before something happens to him. */
const recordingMillisMax = 400
/** Opening takes about so long, with the start of the process. */
const openingMillisMax = 1500
/** So many acknowledgements show that an owner records. */
const answersWanted = 5

const inDirectory = (root: string): Scene => {
  const directory = join(root, "store")
  mkdirSync(directory)
  const place = (name: string): Place => ({ directory: join(root, name), store: { directory }, network: undefined })
  return {
    places: [place("one"), place("two"), place("three")],
    environment: {},
    stored: Layer.provide(DirectoryStore.layer({ directory }), NodeDisk.layer)
  }
}

/** In the bucket of the environment, or of the tests' own server. */
const inBucket = Effect.fnUntraced(function*(
  root: string,
  seed: number
): Effect.fn.Return<Scene, AwsEnvironment.AwsEnvironmentError, Scope.Scope> {
  const given = process.env["EFFECT_WAL_S3_URL"]
  const own = { AWS_ACCESS_KEY_ID: "wal", AWS_SECRET_ACCESS_KEY: "walwalwal" }
  const url = given === undefined ? "s3://wal/logs" : `${given}/${randomUUID()}`
  const endpoint = given === undefined
    ? (yield* startServer({ bucket: "wal" })).endpoint
    : (yield* Effect.provide(AwsEnvironment.endpoint, NodeFileSystem.layer))!
  const environment = given === undefined ? own : {}
  Object.assign(process.env, environment)
  const place = Effect.fnUntraced(function*(name: string, seed: number) {
    const network = yield* startProxy(endpoint, seed)
    network.rate = networkRate
    const place: Place = { directory: join(root, name), store: { url, endpoint: network.endpoint }, network }
    return place
  })
  return {
    places: [yield* place("one", seed), yield* place("two", seed + 1), yield* place("three", seed + 2)],
    environment,
    stored: S3Store.layer({ url, endpoint, credentials: AwsEnvironment.credentials }).pipe(
      Layer.provide([FetchHttpClient.layer, NodeFileSystem.layer])
    )
  }
})

/** One process. */
class Life {
  readonly child: ChildProcess
  readonly ended: Promise<void>
  isStandingBy = false
  isOpen = false
  hasEnded = false
  isKilled = false
  answers = 0
  firstAnswerAt = 0
  readonly place: Place
  readonly options: OwnerOptions
  #stderr = ""

  constructor(place: Place, options: OwnerOptions, scene: Scene, witness: OwnerWitness) {
    this.place = place
    this.options = options
    this.child = spawn(process.execPath, [program("ownerVictim"), JSON.stringify(options)], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...scene.environment }
    })
    this.child.stderr!.on("data", (data) => {
      this.#stderr = (this.#stderr + String(data)).slice(-20_000)
    })
    let broken: unknown
    createInterface({ input: this.child.stdout! }).on("line", (line) => {
      if (line === "standing by") this.isStandingBy = true
      if (line.startsWith("open ")) this.isOpen = true
      if (line.startsWith("replicated ")) {
        if (this.answers === 0) this.firstAnswerAt = performance.now()
        this.answers += 1
      }
      try {
        witness.hear(line, options.life)
      } catch (cause) {
        broken ??= cause
        this.child.kill("SIGKILL")
      }
    })
    this.ended = new Promise((resolve, reject) => {
      this.child.once("error", reject)
      this.child.once("close", (code) => {
        this.hasEnded = true
        if (broken !== undefined) reject(broken)
        else if (code !== (this.isKilled ? null : 0)) {
          reject(new Error(`life ${options.life} ended with ${code}\n${this.#stderr}`))
        } else resolve()
      })
    })
    // Whoever waits for it gets the failure.
    this.ended.catch(() => {})
  }

  kill(): void {
    this.isKilled = true
    this.child.kill("SIGKILL")
  }

  /**
   * Puts it to sleep, in whatever it is doing. But for one thing: a store in a directory has locks, and nobody gets past
   * one whose holder sleeps.
   */
  async sleep(): Promise<void> {
    while (!this.hasEnded) {
      this.child.kill("SIGSTOP")
      // Until all of its threads stand still.
      await delay(20)
      if (!this.#holdsLock()) return
      this.wake()
      await delay(5)
    }
  }

  #holdsLock(): boolean {
    const { store } = this.options
    if (!("directory" in store)) return false
    const locks = readdirSync(join(store.directory, ".unfinished"))
    return locks.some((name) => name.includes(".lock.") && name.split(".").includes(String(this.child.pid)))
  }

  wake(): void {
    this.child.kill("SIGCONT")
  }

  /** Waits until something is so; fails when the process ends before, or when nothing happens. */
  async until(what: string, isSo: () => boolean): Promise<void> {
    const begun = performance.now()
    while (!isSo()) {
      if (this.hasEnded) await this.ended
      if (this.hasEnded) throw new Error(`life ${this.options.life} ended, and ${what} did not happen`)
      if (performance.now() - begun > hangMillis) {
        throw new Error(`life ${this.options.life}: ${what} did not happen\n${this.#stderr}`)
      }
      await delay(2)
    }
  }
}

/** Takes over so often; throws with the first promise that is broken. */
export const killOwner = (options: TakeoverOptions): Promise<TakeoverReport> =>
  withDirectory(`kill-owner-${options.store}-${options.layer}-${options.seed}`, (directory) => {
    const root = join(directory, "..")
    return Effect.gen(function*() {
      const scene = options.store === "directory" ? inDirectory(root) : yield* inBucket(root, options.seed)
      const turns = new Turns(options, scene)
      yield* Effect.addFinalizer(() => Effect.sync(() => turns.killAll()))
      return yield* Effect.promise(() => turns.run())
    }).pipe(Effect.scoped, Effect.runPromise)
  })

class Turns {
  readonly options: TakeoverOptions
  readonly scene: Scene
  readonly #witness = new OwnerWitness()
  readonly #random: SeededRandom
  readonly #lives: Array<Life> = []
  readonly #faults: Record<Fault, number> = { kill: 0, sleep: 0, cut: 0, none: 0 }
  readonly #openings = { killed: 0, slept: 0 }
  readonly #gaps: { readonly standby: Array<number>; readonly started: Array<number> } = { standby: [], started: [] }
  #early = 0

  constructor(options: TakeoverOptions, scene: Scene) {
    this.options = options
    this.scene = scene
    this.#random = new SeededRandom(options.seed)
  }

  killAll(): void {
    for (const life of this.#lives) if (!life.hasEnded) life.kill()
  }

  async run(): Promise<TakeoverReport> {
    const { onTakeover, takeovers } = this.options
    const begun = performance.now()
    let owner = this.#start(this.scene.places[0])
    await this.#records(owner)
    for (let done = 1; done <= takeovers; done++) {
      try {
        if (this.#random.chance(0.25)) owner = await this.#disturbOpening(owner)
        owner = await this.#takeOver(owner)
        await this.#readStore(Math.max(1, this.#witness.lastId - 2000))
      } catch (cause) {
        throw new Error(`takeover ${done}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
      }
      onTakeover?.(done, this.#witness.lastId)
    }
    await this.#end(owner)
    return {
      takeovers,
      faults: this.#faults,
      openings: this.#openings,
      early: this.#early,
      events: this.#witness.lastId,
      gaps: { standby: gapsOf(this.#gaps.standby), started: gapsOf(this.#gaps.started) },
      millis: Math.round(performance.now() - begun)
    }
  }

  #start(place: Place, given: Partial<OwnerOptions> = {}): Life {
    const { layer, seed } = this.options
    const { directory, store } = place
    const number = this.#lives.length + 1
    const life = new Life(
      place,
      { directory, store, layer, seed, life: number, standsBy: false, closes: false, ...given },
      this.scene,
      this.#witness
    )
    this.#lives.push(life)
    return life
  }

  #elsewhere({ place }: Life): Place {
    const [one, two] = this.scene.places
    return place === one ? two : one
  }

  /** Waits until this owner acknowledges more. */
  async #records(life: Life): Promise<void> {
    const wanted = life.answers + answersWanted
    await life.until("an acknowledgement", () => life.answers >= wanted)
  }

  /** Of two that want the log, one ends. The other one records. */
  async #settle(one: Life, other: Life): Promise<Life> {
    const waiting = Promise.race([one.ended, other.ended])
    await Promise.race([waiting, delay(hangMillis, undefined, { ref: false })])
    await Promise.all([one, other].filter(({ hasEnded }) => hasEnded).map(({ ended }) => ended))
    if (one.hasEnded === other.hasEnded) {
      const what = one.hasEnded ? "both have ended" : "both go on"
      throw new Error(`lives ${one.options.life} and ${other.options.life} want the log, and ${what}`)
    }
    const left = one.hasEnded ? other : one
    await this.#records(left)
    if (this.#witness.owner !== left.options.life) throw new Error(`life ${left.options.life} records, and is no owner`)
    return left
  }

  /** Opens the log elsewhere, and kills that, or puts it to sleep for a while, before it is done, or soon after. */
  async #disturbOpening(owner: Life): Promise<Life> {
    const opening = this.#start(this.#elsewhere(owner))
    await delay(this.#random.below(openingMillisMax))
    if (this.#random.chance(0.5)) {
      this.#openings.killed += 1
      opening.kill()
      await opening.ended
      return await this.#goOn(owner)
    }
    this.#openings.slept += 1
    await opening.sleep()
    const goesOn = await this.#goOn(owner)
    opening.wake()
    return await this.#settle(opening, goesOn)
  }

  /** An owner that may have been fenced meanwhile: he goes on, or is started anew. */
  async #goOn(owner: Life): Promise<Life> {
    const wanted = owner.answers + answersWanted
    const hasShown = async () => {
      while (!owner.hasEnded && owner.answers < wanted) await delay(2)
    }
    await Promise.race([hasShown(), delay(hangMillis, undefined, { ref: false })])
    if (!owner.hasEnded) return owner
    await owner.ended
    const again = this.#start(owner.place)
    await this.#records(again)
    return again
  }

  async #takeOver(owner: Life): Promise<Life> {
    const { network } = owner.place
    const possible: ReadonlyArray<Fault> = [
      "kill",
      "kill",
      "sleep",
      "sleep",
      "none",
      ...network === undefined ? [] : ["cut", "cut"] as const
    ]
    const fault = possible[this.#random.below(possible.length)]!
    // A standby waits for ever beside an owner to whom nothing happens.
    const standsBy = fault !== "none" && this.#random.chance(0.5)
    const millis = this.#random.below(recordingMillisMax)
    const standby = standsBy ? this.#start(this.#elsewhere(owner), { standsBy }) : undefined
    if (standby !== undefined) await standby.until("standing by", () => standby.isStandingBy)
    await delay(millis)
    const isEarly = standby?.isOpen === true || owner.hasEnded
    const at = performance.now()
    if (isEarly) this.#early += 1
    else {
      this.#faults[fault] += 1
      if (fault === "kill") owner.kill()
      else if (fault === "sleep") await owner.sleep()
      else if (fault === "cut") network!.isCut = true
    }
    const successor = standby ?? this.#start(this.#elsewhere(owner))
    await this.#records(successor)
    if (fault === "kill" && !isEarly) {
      this.#gaps[standsBy ? "standby" : "started"].push(successor.firstAnswerAt - at)
      await owner.ended
      return successor
    }
    if (fault === "cut") network!.isCut = false
    owner.wake()
    return await this.#settle(owner, successor)
  }

  /** What the store alone has, from an event on: everything that was acknowledged before. */
  async #readStore(from: number): Promise<void> {
    const known = [...this.#witness.acknowledged].filter(([id]) => id >= from)
    const { seed } = this.options
    const names: Array<string> = []
    await Replay.events({ directory: ArchiveDisk.shownDirectory(ownedLog), from: { id: from } }).pipe(
      Stream.runForEach(({ bytes, id }) =>
        Effect.sync(() => {
          if (id !== from + names.length) throw new Error(`event ${id} where ${from + names.length} should be`)
          names.push(ownedName(seed, bytes) ?? "something else")
        })
      ),
      Effect.provide(ArchiveDisk.layer({ log: ownedLog })),
      Effect.provide(Layer.merge(this.scene.stored, NodeDisk.layer)),
      Effect.runPromise
    )
    this.#witness.compare(from, names, "the store")
    const missing = known.find(([id]) => id >= from + names.length)
    if (missing !== undefined) throw new Error(`event ${missing[0]} was acknowledged, and the store does not have it`)
    if (new Set(names).size < names.length) throw new Error("the store has an event twice")
  }

  async #end(owner: Life): Promise<void> {
    owner.kill()
    await owner.ended
    const last = this.#start(this.scene.places[2], { closes: true })
    await last.until("the end", () => last.hasEnded)
    await last.ended
    await this.#readStore(1)
  }
}

const gapsOf = (millis: ReadonlyArray<number>): Gaps => {
  const sorted = [...millis].sort((left, right) => left - right)
  return {
    count: sorted.length,
    p50: Math.round(sorted[Math.floor(sorted.length / 2)] ?? 0),
    max: Math.round(sorted.at(-1) ?? 0)
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      takeovers: { type: "string", default: "500" },
      layer: { type: "string", default: "worker" },
      store: { type: "string", default: "directory" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) }
    }
  })
  const layer = values.layer === "fiber" ? "fiber" : "worker"
  const store = values.store === "s3" ? "s3" : "directory"
  process.stdout.write(`seed ${values.seed}, ${layer} layer, store: ${store}\n`)
  const report = await killOwner({
    takeovers: Number(values.takeovers),
    layer,
    store,
    seed: Number(values.seed),
    onTakeover: (done, lastId) => {
      if (done % 10 === 0) process.stdout.write(`${done} takeovers, ${lastId} events\n`)
    }
  })
  process.stdout.write(`${JSON.stringify(report)}\n`)
}
