/**
 * An application that writes segments of its own: its own bytes, its own naming. It provides the three queues and the
 * maintainer's layer, and nothing else of ours, and gets durability, compression, retention, counters and a drain.
 *
 * ```sh
 * node examples/own-writer.ts
 * ```
 *
 * @since 0.1.0
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  NodeDisk,
  SegmentMaintainer,
  SegmentName,
  SegmentProof,
  SegmentQueues,
  TaskQueue,
  Telemetry,
  Verify
} from "../src/index.ts"

const naming = { prefix: "journal", suffix: ".jsonl", digits: 4 }

/** Our bytes: a line of JSON for each entry, and a last line that says how many there are. */
const journal = (segmentIndex: number, entries: number): string => {
  const lines = Array.from({ length: entries }, (_, entry) => JSON.stringify({ segmentIndex, entry, text: "hello" }))
  return [...lines, JSON.stringify({ end: entries }), ""].join("\n")
}

/** Only we can say whether a journal is whole: its last line counts the others. */
const proof: SegmentProof.ProofMaker = {
  begin: () => {
    let text = ""
    return {
      push: (bytes) => {
        text += Buffer.from(bytes).toString()
      },
      end: () => {
        const lines = text.trimEnd().split("\n")
        const events = lines.length - 1
        const last = lines.at(-1) ?? ""
        return last === JSON.stringify({ end: events })
          ? { events, firstEventId: undefined, lastEventId: undefined, closedMillis: 0 }
          : Verify.segmentFault("Truncated", text.length, "a last line that counts the others", last)
      }
    }
  }
}

const directory = mkdtempSync(join(tmpdir(), "effect-wal-own-writer-"))

const program = Effect.gen(function*() {
  const maintainer = yield* SegmentMaintainer.SegmentMaintainer
  const toPersist = yield* SegmentQueues.SegmentsToPersist
  const toFreeze = yield* SegmentQueues.SegmentsToFreeze

  for (let segmentIndex = 0; segmentIndex < 12; segmentIndex++) {
    const whole = journal(segmentIndex, 1000)
    // The sixth one loses its end.
    const bytes = segmentIndex === 5 ? whole.slice(0, -20) : whole
    writeFileSync(join(directory, SegmentName.hotName(naming, segmentIndex)), bytes)
    yield* TaskQueue.offer(toPersist, { segmentIndex, bytes: bytes.length })
  }
  // Retention freezes and frees by itself; whoever wants a segment frozen sooner says so.
  yield* TaskQueue.offer(toFreeze, { segmentIndex: 11, bytes: 0 })

  const receipt = yield* maintainer.drain
  yield* Console.log("done:", receipt.done, "left:", receipt.left)
  for (const failure of yield* maintainer.failures) yield* Console.log("failed:", failure.message)
  yield* Console.log("consistent:", yield* maintainer.verifyConsistency)
  const { counters } = yield* (yield* Telemetry.Telemetry).snapshot
  yield* Console.log("compressed:", counters.compressionBytesIn, "→", counters.compressionBytesOut, "bytes")
  yield* Console.log(readdirSync(directory).sort().join("\n"))
})

const layer = SegmentMaintainer.layerAlone({
  directory,
  naming,
  limits: { maxSegments: 4, maxCompressedSegments: 6 }
}).pipe(
  Layer.provide(Layer.succeed(SegmentProof.SegmentProof, proof)),
  Layer.provideMerge(Layer.mergeAll(SegmentQueues.layer, Telemetry.layer({ writersMax: 1 }), NodeDisk.layer))
)

NodeRuntime.runMain(
  program.pipe(
    Effect.provide(layer),
    Effect.ensuring(Effect.sync(() => rmSync(directory, { recursive: true, force: true })))
  )
)
