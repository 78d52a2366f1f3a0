/**
 * Why a request to an object store failed: a class for each reason, in words that tell what to do about it.
 *
 * @since 0.1.0
 */
import { taggedReason } from "../internal/taggedReason.ts"

/**
 * No object has this key.
 *
 * @since 0.1.0
 * @category reasons
 */
export class NotFound extends taggedReason("NotFound", "there is no such object", false) {}

/**
 * The key was to be free, and an object has it.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Taken extends taggedReason("Taken", "an object has this key already; read it, and compare", false) {}

/**
 * The object is not the version that the condition named, or it is gone.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Changed extends taggedReason("Changed", "another writer has changed it; read it again", false) {}

/**
 * The store cannot answer now: it is overloaded, failed inside, has no room, or decides another request for this key.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Busy extends taggedReason("Busy", "the store cannot do this now; try again later", true) {}

/**
 * The store refuses us: the wrong key, expired credentials, a clock that is wrong, or no right to do this.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Denied extends taggedReason("Denied", "the store refuses access", false) {}

/**
 * No answer came: the store is away, the network is cut, or a disk is not mounted.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Unreachable extends taggedReason("Unreachable", "the store cannot be reached", true) {}

/**
 * The bytes that arrived are not those that were sent, or there are too few of them.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Corrupt extends taggedReason("Corrupt", "the bytes are damaged or too few; try again", true) {}

/**
 * Nothing can be kept here as it is: the server ignores conditions, there is no such bucket, it is in another region,
 * or the server does not know our kind of request.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Unsuitable extends taggedReason("Unsuitable", "this store cannot be used as it is", false) {}

const reasons = { NotFound, Taken, Changed, Busy, Denied, Unreachable, Corrupt, Unsuitable }

/**
 * Why a request failed, in words that tell what to do about it.
 *
 * @since 0.1.0
 * @category reasons
 */
export type StoreReason = InstanceType<typeof reasons[keyof typeof reasons]>

/**
 * The reason with a tag. `detail` is what the store reported, or what to do about it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const storeReason = (tag: StoreReason["_tag"], detail: string): StoreReason => new reasons[tag]({ detail })
