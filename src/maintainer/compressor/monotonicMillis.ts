/**
 * A clock in milliseconds that all threads of a process share and that never jumps. `performance.now()` starts at 0 in
 * each thread.
 *
 * @since 0.1.0
 * @category clocks
 */
export const monotonicMillis = (): number => Number(process.hrtime.bigint()) / 1e6
