/**
 * Copies a directory, also while a recorder writes into it.
 *
 * @since 0.1.0
 */
export type { BackupOptions, BackupReport } from "./reading/recovery/Backup.ts"
export { backup } from "./reading/recovery/Backup.ts"
