/**
 * Decides which segments are frozen and which are freed: a pure function of what the directory holds.
 *
 * @since 0.1.0
 */
export type { ClampedLimit, RetentionAction, RetentionLimits } from "./maintainer/retention/Retention.ts"
export { defaultLimits } from "./maintainer/retention/Retention.ts"
