/**
 * The simulated disk as the threads of one process see it. Every operation and its outcome goes into the trace. What a
 * thread has open is closed when the thread is killed, and all of it, the locks too, when the process is: as an
 * operating system does it, without asking the program.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Disk, DiskFile } from "../../src/disk/Disk.ts"
import type { SimulatedDisk } from "../../src/testing/SimulatedDisk.ts"
import type { Trace } from "./Trace.ts"

/** A disk in the hands of one thread. */
export interface ThreadDisk {
  readonly disk: Disk["Service"]
  /** The thread is gone: closes what it had open. */
  readonly abandon: () => void
  /** The operation that is so many away dies with a defect, before or after it has its effect. */
  readonly dieAfter: (operations: number, isAfter: boolean) => void
}

/** Is told of what executors have changed in the directory, of what they have given up, and of holds that begin and end. */
export interface DirectoryListener {
  readonly gaveUp: (segmentIndex: number) => void
  readonly held: (change: 1 | -1) => void
  readonly renamed: (to: string) => void
  readonly nameGone: (path: string) => void
  readonly closed: (segmentIndex: number, hasEvents: boolean, lastEventId: number) => void
}

/** The defect of an executor that dies in the middle of an operation. */
export class ExecutorDeath extends Error {
  override readonly name = "ExecutorDeath"
  override readonly message = "the simulated executor dies here"
}

export const makeThreadDisk = (options: {
  readonly simulated: SimulatedDisk["Service"]
  readonly trace: Trace
  readonly who: string
  readonly onPowerOff: () => void
  /** A lock is about to be given back, which a kill must find done or not begun. */
  readonly onRelease: () => void
  readonly listener: DirectoryListener | undefined
}): ThreadDisk => {
  const { listener, onPowerOff, simulated, trace, who } = options
  const openFiles = new Set<DiskFile>()
  const locks = Scope.makeUnsafe()
  let operationsLeft = Number.POSITIVE_INFINITY
  let diesAfter = false
  let isDying = false

  const disk = simulated.viewedBy({
    begin: (operation, path) => {
      operationsLeft -= 1
      if (operationsLeft > 0) return undefined
      operationsLeft = Number.POSITIVE_INFINITY
      isDying = diesAfter
      if (isDying) return undefined
      trace.add(`${who} ${operation} ${path}: dies before it`)
      return new ExecutorDeath()
    },
    end: (operation, path, detail, outcome) => {
      trace.add(`${who} ${operation} ${path}${detail}: ${outcome}`)
      if (outcome === "power off") onPowerOff()
      if (outcome === "ok" && operation === "rename") listener?.renamed(detail.slice(1))
      // A segment is deleted when its name goes, although its file has another one for a moment.
      if (outcome === "ok" && (operation === "unlink" || operation === "rename")) listener?.nameGone(path)
      if (!isDying || outcome === "power off") return undefined
      isDying = false
      return new ExecutorDeath()
    }
  })

  const noteOpen = (file: DiskFile): DiskFile => {
    const noted: DiskFile = {
      ...file,
      close: Effect.suspend(() => {
        openFiles.delete(noted)
        return file.close
      })
    }
    openFiles.add(noted)
    return noted
  }

  return {
    disk: {
      ...disk,
      open: (path, mode) => Effect.uninterruptible(Effect.map(disk.open(path, mode), noteOpen)),
      lock: (path) =>
        Effect.gen(function*() {
          const held = Scope.forkUnsafe(locks)
          yield* Scope.provide(disk.lock(path), held)
          yield* Effect.addFinalizer((exit) =>
            Effect.suspend(() => {
              options.onRelease()
              return Scope.close(held, exit)
            })
          )
        }).pipe(Effect.uninterruptible)
    },
    abandon: () => {
      for (const file of openFiles) Effect.runFork(file.close)
      openFiles.clear()
      Effect.runFork(Scope.close(locks, Exit.void))
    },
    dieAfter: (operations, isAfter) => {
      operationsLeft = operations
      diesAfter = isAfter
    }
  }
}
