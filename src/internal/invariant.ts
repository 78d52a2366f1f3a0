/**
 * Our own mistakes are defects: an invariant that does not hold throws, crashes the fiber that ran into it, and is
 * reported by its supervisor. Operating errors (the disk, the input) never come through here; they are typed.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvariantViolation extends Error {
  override readonly name = "InvariantViolation"
}

/**
 * Throws unless `condition` holds. `what` says what must be true, in the words of the caller's domain.
 *
 * @since 0.1.0
 * @category guards
 */
export function invariant(condition: boolean, what: string): asserts condition {
  if (!condition) throw new InvariantViolation(`invariant violated: ${what}`)
}
