/**
 * Feeds a `SegmentVerifier` with pieces of any size. What a piece leaves over is kept and put in front of the next one,
 * so at most one block and one piece are in memory.
 */
import type { SegmentExpectations } from "./SegmentExpectations.ts"
import type { SegmentFault } from "./SegmentFault.ts"
import type { SegmentSummary, VerifiedBlock } from "./SegmentVerifier.ts"
import { SegmentVerifier } from "./SegmentVerifier.ts"

const empty = new Uint8Array(0)

/** A verifier that keeps what is left over. */
export class SegmentFeed {
  readonly verifier: SegmentVerifier
  private readonly onBlock: (block: VerifiedBlock) => void
  private buffer = empty
  private held = 0

  constructor(expected: SegmentExpectations, onBlock: (block: VerifiedBlock) => void) {
    this.verifier = new SegmentVerifier(expected)
    this.onBlock = onBlock
  }

  /** Takes the next bytes; they may be reused afterwards. */
  push(bytes: Uint8Array): void {
    let rest = bytes
    // Completes what was left over first, with no more bytes than that needs, then continues without copying.
    while (this.held > 0 && rest.length > 0) {
      const taken = Math.min(rest.length, Math.max(1, this.verifier.neededBytes - this.held))
      this.reserve(this.held + taken)
      this.buffer.set(rest.subarray(0, taken), this.held)
      this.held += taken
      rest = rest.subarray(taken)
      if (this.held < this.verifier.neededBytes) return
      const used = this.verifier.push(this.buffer.subarray(0, this.held), false, this.onBlock)
      this.buffer.copyWithin(0, used, this.held)
      this.held -= used
    }
    if (rest.length === 0) return
    const used = this.verifier.push(rest, false, this.onBlock)
    const left = rest.length - used
    this.reserve(left)
    this.buffer.set(rest.subarray(used), 0)
    this.held = left
  }

  /** The verdict, after the last byte. */
  end(): SegmentSummary | SegmentFault {
    this.verifier.push(this.buffer.subarray(0, this.held), true, this.onBlock)
    this.held = 0
    return this.verifier.end()
  }

  private reserve(bytes: number): void {
    if (this.buffer.length >= bytes) return
    const larger = new Uint8Array(Math.max(bytes, this.buffer.length * 2))
    larger.set(this.buffer.subarray(0, this.held))
    this.buffer = larger
  }
}
