/**
 * The only door to files, with five guarantees.
 *
 * @since 0.1.0
 */
export type { DirectoryEntry, DiskFile, FileStat, OpenMode } from "./disk/Disk.ts"
export { Disk, DiskError } from "./disk/Disk.ts"
/**
 * Why an operation on the disk fails.
 *
 * @since 0.1.0
 * @category errors
 */
export * as DiskReason from "./disk/DiskReason.ts"
export { withReadRate } from "./disk/ReadRate.ts"
