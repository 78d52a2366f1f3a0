/**
 * Archives a log in an object store, and reads it from there. Imported from `effect-wal/archive`. A bucket as a store
 * is in `effect-wal/s3`.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category archiving */
export * as Archive from "./Archive.ts"
/** @since 0.1.0 @category reading */
export * as ArchiveDisk from "./ArchiveDisk.ts"
/** @since 0.1.0 @category repair */
export * as ArchiveRepair from "./ArchiveRepair.ts"
/** @since 0.1.0 @category verifying */
export * as ArchiveVerify from "./ArchiveVerify.ts"
/** @since 0.1.0 @category stores */
export * as DirectoryStore from "../store/DirectoryStore.ts"
/** @since 0.1.0 @category stores */
export * as ObjectStore from "../store/ObjectStore.ts"
/** @since 0.1.0 @category errors */
export { ArchiveError } from "./ArchiveError.ts"
/** @since 0.1.0 @category errors */
export * as ArchiveReason from "./ArchiveReason.ts"
/** @since 0.1.0 @category errors */
export * as StoreReason from "../store/StoreReason.ts"
/** @since 0.1.0 @category models */
export type { ArchiveLimits } from "./Expiry.ts"
/** @since 0.1.0 @category models */
export type { Expired, HoleRow, Manifest, PageRef, Row, SegmentRow } from "./Manifest.ts"
