/**
 * A maintainer thread, seen from the thread that has started it. Executors of any number of logs run in it, each on a
 * seat of its own. An executor that dies of a defect leaves its seat, and no other notices. When the thread itself
 * dies, all its seats are left.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { Worker } from "node:worker_threads"
import { findThreadModule } from "../../disk/ThreadModule.ts"
import { threadFlags } from "../../internal/threadFlags.ts"
import { CompressorExchange } from "../compressor/CompressorExchange.ts"
import type { Subscription } from "../compressor/CompressorExchange.ts"
import type { StepOutcome } from "../steps/StepOutcome.ts"
import type { FromThread, SeatData, ToThread } from "./ThreadMessages.ts"

/**
 * A freeze allocates some 25 KiB of short-lived objects per MiB (fibers and views). Without this limit the thread's
 * heap grows by 20 to 30 MiB while it freezes 1 GiB.
 */
const maxYoungGenerationSizeMb = 3

/** A maintainer thread ended without being asked to. */
export class ThreadDied extends Schema.TaggedError<ThreadDied>()("ThreadDied", {
  exitCode: Schema.Int,
  cause: Schema.optional(Schema.Defect())
}) {
  override get message(): string {
    return `a maintainer thread ended with code ${this.exitCode}${
      this.cause === undefined ? "" : `: ${String(this.cause)}`
    }`
  }
}

/** An executor on a seat. */
export interface Occupant {
  /** The same object for all executors of a log. */
  readonly log: object
  readonly data: SeatData
  readonly emit: (outcome: StepOutcome) => void
  readonly warn: (message: string) => void
  /** Called once, when the seat is left, after everything else. */
  readonly onLeft: (exit: Exit.Exit<void, ThreadDied>) => void
}

let seatsEver = 0

export class MaintainerThread {
  readonly #module: URL
  readonly #onUnused: () => void
  readonly #worker: Worker
  readonly #seats = new Map<number, Occupant>()
  #compressor: Subscription | undefined
  #cause: unknown
  #whenEnded: Array<() => void> = []
  #hasEnded = false

  /** `onUnused` is called when the last seat is left, by the death of the thread too. */
  constructor(module: URL, onUnused: () => void) {
    this.#module = module
    this.#onUnused = onUnused
    this.#worker = new Worker(module, {
      ...threadFlags(),
      name: "wal-maintainer",
      resourceLimits: { maxYoungGenerationSizeMb }
    })
    this.#worker.on("message", (message: FromThread) => this.#take(message))
    this.#worker.once("error", (error) => {
      this.#cause = error
    })
    this.#worker.once("exit", (exitCode) => this.#onExit(exitCode))
  }

  /** How many seats are taken. */
  get occupied(): number {
    return this.#seats.size
  }

  /** Whether an executor of this log has a seat here. */
  hosts(log: object): boolean {
    return [...this.#seats.values()].some((occupant) => occupant.log === log)
  }

  /** Begins an executor. The function that it gives asks it to end; `onLeft` follows. */
  seat(occupant: Occupant): () => void {
    const seat = ++seatsEver
    this.#seats.set(seat, occupant)
    this.#send({ _tag: "Begin", seat, data: occupant.data })
    return () => {
      if (this.#seats.has(seat)) this.#send({ _tag: "End", seat })
    }
  }

  /** Ends the thread, on which there must be no seat any more. */
  stop(): void {
    this.#send({ _tag: "Stop" })
  }

  /** Waits until the thread has ended. */
  readonly ended: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.#hasEnded) return resume(Effect.void)
    this.#whenEnded.push(() => resume(Effect.void))
  })

  #send(message: ToThread): void {
    this.#worker.postMessage(message, message._tag === "CompressorLine" ? [message.line.port] : [])
  }

  #take(message: FromThread): void {
    switch (message._tag) {
      case "Outcome":
        return this.#seats.get(message.seat)?.emit(message.outcome)
      case "Warning":
        return this.#seats.get(message.seat)?.warn(message.message)
      case "Ended":
        return this.#leave(message.seat, message.defect === undefined ? Exit.void : Exit.die(new Error(message.defect)))
      case "CompressorWanted":
        this.#compressor ??= CompressorExchange.of(this.#compressorModule()).subscribe({
          connect: (line) => this.#send({ _tag: "CompressorLine", line }),
          disconnect: (thread, error) => this.#send({ _tag: "CompressorEnded", thread, error }),
          refuse: (error) => this.#send({ _tag: "CompressorRefused", error })
        })
        return this.#compressor.want(message.thread)
    }
  }

  /** Beside the module of this thread; an application's own module may have none beside it. */
  #compressorModule(): URL | undefined {
    return findThreadModule("compressorThread", this.#module.href) ??
      findThreadModule("compressorThread", import.meta.url)
  }

  #leave(seat: number, exit: Exit.Exit<void, ThreadDied>): void {
    const occupant = this.#seats.get(seat)
    this.#seats.delete(seat)
    if (this.#seats.size === 0) this.#onUnused()
    occupant?.onLeft(exit)
  }

  #onExit(exitCode: number): void {
    this.#hasEnded = true
    this.#compressor?.end()
    const died = Exit.fail(new ThreadDied({ exitCode, cause: this.#cause }))
    for (const seat of this.#seats.keys()) this.#leave(seat, died)
    for (const resume of this.#whenEnded) resume()
  }
}
