/**
 * Connects the threads that compress to the one compressing thread of a module. It lives in the thread that opens logs:
 * that one starts the compressing thread, replaces it when it must leave the idle class, and ends it when no thread has
 * a line to it any more.
 */
import { messageOf } from "../../internal/messageOf.ts"
import { CompressingThread } from "./CompressingThread.ts"
import type { LineEnd } from "./CompressingThread.ts"

/** A thread that asks, as the exchange knows it. */
export interface Subscriber {
  /** Gives it a line, which takes the place of an earlier one. */
  readonly connect: (line: LineEnd) => void
  /** The thread at the other end of a line has ended; it may have been a line that was replaced. */
  readonly disconnect: (thread: number, error: Error) => void
  /** No thread can be started for it. */
  readonly refuse: (error: Error) => void
}

/** What a subscriber can ask of the exchange. */
export interface Subscription {
  /** Asks for a line to another thread than this one; 0: to any. `connect` follows, or `refuse`. */
  readonly want: (thread: number) => void
  /** It asks for nothing any more, and closes its lines. */
  readonly end: () => void
}

const exchanges = new Map<string, CompressorExchange>()

export class CompressorExchange {
  readonly #module: URL | undefined
  /** With the thread to which it has a line, or had one; 0: none yet. */
  readonly #subscribers = new Map<Subscriber, number>()
  #current: CompressingThread | undefined

  private constructor(module: URL | undefined) {
    this.#module = module
  }

  /** The exchange of this thread whose compressing thread runs `module`. Without a module it refuses. */
  static of(module: URL | undefined): CompressorExchange {
    const name = module?.href ?? ""
    const exchange = exchanges.get(name) ?? new CompressorExchange(module)
    exchanges.set(name, exchange)
    return exchange
  }

  subscribe(subscriber: Subscriber): Subscription {
    this.#subscribers.set(subscriber, 0)
    return {
      want: (thread) => {
        try {
          if (this.#current?.number === thread) this.#replace(this.#current)
          this.#connect(subscriber, this.#current ??= this.#begin(0))
        } catch (cause) {
          subscriber.refuse(new Error(messageOf(cause)))
        }
      },
      end: () => {
        this.#subscribers.delete(subscriber)
        const current = this.#current
        if (current === undefined || [...this.#subscribers.values()].includes(current.number)) return
        this.#current = undefined
        current.retire()
      }
    }
  }

  /** Begins another thread; whatever has a line to the present one gets a line to the other. */
  #replace(present: CompressingThread): void {
    present.retire()
    const next = this.#begin(present.priority.piecesLeft)
    this.#current = next
    for (const [subscriber, thread] of this.#subscribers) {
      if (thread === present.number) this.#connect(subscriber, next)
    }
  }

  #connect(subscriber: Subscriber, thread: CompressingThread): void {
    if (this.#subscribers.get(subscriber) === thread.number) return
    this.#subscribers.set(subscriber, thread.number)
    subscriber.connect(thread.connect())
  }

  #begin(piecesLeft: number): CompressingThread {
    if (this.#module === undefined) {
      throw new Error(
        "the application's bundle has no effect-wal/compressorThread beside it, see Bundled applications in " +
          "docs/OPERATIONS.md"
      )
    }
    const begun = new CompressingThread(this.#module, piecesLeft, (error) => {
      if (this.#current === begun) this.#current = undefined
      for (const subscriber of this.#subscribers.keys()) subscriber.disconnect(begun.number, error)
    })
    return begun
  }
}
