/**
 * Bugs that somebody could write, each put in from outside through a seam, so the code under test has no switches. A
 * simulation that does not find them does not hold what it says it holds.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { readFully, writeFully } from "../../src/disk/Disk.ts"
import type { Disk, DiskFile } from "../../src/disk/Disk.ts"
import { headerBytesOf, hex } from "../../src/format/SegmentHeader.ts"
import type { SealState } from "../../src/format/SegmentSealer.ts"
import { SegmentVerifier } from "../../src/format/SegmentVerifier.ts"
import { xxh64 } from "../../src/internal/xxh64.ts"
import type { MaintainerControl } from "../../src/maintainer/executor/MaintainerControl.ts"
import { stopFreezingUnsafe } from "../../src/maintainer/executor/MaintainerControl.ts"
import type { ResolvedLimits } from "../../src/maintainer/retention/Retention.ts"
import type { DrainReceipt } from "../../src/maintainer/SegmentMaintainer.ts"
import type { Positions } from "../../src/recorder/Recorder.ts"
import * as Arena from "../../src/shared/Arena.ts"
import { SegmentsToFreeze, SegmentsToPersist } from "../../src/shared/SegmentQueues.ts"
import * as TaskQueue from "../../src/shared/TaskQueue.ts"
import type { Seams } from "./Process.ts"
import { ExecutorDeath } from "./ProcessDisk.ts"
import type { Focus, RunOptions } from "./Simulation.ts"

export interface PlantedBug {
  readonly name: string
  /** It is found within so many seeds. */
  readonly seedsMax: number
  /** They are counted from here, or from 1. Where one seed in some hundred finds a bug, it is near one that does. */
  readonly seedFirst?: number
  /** The moment at which it hurts, when that is one operation long. */
  readonly focus?: Focus
  /** The limits with which it hurts. */
  readonly limits?: ResolvedLimits
  /** As in `RunOptions`. */
  readonly openRotShare?: number
  readonly hintShare?: number
  readonly damageShare?: number
  /** Fresh for every run, for some bugs remember something. */
  readonly plant: () => Seams
}

/** How a run with a seed is told of the bug. */
export const optionsOf = (
  { name: _name, plant, seedFirst: _seedFirst, seedsMax: _seedsMax, ...options }: PlantedBug,
  seed: number
): RunOptions => ({ seed, seams: plant(), ...options })

type DiskService = Disk["Service"]

const onDisk = (change: (disk: DiskService) => Partial<DiskService>): () => Seams => () => ({
  disk: (disk) => ({ ...disk, ...change(disk) })
})

/** The same change to every file that is opened. */
const onFiles = (change: (file: DiskFile, disk: DiskService) => Partial<DiskFile>): () => Seams =>
  onDisk((disk) => ({
    open: (path, mode) => Effect.map(disk.open(path, mode), (file) => ({ ...file, ...change(file, disk) }))
  }))

const onAppends = (
  change: (recorder: Parameters<NonNullable<Seams["recorder"]>>[0], arena: Arena.Arena) => void
): () => Seams =>
() => ({
  recorder: (recorder, arena) => {
    change(recorder, arena)
    return recorder
  }
})

const bytesOf = (chunks: ReadonlyArray<Uint8Array>): number => chunks.reduce((sum, chunk) => sum + chunk.length, 0)
const directoryOf = (path: string): string => path.slice(0, path.lastIndexOf("/"))
const freezing = /\.lz4b?\.tmp$/
const isCold = (path: string): boolean => /\.lz4b?$/.test(path)

const segmentNames = (disk: DiskService, path: string, pattern: RegExp) =>
  Effect.map(
    disk.list(directoryOf(path)),
    (entries) => entries.map(({ name }) => name).filter((name) => pattern.test(name)).sort()
  )

/** Where the last whole block of an open segment ends; of other files, far behind the end. */
const wholeBytesOf = Effect.fnUntraced(function*(file: DiskFile) {
  const bytes = new Uint8Array((yield* file.stat).bytes)
  yield* readFully(file, bytes, 0)
  const verifier = new SegmentVerifier()
  verifier.push(bytes, true, () => {})
  const { header, point } = verifier
  return header?.closedNanos === 0n && point !== undefined ? point.offset : Number.POSITIVE_INFINITY
})

const isInQuarantine = (path: string): boolean => path.includes("/quarantine/")

/** The bytes of a file of holes, with the checksum that belongs to them. */
const withRightChecksum = (bytes: Uint8Array): Uint8Array => {
  const text = Buffer.from(bytes).toString()
  const holes = /^\{"holes":(.*),"checksum":"/.exec(text)?.[1]
  if (holes === undefined) return bytes
  return Buffer.from(text.replace(/0x[0-9a-f]{16}/, hex(xxh64(Buffer.from(holes)))))
}

/** Deletes another file than was asked for, if there is one. A deletion takes the file's name first. */
const deleteInstead = (pattern: RegExp, position: number) =>
  onDisk((disk) => ({
    rename: (from, to) =>
      !isCold(from)
        ? disk.rename(from, to)
        : Effect.flatMap(segmentNames(disk, from, pattern), (names) => {
          const name = names.at(position)
          return disk.rename(name === undefined ? from : `${directoryOf(from)}/${name}`, to)
        })
  }))

/** Changes how far the file of the segment goes that a start continues, if it does. */
const changeContinued = (arena: Arena.Arena, change: (sealed: SealState) => SealState): void => {
  const slot = Arena.activeSlot(arena)
  const sealed = Arena.sealRecord(arena, slot)
  if (sealed !== undefined && Arena.isAsFound(arena, slot)) Arena.putSealRecordUnsafe(arena, slot, change(sealed))
}

/** A fresh file that is about to replace a closed one gets bytes that are no block where the new blocks should begin. */
const tearContinued = (disk: DiskService, fresh: string, closed: string) =>
  Effect.scoped(Effect.gen(function*() {
    const old = yield* Effect.acquireRelease(disk.open(closed, "read"), (file) => file.close)
    const file = yield* Effect.acquireRelease(disk.open(fresh, "write"), (file) => file.close)
    const header = new Uint8Array(headerBytesOf(2))
    yield* readFully(old, header, 0)
    const { bytes } = yield* old.stat
    const isClosed = new DataView(header.buffer).getBigUint64(40, true) !== 0n
    if (isClosed && (yield* file.stat).bytes > bytes) yield* writeFully(file, [new Uint8Array(16).fill(7)], bytes)
    yield* file.sync
  }))

const atEveryFifthLook = (change: (positions: Positions) => Positions): Seams => {
  let looks = 0
  return {
    recorder: (recorder) => ({
      ...recorder,
      positions: Effect.map(recorder.positions, (positions) => ++looks % 5 > 0 ? positions : change(positions))
    })
  }
}

export const plantedBugs: ReadonlyArray<PlantedBug> = [
  {
    name: "directories are never synced",
    seedsMax: 10,
    seedFirst: 5,
    plant: onDisk(() => ({ syncDirectory: () => Effect.void, changeNames: (_, change) => change }))
  },
  {
    name: "files are never synced",
    seedsMax: 10,
    seedFirst: 5,
    plant: onFiles(() => ({ sync: Effect.void }))
  },
  {
    name: "a failed fdatasync is ignored",
    seedsMax: 100,
    seedFirst: 79,
    focus: { after: /sync .*: Io$/, by: "power off" },
    plant: onFiles((file) => ({ sync: Effect.ignore(file.sync) }))
  },
  {
    name: "a failed fdatasync is repeated on the same file and believed",
    seedsMax: 400,
    seedFirst: 322,
    focus: { after: / sync .*: ok$/, by: "power off" },
    plant: onFiles((file) => ({ sync: Effect.retry(file.sync, { times: 1 }) }))
  },
  {
    name: "a failed sync of the directory is repeated and believed",
    seedsMax: 150,
    seedFirst: 1052,
    focus: { after: / syncDirectory .*: ok$/, by: "power off" },
    plant: onDisk((disk) => ({
      changeNames: (path, change) => Effect.tap(change, () => Effect.retry(disk.syncDirectory(path), { times: 1 }))
    }))
  },
  {
    name: "the hot file goes before the cold one has its name",
    seedsMax: 150,
    focus: { after: / unlink .*\.wal: ok$/, by: "killed" },
    plant: onDisk((disk) => ({
      rename: (from, to) =>
        isCold(to)
          ? Effect.andThen(Effect.ignore(disk.unlink(to.replace(/\.lz4b?$/, ""))), disk.rename(from, to))
          : disk.rename(from, to)
    }))
  },
  {
    name: "a segment gets its name before its bytes are synced",
    seedsMax: 150,
    seedFirst: 5,
    focus: { after: / rename .*\.wal: ok$/, by: "power off" },
    plant: () => {
      const waiting = new Map<string, DiskFile>()
      return {
        disk: (disk) => ({
          ...disk,
          open: (path, mode) =>
            Effect.map(disk.open(path, mode), (file) => {
              if (!path.endsWith(".wal.tmp")) return file
              let isNamed = false
              const sync = Effect.suspend(() => {
                if (isNamed) return file.sync
                isNamed = true
                waiting.set(path, file)
                return Effect.void
              })
              return { ...file, sync }
            }),
          rename: (from, to) =>
            Effect.andThen(
              disk.rename(from, to),
              Effect.suspend(() => {
                const file = waiting.get(from)
                waiting.delete(from)
                return file === undefined ? Effect.void : file.sync
              })
            )
        })
      }
    }
  },
  {
    name: "the closed header is written with its blocks, under one fdatasync",
    seedsMax: 60,
    seedFirst: 9,
    plant: onFiles((file) => {
      let isCut = false
      return {
        truncate: (bytes) =>
          Effect.suspend(() => {
            isCut = true
            return file.truncate(bytes)
          }),
        sync: Effect.suspend(() => {
          if (!isCut || !file.path.endsWith(".wal.tmp")) return file.sync
          isCut = false
          return Effect.void
        })
      }
    })
  },
  {
    name: "the torn tail is not cut",
    seedsMax: 100,
    seedFirst: 254,
    focus: { after: /^commit: [1-9]/, by: "power off" },
    plant: onDisk((disk) => ({
      rename: (from, to) =>
        !from.endsWith(".wal.tmp")
          ? disk.rename(from, to)
          : Effect.scoped(Effect.gen(function*() {
            const old = yield* Effect.acquireRelease(disk.open(to, "read"), (file) => file.close)
            const fresh = yield* Effect.acquireRelease(disk.open(from, "write"), (file) => file.close)
            const { bytes } = yield* fresh.stat
            const tail = new Uint8Array(Math.max(0, (yield* old.stat).bytes - bytes))
            yield* readFully(old, tail, bytes)
            yield* writeFully(fresh, [tail], bytes)
          })).pipe(
            Effect.catchReason("DiskError", "NotFound", () => Effect.void),
            Effect.andThen(disk.rename(from, to))
          )
    }))
  },
  {
    name: "recovery closes the file that it finds instead of writing a fresh one",
    seedsMax: 300,
    seedFirst: 5,
    focus: { after: / sync .*\.wal: Io$/, by: "killed" },
    plant: onDisk((disk) => ({
      rename: (from, to) =>
        !from.endsWith(".wal.tmp")
          ? disk.rename(from, to)
          : Effect.scoped(Effect.gen(function*() {
            const fresh = yield* Effect.acquireRelease(disk.open(from, "read"), (file) => file.close)
            const old = yield* Effect.acquireRelease(disk.open(to, "write"), (file) => file.close)
            const header = new Uint8Array(headerBytesOf(2))
            yield* readFully(fresh, header, 0)
            yield* old.truncate((yield* fresh.stat).bytes)
            yield* writeFully(old, [header], 0)
            yield* old.sync
            yield* disk.unlink(from)
          })).pipe(Effect.catchReason("DiskError", "NotFound", () => disk.rename(from, to)))
    }))
  },
  {
    name: "the newest cold segment is deleted instead of the oldest",
    seedsMax: 100,
    seedFirst: 10,
    plant: deleteInstead(/\.lz4b?$/, -1)
  },
  {
    name: "the oldest cold segment goes only when the next has come",
    seedsMax: 100,
    seedFirst: 6,
    plant: onDisk((disk) => {
      let late: string | undefined
      return {
        rename: (from, to) =>
          Effect.andThen(
            isCold(from)
              ? Effect.map(disk.stat(from), () => {
                late = from
              })
              : disk.rename(from, to),
            Effect.suspend(() => {
              const path = late
              if (path === undefined || !isCold(to)) return Effect.void
              late = undefined
              return Effect.ignore(disk.unlink(path))
            })
          )
      }
    })
  },
  {
    name: "a hot segment is deleted instead of a cold one",
    seedsMax: 100,
    seedFirst: 10,
    plant: deleteInstead(/\.wal$/, 0)
  },
  {
    name: "temporary files are left behind",
    seedsMax: 30,
    seedFirst: 2,
    plant: onDisk((disk) => ({
      unlink: (path) => path.endsWith(".tmp") ? Effect.asVoid(disk.stat(path)) : disk.unlink(path)
    }))
  },
  {
    name: "a short write is taken for a whole one",
    seedsMax: 100,
    seedFirst: 249,
    plant: onFiles((file) => ({
      write: (chunks, offset) => Effect.as(file.write(chunks, offset), bytesOf(chunks))
    }))
  },
  {
    name: "the newest segment is overlooked when a directory is opened",
    seedsMax: 10,
    seedFirst: 2,
    plant: onDisk((disk) => ({
      list: (path) =>
        Effect.map(disk.list(path), (entries) => {
          const newest = entries.map(({ name }) => name).filter((name) => /\.wal(\.lz4b?)?$/.test(name)).sort().at(-1)
          return entries.filter(({ name }) => name !== newest)
        })
    }))
  },
  {
    name: "a hot file is taken for an empty one",
    seedsMax: 10,
    seedFirst: 3,
    plant: onDisk((disk) => ({
      stat: (path) => Effect.map(disk.stat(path), (stat) => path.endsWith(".wal") ? { ...stat, bytes: 0 } : stat)
    }))
  },
  {
    name: "a commit comes back before anything is durable",
    seedsMax: 300,
    seedFirst: 207,
    plant: () => ({
      recorder: (recorder) => ({ ...recorder, commit: Effect.sync(() => recorder.writer.lastEventId) })
    })
  },
  {
    name: "what was appended is reported as durable",
    seedsMax: 60,
    seedFirst: 19,
    plant: () => ({
      recorder: (recorder) => ({
        ...recorder,
        positions: Effect.map(recorder.positions, (positions) => ({ ...positions, durable: positions.appended }))
      })
    })
  },
  {
    name: "the durable position goes back",
    seedsMax: 60,
    seedFirst: 2,
    plant: () => atEveryFifthLook((positions) => ({ ...positions, durable: Math.max(0, positions.durable - 1) }))
  },
  {
    name: "the position up to which events are compressed goes back",
    seedsMax: 60,
    seedFirst: 5,
    plant: () => atEveryFifthLook((positions) => ({ ...positions, compressed: 0 }))
  },
  {
    name: "nobody takes the lock",
    seedsMax: 60,
    seedFirst: 178,
    plant: onDisk(() => ({ lock: () => Effect.void }))
  },
  {
    name: "a replay leaves an event out",
    seedsMax: 10,
    seedFirst: 2,
    plant: () => ({ replayed: (id, bytes) => id % 7 === 3 ? undefined : { id, bytes } })
  },
  {
    name: "a replay gives an event another id",
    seedsMax: 10,
    seedFirst: 2,
    plant: () => ({ replayed: (id, bytes) => ({ id: id % 7 === 3 ? id + 1 : id, bytes }) })
  },
  {
    name: "a replay cuts an event short",
    seedsMax: 10,
    seedFirst: 5,
    plant: () => ({ replayed: (id, bytes) => ({ id, bytes: bytes.length > 32 ? bytes.subarray(1) : bytes }) })
  },
  {
    name: "the drain's receipt counts one persist too many",
    seedsMax: 10,
    plant: () => ({
      maintainer: (service) => ({
        ...service,
        drain: Effect.map(service.drain, (receipt) => ({
          ...receipt,
          done: { ...receipt.done, persist: receipt.done.persist + 1 }
        }))
      })
    })
  },
  {
    name: "the drain comes back at once",
    seedsMax: 10,
    seedFirst: 2,
    plant: () => ({
      maintainer: (service) => {
        const none = { persist: 0, freeze: 0, free: 0 }
        return { ...service, drain: Effect.succeed({ done: none, left: none, failures: 0, millis: 0 }) }
      }
    })
  },
  {
    name: "what is to be frozen is dropped when the process stops",
    seedsMax: 60,
    seedFirst: 5,
    plant: () => {
      const controls: Array<MaintainerControl> = []
      return {
        executor: (run, seat) => {
          controls.push(seat.control)
          return run
        },
        maintainer: (service) => ({
          ...service,
          drain: Effect.suspend(() => {
            for (const control of controls) stopFreezingUnsafe(control)
            return service.drain
          })
        })
      }
    }
  },
  {
    name: "a slot is given back before its segment is durable",
    seedsMax: 10,
    seedFirst: 4,
    plant: onAppends(({ writer }, arena) => {
      const rotate = writer.rotateUnsafe.bind(writer)
      writer.rotateUnsafe = () => {
        const slot = Arena.activeSlot(arena)
        const isRotated = rotate()
        if (isRotated && Arena.activeSlot(arena) !== slot) Arena.giveBackUnsafe(arena, slot)
        return isRotated
      }
    })
  },
  {
    name: "the watermark is published before the event is copied",
    seedsMax: 30,
    seedFirst: 2,
    plant: onAppends(({ writer }) => {
      let copyLater: (() => void) | undefined
      writer.appendUnsafe = (event) => {
        copyLater?.()
        copyLater = undefined
        const at = writer.reserveUnsafe(event.length)
        if (at <= 0) return at
        copyLater = () => writer.bytes.set(event, at)
        return writer.publishUnsafe()
      }
    })
  },
  {
    name: "a batch is appended event by event",
    seedsMax: 60,
    seedFirst: 2,
    plant: onAppends(({ writer }) => {
      const append = writer.appendUnsafe.bind(writer)
      const appendAll = writer.appendAllUnsafe.bind(writer)
      writer.appendAllUnsafe = (events) => {
        if (events.length < 2) return appendAll(events)
        const [first, ...others] = events
        const id = append(first!)
        return id > 0 ? writer.appendAllUnsafe(others) : id
      }
    })
  },
  {
    name: "the wal_id is forgotten when a directory is opened again",
    seedsMax: 30,
    seedFirst: 5,
    plant: () => {
      let opened = 0
      return {
        recorder: (recorder, arena) => {
          const { chain: closedChain, index: closedIndex } = Arena.closed(arena)
          Arena.setOriginUnsafe(arena, {
            walId: new Uint8Array(16).fill(++opened),
            closedIndex,
            closedChain,
            durableEventId: Arena.durableEventId(arena),
            flushNanos: Arena.flushNanos(arena)
          })
          return recorder
        }
      }
    }
  },
  {
    name: "the chain begins anew when a directory is opened again",
    seedsMax: 30,
    seedFirst: 5,
    plant: onAppends((_, arena) => Arena.putClosedUnsafe(arena, Arena.closed(arena).index, 0n))
  },
  {
    name: "a segment that is continued loses its chain",
    seedsMax: 60,
    seedFirst: 67,
    plant: onAppends((_, arena) => changeContinued(arena, (sealed) => ({ ...sealed, chainedChecksum: 1n })))
  },
  {
    name: "a segment that is continued gives an id out again",
    seedsMax: 60,
    seedFirst: 5,
    plant: onAppends((_, arena) =>
      changeContinued(arena, (sealed) => ({ ...sealed, eventCount: sealed.eventCount - 1 }))
    )
  },
  {
    name: "a segment that is continued has a torn tail",
    seedsMax: 60,
    seedFirst: 88,
    plant: onDisk((disk) => ({
      rename: (from, to) =>
        !from.endsWith(".wal.tmp")
          ? disk.rename(from, to)
          : Effect.andThen(Effect.ignore(tearContinued(disk, from, to)), disk.rename(from, to))
    }))
  },
  {
    name: "the limit of cold segments counts files",
    seedsMax: 150,
    seedFirst: 104,
    limits: { maxSegments: 2, maxCompressedSegments: 4 },
    plant: () => ({
      outcome: (outcome) => outcome._tag === "Persisted" ? { ...outcome, usedBytes: Number.MAX_SAFE_INTEGER } : outcome
    })
  },
  {
    name: "a restarted executor forgets the segment that its predecessor was persisting",
    seedsMax: 60,
    seedFirst: 225,
    plant: () => ({
      executor: (run, seat) =>
        Effect.andThen(
          Effect.flatMap(
            SegmentsToPersist,
            (queue) => TaskQueue.complete(TaskQueue.withConsumer(queue, seat.executor))
          ),
          run
        )
    })
  },
  {
    name: "a restarted executor forgets the segment that its predecessor was freezing",
    seedsMax: 150,
    seedFirst: 482,
    plant: () => {
      // Executors die where it matters.
      let deaths = 0
      return {
        disk: (disk) => ({
          ...disk,
          open: (path, mode) =>
            mode === "create" && freezing.test(path) && deaths++ % 3 === 0
              ? Effect.die(new ExecutorDeath())
              : disk.open(path, mode)
        }),
        executor: (run, seat) =>
          Effect.andThen(
            Effect.flatMap(
              SegmentsToFreeze,
              (queue) => TaskQueue.complete(TaskQueue.withConsumer(queue, seat.executor))
            ),
            run
          )
      }
    }
  },
  {
    name: "a hold keeps nothing",
    seedsMax: 200,
    seedFirst: 681,
    plant: () => ({
      maintainer: (service) => ({ ...service, hold: () => Effect.succeed({ advanceTo: () => Effect.void }) })
    })
  },
  {
    name: "a hold that has expired goes on for ever",
    seedsMax: 300,
    seedFirst: 470,
    plant: () => ({
      maintainer: (service) => ({
        ...service,
        hold: ({ fromSegmentIndex, name }) =>
          Effect.flatMap(Scope.make(), (forEver) => Scope.provide(service.hold({ name, fromSegmentIndex }), forEver))
      })
    })
  },
  {
    name: "limits that are changed stay as they were",
    seedsMax: 300,
    seedFirst: 79,
    plant: () => ({ maintainer: (service) => ({ ...service, setLimits: () => Effect.succeed([]) }) })
  },
  {
    name: "the limit of hot segments is forgotten at a rotation",
    seedsMax: 200,
    seedFirst: 43,
    plant: onAppends(({ writer }, arena) => {
      const rotate = writer.rotateUnsafe.bind(writer)
      writer.rotateUnsafe = () => {
        Arena.putHotSegmentsUnsafe(arena, 0, 0, 0)
        return rotate()
      }
    })
  },
  {
    name: "the deadline of a drain ends persisting too",
    seedsMax: 200,
    seedFirst: 7,
    plant: () => ({
      maintainer: (service) => ({
        ...service,
        drain: Effect.map(
          Effect.timeoutOption(service.drain, 5),
          Option.getOrElse((): DrainReceipt => {
            const none = { persist: 0, freeze: 0, free: 0 }
            return { done: none, left: none, failures: 0, millis: 5 }
          })
        )
      })
    })
  },
  {
    name: "age is what the wall clock says",
    seedsMax: 300,
    seedFirst: 981,
    plant: () => ({
      clock: (clock) => ({
        ...clock,
        monotonicTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
        monotonicTimeNanos: clock.currentTimeNanos
      })
    })
  },
  {
    name: "a start takes what the clock shows for time that has passed",
    seedsMax: 300,
    seedFirst: 709,
    limits: { maxSegments: 2, maxCompressedSegments: "unlimited", ageMax: Duration.seconds(20) },
    plant: onDisk((disk) => ({
      stat: (path) =>
        Effect.gen(function*() {
          const stat = yield* disk.stat(path)
          if (!path.endsWith(".wal")) return stat
          const newest = (yield* segmentNames(disk, path, /\.wal$/)).at(-1)
          if (newest === undefined || !path.endsWith(newest)) return stat
          return { ...stat, modifiedMillis: yield* Clock.currentTimeMillis }
        })
    }))
  },
  {
    name: "verification passes over rotten bits",
    seedsMax: 60,
    seedFirst: 20,
    plant: () => ({ verified: () => [] })
  },
  {
    name: "a meta file whose bits have rotted passes for an intact one",
    seedsMax: 100,
    seedFirst: 646,
    hintShare: 1,
    plant: onDisk((disk) => ({
      open: (path, mode) =>
        Effect.map(disk.open(path, mode), (file) =>
          !path.endsWith("wal_meta.dat") || mode !== "read" ? file : {
            ...file,
            read: (target, offset) =>
              Effect.map(file.read(target, offset), (count) => {
                // Its checksum is always right.
                if (offset === 0 && count === 24) {
                  new DataView(target.buffer, target.byteOffset).setBigUint64(16, xxh64(target.subarray(0, 16)), true)
                }
                return count
              })
          })
    }))
  },
  {
    name: "a hole is acknowledged before its evidence is durable",
    seedsMax: 100,
    seedFirst: 29,
    damageShare: 1,
    plant: () => ({
      disk: (disk) => ({
        ...disk,
        open: (path, mode) =>
          Effect.map(disk.open(path, mode), (file) => isInQuarantine(path) ? { ...file, sync: Effect.void } : file),
        syncDirectory: (path) => isInQuarantine(path) ? Effect.void : disk.syncDirectory(path)
      })
    })
  },
  {
    name: "ids are given out again after a segment was moved away",
    seedsMax: 100,
    seedFirst: 16,
    damageShare: 1,
    openRotShare: 0,
    plant: () => {
      // Only what a repair or a quarantine writes tells no length.
      let isDropped = false
      return {
        disk: (disk) => ({
          ...disk,
          open: (path, mode) =>
            Effect.map(disk.open(path, mode), (file) =>
              !path.endsWith("wal_meta.dat.tmp") ? file : {
                ...file,
                write: (chunks, offset) => {
                  isDropped = chunks[0] !== undefined && Buffer.from(chunks[0]).readUInt32LE(0) === 0
                  return file.write(chunks, offset)
                }
              }),
          rename: (from, to) =>
            isDropped && from.endsWith("wal_meta.dat.tmp") ? disk.unlink(from) : disk.rename(from, to)
        })
      }
    }
  },
  {
    name: "a file of holes whose bits have rotted passes for an intact one",
    seedsMax: 100,
    seedFirst: 39,
    damageShare: 1,
    plant: onDisk((disk) => ({
      open: (path, mode) =>
        Effect.map(disk.open(path, mode), (file) =>
          !path.endsWith("wal_holes.json") || mode !== "read" ? file : {
            ...file,
            read: (target, offset) =>
              Effect.map(file.read(target, offset), (count) => {
                if (offset === 0) target.set(withRightChecksum(target.subarray(0, count)))
                return count
              })
          })
    }))
  },
  {
    name: "a fold goes over holes that are not acknowledged",
    seedsMax: 100,
    seedFirst: 5,
    damageShare: 1,
    plant: () => ({
      replaying: (options) => options.onLost === undefined ? options : { ...options, onHole: () => Effect.void }
    })
  },
  {
    name: "damage in the open segment is cut as a torn tail",
    seedsMax: 60,
    seedFirst: 15,
    focus: { after: /^commit: [1-9]/, by: "killed" },
    openRotShare: 1,
    plant: onDisk((disk) => ({
      open: (path, mode) =>
        Effect.flatMap(disk.open(path, mode), (file) =>
          !path.endsWith(".wal") || mode !== "read"
            ? Effect.succeed(file)
            : Effect.map(wholeBytesOf(file), (end) => ({
              ...file,
              // Nothing is seen behind the last whole block.
              read: (target: Uint8Array, offset: number) =>
                Effect.map(file.read(target, offset), (count) => {
                  target.fill(0, Math.min(count, Math.max(0, end - offset)), count)
                  return count
                })
            })))
    }))
  },
  {
    name: "a replay ends quietly where bits have rotted",
    seedsMax: 60,
    seedFirst: 21,
    plant: () => ({
      replay: Stream.catch((error) => error._tag === "SegmentCorrupt" ? Stream.empty : Stream.fail(error))
    })
  }
]
