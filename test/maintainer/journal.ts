/**
 * An application's own segments, its own naming and its own proof: of this process, and imported by maintainer threads.
 */
import { segmentFault } from "../../src/format/SegmentFault.ts"
import type { ProofMaker } from "../../src/maintainer/steps/SegmentProof.ts"

export const naming = { prefix: "journal", suffix: ".jsonl", digits: 4 }

/** A line for each entry, and a last one that counts them. */
export const journal = (segmentIndex: number, entries: number): string =>
  [...Array.from({ length: entries }, (_, entry) => `${segmentIndex}.${entry}`), `end ${entries}`, ""].join("\n")

export const proof: ProofMaker = {
  begin: () => {
    let text = ""
    return {
      push: (bytes) => {
        text += Buffer.from(bytes).toString()
      },
      end: () => {
        const lines = text.split("\n")
        const events = lines.length - 2
        return lines.at(-2) === `end ${events}`
          ? { events, firstEventId: undefined, lastEventId: undefined, closedMillis: 0 }
          : segmentFault("Truncated", text.length, "a last line that counts the others", lines.at(-1) ?? "")
      }
    }
  }
}
