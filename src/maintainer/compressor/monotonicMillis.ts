/**
 * A clock in milliseconds that all threads of a process share and that never jumps. `performance.now()` starts at 0 in
 * each thread.
 */
export const monotonicMillis = (): number => Number(process.hrtime.bigint()) / 1e6
