/** Who follows which store: what is published for a store goes to everybody who has subscribed to it by then. */
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"

export class Feeds<A> {
  readonly #feeds = new Map<string, { readonly pubsub: PubSub.PubSub<A>; subscribers: number }>()

  /** Ends with the scope. */
  subscribe(store: string): Effect.Effect<PubSub.Subscription<A>, never, Scope.Scope> {
    const join = Effect.gen({ self: this }, function*() {
      const fresh = yield* PubSub.unbounded<A>()
      const feed = this.#feeds.get(store) ?? { pubsub: fresh, subscribers: 0 }
      feed.subscribers += 1
      this.#feeds.set(store, feed)
      return feed
    })
    return Effect.acquireRelease(join, (feed) =>
      Effect.suspend(() => {
        feed.subscribers -= 1
        if (feed.subscribers > 0) return Effect.void
        this.#feeds.delete(store)
        return PubSub.shutdown(feed.pubsub)
      })).pipe(Effect.flatMap(({ pubsub }) => PubSub.subscribe(pubsub)))
  }

  publish(store: string, values: Iterable<A>): void {
    const pubsub = this.#feeds.get(store)?.pubsub
    if (pubsub !== undefined) { for (const value of values) PubSub.publishUnsafe(pubsub, value) }
  }

  /** Everybody is told that nothing follows. */
  readonly shutdown: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach([...this.#feeds.values()], ({ pubsub }) => PubSub.shutdown(pubsub), { discard: true })
  )
}
