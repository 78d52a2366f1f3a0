/**
 * The simulated disk as the threads of one process see it. Every operation and its outcome goes into the trace. What a
 * thread has open is closed when the thread is killed, and all of it, the locks too, when the process is: as an
 * operating system does it, without asking the program.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Disk, DiskError, DiskFile } from "../../src/disk/Disk.ts"
import { isPowerOff } from "../../src/testing/SimulatedDisk.ts"
import type { Trace } from "./Trace.ts"

/** A disk in the hands of one thread. */
export interface ThreadDisk {
  readonly disk: Disk["Service"]
  /** The thread is gone: closes what it had open. */
  readonly abandon: () => void
  /** The operation that is so many away dies with a defect, before or after it has its effect. */
  readonly dieAfter: (operations: number, isAfter: boolean) => void
}

/** Is told of what executors have changed in the directory, and of what they have given up. */
export interface DirectoryListener {
  readonly gaveUp: (segmentIndex: number) => void
  readonly renamed: (to: string) => void
  readonly unlinked: (path: string) => void
}

/** The defect of an executor that dies in the middle of an operation. */
export class ExecutorDeath extends Error {
  override readonly name = "ExecutorDeath"
  override readonly message = "the simulated executor dies here"
}

export const makeThreadDisk = (
  disk: Disk["Service"],
  trace: Trace,
  who: string,
  onPowerOff: () => void,
  listener?: DirectoryListener
): ThreadDisk => {
  const openFiles = new Set<DiskFile>()
  const locks = Scope.makeUnsafe()
  let operationsLeft = Number.POSITIVE_INFINITY
  let diesAfter = false

  const outcomeOf = <A, E>(exit: Exit.Exit<A, E>): string => {
    if (Exit.isSuccess(exit)) return typeof exit.value === "number" ? String(exit.value) : "ok"
    const reason = exit.cause.reasons[0]
    if (reason?._tag === "Fail" && typeof reason.error === "object" && reason.error !== null) {
      return "reason" in reason.error ? String(reason.error.reason) : "failed"
    }
    if (isPowerOff(exit.cause)) onPowerOff()
    return reason?._tag ?? "empty"
  }

  const perform = <A, R = never>(words: string, operation: Effect.Effect<A, DiskError, R>) =>
    Effect.suspend(() => {
      operationsLeft -= 1
      const isLast = operationsLeft <= 0
      if (isLast) operationsLeft = Number.POSITIVE_INFINITY
      if (isLast && !diesAfter) {
        trace.add(`${who} ${words}: dies before it`)
        return Effect.die(new ExecutorDeath())
      }
      return Effect.onExit(operation, (exit) => {
        trace.add(`${who} ${words}: ${outcomeOf(exit)}`)
        return isLast ? Effect.die(new ExecutorDeath()) : Effect.void
      })
    })

  const watchFile = (file: DiskFile): DiskFile => {
    openFiles.add(file)
    const { path } = file
    return {
      path,
      read: (target, offset) => perform(`read ${path} ${offset}+${target.length}`, file.read(target, offset)),
      write: (chunks, offset) =>
        perform(
          `write ${path} ${offset}+${chunks.reduce((sum, { length }) => sum + length, 0)}`,
          file.write(chunks, offset)
        ),
      truncate: (bytes) => perform(`truncate ${path} ${bytes}`, file.truncate(bytes)),
      sync: perform(`sync ${path}`, file.sync),
      stat: perform(`stat ${path}`, file.stat),
      close: Effect.suspend(() => {
        openFiles.delete(file)
        return file.close
      })
    }
  }

  return {
    disk: {
      open: (path, mode) =>
        Effect.uninterruptible(Effect.map(perform(`open ${path} ${mode}`, disk.open(path, mode)), watchFile)),
      list: (path) => perform(`list ${path}`, disk.list(path)),
      stat: (path) => perform(`stat ${path}`, disk.stat(path)),
      rename: (from, to) =>
        perform(`rename ${from} ${to}`, Effect.map(disk.rename(from, to), () => listener?.renamed(to))),
      unlink: (path) => perform(`unlink ${path}`, Effect.map(disk.unlink(path), () => listener?.unlinked(path))),
      makeDirectory: (path) => perform(`makeDirectory ${path}`, disk.makeDirectory(path)),
      syncDirectory: (path) => perform(`syncDirectory ${path}`, disk.syncDirectory(path)),
      freeBytes: (path) => perform(`freeBytes ${path}`, disk.freeBytes(path)),
      lock: (path) =>
        Effect.gen(function*() {
          const held = Scope.forkUnsafe(locks)
          yield* perform(`lock ${path}`, Scope.provide(disk.lock(path), held))
          yield* Effect.addFinalizer((exit) => Scope.close(held, exit))
        })
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
