/**
 * The disk of Node.
 *
 * @since 0.1.0
 */
export { layer } from "./disk/NodeDisk.ts"
