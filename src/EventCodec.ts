/**
 * Turns the values of a schema into the bytes of events, and back.
 *
 * @since 0.1.0
 */
export type { EventCodec } from "./format/EventCodec.ts"
export { make } from "./format/EventCodec.ts"
