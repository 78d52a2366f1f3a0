/**
 * Our own mistakes are defects. A violated invariant throws, ends the fiber that found it, and is reported by the
 * fiber's supervisor. Operating errors (of the disk, of the input) are never reported in this way; they are typed.
 */
export class InvariantViolation extends Error {
  override readonly name = "InvariantViolation"
}

/** Throws unless `condition` is true. `what` describes what must be true, in the terms of the caller's domain. */
export function invariant(condition: boolean, what: string): asserts condition {
  if (!condition) throw new InvariantViolation(`invariant violated: ${what}`)
}
