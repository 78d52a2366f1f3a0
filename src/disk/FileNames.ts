/**
 * The names of our own files in a directory, beside those of segments (`SegmentName`). What has none of these names and
 * is no segment was not made by us, and nothing here touches it.
 */

/** The lock of a directory. The sockets that stand for it have this name and an ending, see `LockSocket`. */
export const lockName = "wal.lock"

/** How far the log is durable, see `MetaStore`. */
export const metaName = "wal_meta.dat"

/** The meta file while it is written. */
export const metaTemporaryName = "wal_meta.dat.tmp"

/** Space for a drain on a full disk, see `DiskReserve`. */
export const reserveName = "wal.reserve"

/** The socket at which a running recorder can be asked, see `Monitor`. */
export const monitorName = "wal.monitor"

/** The monitor's socket until it can be asked. */
export const monitorTemporaryName = "wal.monitor.tmp"

/** Which files were verified, see `VerifiedFiles`. */
export const verifiedName = "wal_verified.json"

/** The list of verified files while it is written. */
export const verifiedTemporaryName = "wal_verified.json.tmp"

/** The acknowledged holes, see `HoleStore`. */
export const holesName = "wal_holes.json"

/** The acknowledged holes while they are written. */
export const holesTemporaryName = "wal_holes.json.tmp"

/** The directory of damaged segments that were moved away, see `Quarantine`. */
export const quarantineName = "quarantine"

/** The report in each directory under the quarantine. */
export const repairReportName = "report.json"

/** The lock in an unfinished copy, held by the process that makes it. A socket of a dead one marks it as a copy. */
export const backupLockName = "wal.backup"

/** What the doctor writes to measure the disk: data, its next file, a meta file, its next one. */
export const probeNames = ["wal_doctor.dat", "wal_doctor.dat.tmp", "wal_doctor.meta", "wal_doctor.meta.tmp"] as const

/** What a start makes to find out what the file system can do, see `Abilities`. */
export const abilityNames = ["wal_able.dat", "wal_able.dat.tmp"] as const

/**
 * The name of a position: 1 to 64 letters, digits, `-` and `_`. One that begins with `_` belongs to a part of this
 * library.
 */
export const positionPattern = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$/

/** Whether a position is that of a consumer. */
export const isConsumer = (name: string): boolean => !name.startsWith("_")

const positionPrefix = "wal_position_"

/** A durable position of this name, see `PositionStore`. */
export const positionName = (name: string): string => `${positionPrefix}${name}.json`

/** A durable position while it is written. */
export const positionTemporaryName = (name: string): string => `${positionName(name)}.tmp`

/** The lock of a durable position: one owner at a time moves it. */
export const positionLockName = (name: string): string => `${positionPrefix}${name}.lock`

/** The name of the position that a file keeps; `undefined` for every other file. */
export const positionIn = (fileName: string): string | undefined => {
  const [, name] = /^wal_position_(.+)\.json$/.exec(fileName) ?? []
  return name !== undefined && positionPattern.test(name) ? name : undefined
}

/** Whether a name is that of a position that was not written to its end. */
export const isUnfinishedPosition = (fileName: string): boolean =>
  fileName.endsWith(".tmp") && positionIn(fileName.slice(0, -".tmp".length)) !== undefined

/** The lock of a position to which a name belongs, in whatever way; `undefined` when it belongs to none. */
const positionLockOf = (fileName: string): string | undefined => {
  const [lock, name = ""] = /^wal_position_([^.]+)\.lock(?=\.|$)/.exec(fileName) ?? []
  return positionPattern.test(name) ? lock : undefined
}

/** Whether a name is the private name of a process that takes or took the lock of the directory, or of a position. */
export const isPrivateOfLock = (fileName: string): boolean => {
  const lock = positionLockOf(fileName) ?? lockName
  return isPrivateName(lock, fileName)
}

/** The name of a state machine: 1 to 48 of a-z, 0-9 and `-`. */
export const statePattern = /^[a-z0-9][a-z0-9-]{0,47}$/

/** A snapshot of a state machine, of the state after this event, see `SnapshotStore`. */
export const snapshotName = (name: string, eventId: number): string =>
  `wal_state_${name}_${String(eventId).padStart(16, "0")}.json`

/** A snapshot of this state machine while it is written. */
export const snapshotTemporaryName = (name: string): string => `wal_state_${name}.json.tmp`

/** The state machine and the event of a snapshot; `undefined` for every other file. */
export const snapshotIn = (fileName: string): { readonly name: string; readonly eventId: number } | undefined => {
  const [, name = "", digits] = /^wal_state_([^_]+)_(\d{16})\.json$/.exec(fileName) ?? []
  return statePattern.test(name) ? { name, eventId: Number(digits) } : undefined
}

/** Whether a name is that of a snapshot that was not written to its end. */
export const isUnfinishedSnapshot = (fileName: string): boolean => {
  const [, name = ""] = /^wal_state_([^_]+)\.json\.tmp$/.exec(fileName) ?? []
  return statePattern.test(name)
}

/** Whether a name belongs to a lock: to its holder, to a process that takes it, or to one that died. */
export const isLockName = (lock: string, name: string): boolean => name === lock || name.startsWith(`${lock}.`)

/**
 * Whether a name is the private name of a process that takes or took a lock. A crash leaves such files; only the holder
 * of the lock may delete them, and a process that is taking it at that moment begins again.
 */
export const isPrivateName = (lock: string, name: string): boolean =>
  name.startsWith(`${lock}.`) && name.endsWith(".tmp")

const ownNames: ReadonlySet<string> = new Set([
  metaName,
  metaTemporaryName,
  reserveName,
  monitorName,
  monitorTemporaryName,
  verifiedName,
  verifiedTemporaryName,
  holesName,
  holesTemporaryName,
  quarantineName,
  ...probeNames,
  ...abilityNames
])

/** The names of files that were not finished. The holder of the directory removes them when it starts. */
export const unfinishedNames: ReadonlyArray<string> = [
  metaTemporaryName,
  monitorTemporaryName,
  verifiedTemporaryName,
  holesTemporaryName,
  ...probeNames,
  ...abilityNames
]

/** Whether a name in a directory of segments is that of a file of ours which is no segment. */
export const isOwnName = (name: string): boolean =>
  ownNames.has(name) || [lockName, backupLockName].some((lock) => isLockName(lock, name)) ||
  positionIn(name) !== undefined || isUnfinishedPosition(name) || positionLockOf(name) !== undefined ||
  snapshotIn(name) !== undefined || isUnfinishedSnapshot(name)
