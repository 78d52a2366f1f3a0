/**
 * The memory that the appending thread and the maintainer share.
 *
 * @since 0.1.0
 */
export type { Arena, ArenaOptions, SegmentLayout } from "./shared/SegmentArena.ts"
export { layer, SegmentArena } from "./shared/SegmentArena.ts"
