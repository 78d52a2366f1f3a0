/** Counts what is asked of a store. */
import type { StoreOperation, StoreUsage } from "./ObjectStore.ts"

/** The figures of one layer. */
export class UsageCounter {
  readonly #requests: Record<StoreOperation, number> = { put: 0, get: 0, head: 0, list: 0, remove: 0 }
  #sentBytes = 0
  #receivedBytes = 0

  /** Counts a request, and the content that it sends. */
  request(operation: StoreOperation, sentBytes = 0): void {
    this.#requests[operation]++
    this.#sentBytes += sentBytes
  }

  /** Counts content that arrived. */
  received(bytes: number): void {
    this.#receivedBytes += bytes
  }

  get usage(): StoreUsage {
    return { requests: { ...this.#requests }, sentBytes: this.#sentBytes, receivedBytes: this.#receivedBytes }
  }
}
