/**
 * Appends to a log from another thread.
 *
 * @since 0.1.0
 */
export type { AppenderMemory, ThreadAppender } from "./recorder/ThreadAppender.ts"
export { attach, open } from "./recorder/ThreadAppender.ts"
