/**
 * The maintainer threads that all logs of a process share; one pool for each module that threads run.
 *
 * The first log starts the first thread. Another starts while there are few (`threadsUsual`); after that the executors
 * of further logs join the threads that have fewest. The executors of one log always run in different threads, so a log
 * with more `workers` may start more. A thread ends when its last executor has ended.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { MaintainerThread } from "./MaintainerThread.ts"
import type { Occupant, ThreadDied } from "./MaintainerThread.ts"

/** So many threads start although their logs could share one. */
const threadsUsual = 3

const pools = new Map<string, Array<MaintainerThread>>()

const fewest = (threads: ReadonlyArray<MaintainerThread>): MaintainerThread | undefined =>
  threads.reduce<MaintainerThread | undefined>(
    (least, thread) => least === undefined || thread.occupied < least.occupied ? thread : least,
    undefined
  )

const begin = (module: URL): MaintainerThread => {
  const threads = pools.get(module.href) ?? []
  pools.set(module.href, threads)
  const begun = new MaintainerThread(module, () => {
    begun.stop()
    threads.splice(threads.indexOf(begun), 1)
    if (threads.length === 0) pools.delete(module.href)
  })
  threads.push(begun)
  return begun
}

const threadFor = (module: URL, log: object): MaintainerThread => {
  const threads = pools.get(module.href) ?? []
  const free = fewest(threads.filter((thread) => !thread.hosts(log)))
  return free === undefined || threads.length < threadsUsual ? begin(module) : free
}

/**
 * Runs an executor in a thread of the pool of `module`, until it dies or the scope closes. When the scope has closed,
 * the executor has ended, and so has its thread if it was the last one there.
 */
export const run = Effect.fnUntraced(function*(module: URL, occupant: Omit<Occupant, "onLeft">) {
  const left = yield* Deferred.make<void, ThreadDied>()
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      const thread = threadFor(module, occupant.log)
      const onLeft: Occupant["onLeft"] = (exit) => Deferred.doneUnsafe(left, exit)
      return { thread, end: thread.seat({ ...occupant, onLeft }) }
    }),
    Effect.fnUntraced(function*({ end, thread }) {
      end()
      yield* Effect.exit(Deferred.await(left))
      if (thread.occupied === 0) yield* thread.ended
    })
  )
  return yield* Deferred.await(left)
}) satisfies (module: URL, occupant: Omit<Occupant, "onLeft">) => Effect.Effect<void, ThreadDied, Scope.Scope>
