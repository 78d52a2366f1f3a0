/**
 * The maintainer in threads of its own: one, or a pool.
 *
 * @since 0.1.0
 */
export type { WorkerOptions } from "./maintainer/SegmentMaintainerWorker.ts"
export { layer, layerAlone } from "./maintainer/SegmentMaintainerWorker.ts"
