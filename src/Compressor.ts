/**
 * How a segment is compressed: in the thread that freezes, or in one of its own.
 *
 * @since 0.1.0
 */
export type { CompressOptions, RawCompressor } from "./maintainer/Compressor.ts"
export { blocking, Compressor, threaded, threadedFrom } from "./maintainer/Compressor.ts"
