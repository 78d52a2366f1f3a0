/**
 * The only import of the hash functions. XXH64 protects headers, blocks and chains; the LZ4 frame format requires
 * XXH32. Both come from `@node-rs/xxhash` (native, and as fast on shared memory as on plain memory).
 */
import { Xxh32, xxh32 as nativeXxh32, Xxh64, xxh64 as nativeXxh64 } from "@node-rs/xxhash"

/** Computes the XXH64 of `bytes`, an unsigned 64-bit value. */
export const xxh64 = (bytes: Uint8Array, seed = 0n): bigint => nativeXxh64(bytes, seed)

/** Computes the XXH32 of `bytes`, an unsigned 32-bit value. */
export const xxh32 = (bytes: Uint8Array, seed = 0): number => nativeXxh32(bytes, seed)

/** Starts an incremental XXH64. */
export const makeXxh64 = (): Xxh64 => new Xxh64()

/** Starts an incremental XXH32. */
export const makeXxh32 = (seed = 0): Xxh32 => new Xxh32(seed)
