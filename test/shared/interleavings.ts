/**
 * An exhaustive explorer for the ring. It runs the ring's own code, not a copy of it. The ring gets memory in which
 * every access, atomic or plain, passes through `access`. For each step of an operation, the operation runs again from
 * its beginning, with the results of its earlier accesses replayed from a log. So after each single access every other
 * thread may be next, and a consumer may die. States that were seen before are not explored again. Accesses that no
 * other thread can observe are made together with the access before them: the phase, which no thread changes here, the
 * producer's tail, and the claim of a consumer that will not die any more.
 *
 * Each consumer polls a task, works on it, completes it, and so on. A consumer that died begins again by recovering its
 * claim. A state is wrong in three cases:
 *
 * - A task was worked on that was never offered, or that is torn.
 * - A task was worked on twice, although no consumer died between its work and its completion.
 * - Every thread is between two operations, and recovering the claims, offering the rest and draining the ring does not
 *   yield every task that was not worked on yet.
 */
import { xxh64 } from "../../src/internal/xxh64.ts"
import type * as TaskRing from "../../src/shared/TaskRing.ts"

/** The functions of the ring that the explorer needs; a version with a planted bug has the same shape. */
export type RingCode = Pick<
  typeof TaskRing,
  | "attach"
  | "bytesNeeded"
  | "claimUnsafe"
  | "completeUnsafe"
  | "layout"
  | "makeUnsafe"
  | "offerUnsafe"
  | "pollUnsafe"
  | "TaskRecord"
>

export interface Exploration {
  readonly states: number
  /** A description of the first fault found, or undefined. */
  readonly fault: string | undefined
}

interface Thread {
  readonly operation: "offer" | "poll" | "work" | "complete" | "claim" | "finished"
  /** The producer's next task, or the task that a consumer works on; -1 for none. */
  readonly task: number
  /** Results of the accesses that the operation has made so far. */
  readonly log: ReadonlyArray<number>
  readonly deathsLeft: number
}

interface State {
  readonly memory: Uint8Array
  /** The producer, then the consumers. */
  readonly threads: ReadonlyArray<Thread>
  readonly workedOn: ReadonlyArray<number>
  /** How often each task may be worked on: once, and once more for each death between its work and its completion. */
  readonly allowed: ReadonlyArray<number>
}

class Fault extends Error {}

const stopped = Symbol("the operation stands before its next access")

/** Gives the fields of task number `task`; each field shows the task to which it belongs. */
const fieldsOf = (task: number) => ({
  segmentIndex: task,
  slot: task + 10,
  bytes: 2 ** 40 + task,
  millis: 2 ** 41 + task
})

/** Puts an empty ring at a position, as if that many tasks had passed through it. */
export const startAt = (ring: TaskRing.TaskRing, layout: typeof TaskRing.layout, position: number): void => {
  ring.words[layout.headAt] = position
  ring.words[layout.tailAt] = position
  for (let distance = 0; distance < ring.capacity; distance++) {
    const at = (position + distance) | 0
    ring.words[ring.cellsAt + (at & ring.mask) * layout.cellWords] = (at >>> ring.shift) << 8
  }
}

const bump = (counts: ReadonlyArray<number>, at: number) =>
  counts.map((count, index) => index === at ? count + 1 : count)

export const explore = (code: RingCode, options: {
  readonly capacity: number
  readonly tasks: number
  readonly consumers: number
  /** How often each consumer may die. */
  readonly deaths: ReadonlyArray<number>
  readonly startAt: number
}): Exploration => {
  const byteLength = code.bytesNeeded(options.capacity, options.consumers)
  const buffer = new SharedArrayBuffer(byteLength)
  const memory = new Uint8Array(buffer)
  const plainRing = code.makeUnsafe(buffer, 0, { capacity: options.capacity, consumersMax: options.consumers })
  startAt(plainRing, code.layout, options.startAt)

  let log: Array<number> = []
  let replayed = 0
  let mayAccess = false
  let runsFreely = false
  let privateFrom = 0
  let privateTo = 0
  const access = (at: number, perform: () => number): number => {
    if (runsFreely) return perform()
    if (replayed < log.length) return log[replayed++]!
    if (at < privateFrom || at >= privateTo) {
      if (at !== code.layout.tailAt && at !== code.layout.phaseAt) {
        if (!mayAccess) throw stopped
        mayAccess = false
      }
    }
    const result = perform()
    log.push(result)
    replayed++
    return result
  }
  const observe = <A extends Int32Array | Float64Array>(array: A): A =>
    new Proxy(array, {
      get: (_, key) => access(Number(key) * array.BYTES_PER_ELEMENT / 4, () => array[Number(key)]!),
      set: (_, key, value: number) => {
        access(Number(key) * array.BYTES_PER_ELEMENT / 4, () => array[Number(key)] = value)
        return true
      }
    })
  const words = plainRing.words
  const ring: TaskRing.TaskRing = { ...plainRing, words: observe(words), numbers: observe(plainRing.numbers) }
  const realAtomics = globalThis.Atomics
  const observedAtomics = {
    load: (_: Int32Array, at: number) => access(at, () => realAtomics.load(words, at)),
    store: (_: Int32Array, at: number, value: number) => access(at, () => realAtomics.store(words, at, value)),
    compareExchange: (_: Int32Array, at: number, expected: number, value: number) =>
      access(at, () => realAtomics.compareExchange(words, at, expected, value))
  }

  const out = new code.TaskRecord()
  const taskIn = (record: TaskRing.Task): number => {
    const task = record.segmentIndex
    const expected = fieldsOf(task)
    const isWhole = task < options.tasks && record.slot === expected.slot && record.bytes === expected.bytes &&
      record.offeredAtMillis === expected.millis
    if (!isWhole) throw new Fault(`a task that was never offered: ${JSON.stringify(record)}`)
    return task
  }

  // Gives the thread after its next access. After an operation has ended, the next one follows.
  const advance = (thread: Thread, consumer: number): Thread => {
    log = [...thread.log]
    replayed = 0
    mayAccess = true
    const { claimsAt, claimWords } = code.layout
    privateFrom = claimsAt + claimWords * consumer
    privateTo = consumer >= 0 && thread.deathsLeft === 0 ? privateFrom + claimWords : privateFrom
    const next = (operation: Thread["operation"], task: number): Thread => ({ ...thread, operation, task, log: [] })
    try {
      switch (thread.operation) {
        case "offer": {
          const fields = fieldsOf(thread.task)
          const offered = code.offerUnsafe(ring, fields.segmentIndex, fields.slot, fields.bytes, fields.millis)
          if (!offered) return next("offer", thread.task)
          return thread.task + 1 < options.tasks ? next("offer", thread.task + 1) : next("finished", -1)
        }
        case "poll":
          return code.pollUnsafe(ring, consumer, out) ? next("work", taskIn(out)) : next("poll", -1)
        case "claim":
          return code.claimUnsafe(ring, consumer, out) ? next("work", taskIn(out)) : next("poll", -1)
        case "work":
          return next("complete", thread.task)
        case "complete":
          code.completeUnsafe(ring, consumer)
          return next("poll", -1)
        case "finished":
          return thread
      }
    } catch (error) {
      if (error !== stopped) throw error
      return { ...thread, log }
    }
  }

  const checkWork = (state: State): void => {
    for (let task = 0; task < options.tasks; task++) {
      if (state.workedOn[task]! > state.allowed[task]!) throw new Fault(`task ${task} was worked on twice`)
    }
  }

  // On a copy of the memory: every claim is recovered, the other tasks are offered, and the ring is drained.
  const checkNothingLost = (state: State): void => {
    const found = state.workedOn.map((count) => count > 0)
    runsFreely = true
    memory.set(state.memory)
    state.threads.forEach((thread, index) => {
      if (thread.operation === "work" || thread.operation === "complete") found[thread.task] = true
      if (thread.operation === "claim" && code.claimUnsafe(ring, index - 1, out)) found[taskIn(out)] = true
    })
    const producer = state.threads[0]!
    let next = producer.operation === "finished" ? options.tasks : producer.task
    let isStuck = false
    while (!isStuck) {
      isStuck = true
      const fields = fieldsOf(next)
      if (
        next < options.tasks && code.offerUnsafe(ring, fields.segmentIndex, fields.slot, fields.bytes, fields.millis)
      ) {
        next++
        isStuck = false
      }
      if (code.pollUnsafe(ring, 0, out)) {
        found[taskIn(out)] = true
        isStuck = false
      }
    }
    runsFreely = false
    const lost = found.indexOf(false)
    if (lost >= 0) throw new Fault(`task ${lost} was lost, or the ring is stuck before it`)
  }

  const seen = new Set<number>()
  const pending: Array<State> = []
  const visit = (state: State): void => {
    const rest = JSON.stringify([state.threads.map((thread) => Object.values(thread)), state.workedOn, state.allowed])
    const key = Number(BigInt.asUintN(53, xxh64(Buffer.concat([state.memory, Buffer.from(rest)]))))
    if (seen.has(key)) return
    seen.add(key)
    checkWork(state)
    if (state.threads.every((thread) => thread.log.length === 0)) checkNothingLost(state)
    pending.push(state)
  }

  globalThis.Atomics = observedAtomics as unknown as Atomics
  try {
    visit({
      memory: Uint8Array.from(memory),
      threads: [
        { operation: "offer", task: 0, log: [], deathsLeft: 0 },
        ...options.deaths.map((deathsLeft): Thread => ({ operation: "poll", task: -1, log: [], deathsLeft }))
      ],
      workedOn: Array.from({ length: options.tasks }, () => 0),
      allowed: Array.from({ length: options.tasks }, () => 1)
    })
    for (let state = pending.pop(); state !== undefined; state = pending.pop()) {
      const { allowed, threads, workedOn } = state
      for (const [index, thread] of threads.entries()) {
        if (thread.operation !== "finished") {
          memory.set(state.memory)
          const after = advance(thread, index - 1)
          visit({
            memory: Uint8Array.from(memory),
            threads: threads.with(index, after),
            workedOn: thread.operation === "work" ? bump(workedOn, thread.task) : workedOn,
            allowed
          })
        }
        if (thread.deathsLeft > 0) {
          visit({
            memory: state.memory,
            threads: threads.with(index, {
              operation: "claim",
              task: -1,
              log: [],
              deathsLeft: thread.deathsLeft - 1
            }),
            workedOn,
            allowed: thread.operation === "complete" ? bump(allowed, thread.task) : allowed
          })
        }
      }
    }
    return { states: seen.size, fault: undefined }
  } catch (error) {
    if (error instanceof Fault) return { states: seen.size, fault: error.message }
    throw error
  } finally {
    globalThis.Atomics = realAtomics
  }
}
