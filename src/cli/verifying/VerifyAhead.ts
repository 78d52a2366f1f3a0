/**
 * A second thread for `verify`: it verifies every other segment, each by itself, ahead of the command's own thread.
 * That one walks over the segments in order, compares each with the one before, and takes what the other thread has
 * found. It verifies for itself what the other thread has not begun, and what is not whole. So the report is the same
 * with and without the thread, also when the thread cannot start or dies.
 *
 * Each thread has the memory of one segment being read. Only what a segment turned out to be is passed on.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { availableParallelism } from "node:os"
import { Worker } from "node:worker_threads"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { findThreadModule } from "../../disk/ThreadModule.ts"
import { threadFlags } from "../../internal/threadFlags.ts"
import type { CheckAhead, CheckedAhead } from "../../reading/recovery/Verify.ts"

/** A thread takes about half a second of a processor to start, which a short verification does not need. */
const firstMillis = 500

/** What the thread is to verify, in this order. */
export interface VerifyTask {
  readonly files: ReadonlyArray<SegmentFile>
  /** For each file who has begun with it. Shared. */
  readonly begun: Int32Array
}

/** What the thread answers for each file that it began with; `undefined` when the other one is to verify it. */
export interface VerifyAnswer {
  readonly at: number
  readonly checked: CheckedAhead | undefined
}

/** Who has begun with a file. */
const nobody = 0
const thread = 1
const walk = 2

/** Begins with a file in the second thread, unless the walk has. */
export const begin = ({ begun }: VerifyTask, at: number): boolean =>
  Atomics.compareExchange(begun, at, nobody, thread) === nobody

/** Makes the second thread of one verification; it ends with the scope. */
export const checkAhead: CheckAhead = Effect.fnUntraced(function*(files) {
  if (availableParallelism() < 2) return () => Effect.undefined
  const startMillis = performance.now()
  const task: VerifyTask = {
    files: files.filter((_, at) => at % 2 === 1),
    begun: new Int32Array(new SharedArrayBuffer(4 * files.length))
  }
  const answers = task.files.map(() => Deferred.makeUnsafe<CheckedAhead | undefined>())
  const places = new Map(task.files.map(({ path }, at) => [path, at]))
  let worker: Worker | undefined
  yield* Effect.addFinalizer(() => Effect.promise(async () => worker?.terminate()))

  const start = (): void => {
    const module = findThreadModule("verifyThread", import.meta.url)
    if (module === undefined) return
    const started = new Worker(module, {
      ...threadFlags(),
      name: "wal-verify",
      workerData: task
    })
    worker = started
    started.on("message", ({ at, checked }: VerifyAnswer) => {
      Deferred.doneUnsafe(answers[at]!, Effect.succeed(checked))
    })
    // Its end follows.
    started.on("error", () => {})
    started.on("exit", () => {
      for (const answer of answers) Deferred.doneUnsafe(answer, Effect.undefined)
    })
  }

  let isTried = false
  return (file) =>
    Effect.suspend(() => {
      const at = places.get(file.path)
      if (!isTried && performance.now() - startMillis >= firstMillis) {
        isTried = true
        // Node may refuse threads, as its permission model does.
        Result.try(start)
      }
      if (at === undefined || Atomics.compareExchange(task.begun, at, nobody, walk) !== thread) return Effect.undefined
      return Deferred.await(answers[at]!)
    })
})
