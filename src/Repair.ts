/**
 * Plans and applies the repair of a damaged directory.
 *
 * @since 0.1.0
 */
export type { RepairOptions, RepairReport, RepairStep } from "./reading/recovery/Repair.ts"
export { repair } from "./reading/recovery/Repair.ts"
