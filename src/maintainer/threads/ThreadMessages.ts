/** What a maintainer thread and the thread that started it tell each other. */
import type { SegmentQueuesMemory } from "../../shared/SegmentQueues.ts"
import type { LineEnd } from "../compressor/CompressingThread.ts"
import type { ExecutorOptions } from "../executor/MaintainerExecutor.ts"
import type { StepOutcome } from "../steps/StepOutcome.ts"

/** An executor, as the thread in which it runs is told of it. */
export interface SeatData {
  readonly executor: number
  readonly options: ExecutorOptions
  readonly control: SharedArrayBuffer
  readonly arena: SharedArrayBuffer | undefined
  readonly queues: SegmentQueuesMemory
  readonly telemetry: SharedArrayBuffer
  readonly proofModule: string | undefined
}

/** What a maintainer thread is told. Seats have numbers, which are never used again. */
export type ToThread =
  | { readonly _tag: "Begin"; readonly seat: number; readonly data: SeatData }
  | { readonly _tag: "End"; readonly seat: number }
  /** It has no seats, and gets none any more. */
  | { readonly _tag: "Stop" }
  | { readonly _tag: "CompressorLine"; readonly line: LineEnd }
  | { readonly _tag: "CompressorEnded"; readonly thread: number; readonly error: Error }
  | { readonly _tag: "CompressorRefused"; readonly error: Error }

/** What a maintainer thread tells. */
export type FromThread =
  | { readonly _tag: "Outcome"; readonly seat: number; readonly outcome: StepOutcome }
  | { readonly _tag: "Warning"; readonly seat: number; readonly message: string }
  /** The last message of a seat; with a text when its executor died of a defect. */
  | { readonly _tag: "Ended"; readonly seat: number; readonly defect: string | undefined }
  /** For a line to another compressing thread than this one; 0: to any. */
  | { readonly _tag: "CompressorWanted"; readonly thread: number }
