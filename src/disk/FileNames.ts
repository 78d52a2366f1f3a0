/**
 * The names of our own files in a directory, beside those of segments (`SegmentName`). What has none of these names and is
 * no segment was not made by us, and nothing here touches it.
 */

/** The lock: names the holder of a directory. While it is being taken, other files have this name and an ending. */
export const lockName = "wal.lock"

/** How far the log is durable, see `MetaStore`. */
export const metaName = "wal_meta.dat"

/** The meta file while it is written. */
export const metaTemporaryName = "wal_meta.dat.tmp"

/** Space for a drain on a full disk, see `DiskReserve`. */
export const reserveName = "wal.reserve"

/** Where to ask a running recorder, see `Monitor`. */
export const monitorName = "wal.monitor"

/** The monitor's file while it is written. */
export const monitorTemporaryName = "wal.monitor.tmp"

/** Which files were verified, see `VerifiedFiles`. */
export const verifiedName = "wal_verified.json"

/** The list of verified files while it is written. */
export const verifiedTemporaryName = "wal_verified.json.tmp"

/** The directory of damaged segments that `Repair` has moved away. */
export const quarantineName = "quarantine"

/** The report of `Repair` in each directory under the quarantine. */
export const repairReportName = "report.json"

/** The lock in an unfinished copy, which names the process that makes it and marks it as a copy. */
export const backupLockName = "wal.backup"

/** What the doctor writes to measure the disk: data, its next file, a meta file, its next one. */
export const probeNames = ["wal_doctor.dat", "wal_doctor.dat.tmp", "wal_doctor.meta", "wal_doctor.meta.tmp"] as const

const ownNames: ReadonlySet<string> = new Set([
  metaName,
  metaTemporaryName,
  reserveName,
  monitorName,
  monitorTemporaryName,
  verifiedName,
  verifiedTemporaryName,
  quarantineName,
  backupLockName,
  ...probeNames
])

/** Whether a name in a directory of segments is that of a file of ours which is no segment. */
export const isOwnName = (name: string): boolean => ownNames.has(name) || name.startsWith(lockName)
