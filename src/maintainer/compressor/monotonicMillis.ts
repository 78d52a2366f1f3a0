/**
 * A clock that all threads of a process share and nobody sets, in milliseconds. `performance.now()` begins anew in every thread.
 *
 * @since 0.1.0
 * @category clocks
 */
export const monotonicMillis = (): number => Number(process.hrtime.bigint()) / 1e6
