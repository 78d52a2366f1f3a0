/**
 * The only door to files, with five guarantees.
 *
 * @since 0.1.0
 */
export type { DirectoryEntry, DiskFile, DiskReason, FileStat } from "./disk/Disk.ts"
export { Disk, DiskError } from "./disk/Disk.ts"
export { withReadRate } from "./disk/ReadRate.ts"
