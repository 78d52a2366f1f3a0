/**
 * Our own mistakes are defects: an invariant that does not hold throws, crashes the fiber that ran into it, and is
 * reported by its supervisor. Operating errors (the disk, the input) never come through here; they are typed.
 */
export class InvariantViolation extends Error {
  override readonly name = "InvariantViolation"
}

/** Throws unless `condition` holds. `what` says what must be true, in the words of the caller's domain. */
export function invariant(condition: boolean, what: string): asserts condition {
  if (!condition) throw new InvariantViolation(`invariant violated: ${what}`)
}
