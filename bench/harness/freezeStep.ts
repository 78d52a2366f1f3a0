/** The freeze step by itself, as a recorder runs it to whom nobody commits. */
import * as Effect from "effect/Effect"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { SegmentDirectory } from "../../src/disk/SegmentDirectory.ts"
import { freeze } from "../../src/maintainer/steps/FreezeStep.ts"
import type { Frozen } from "../../src/maintainer/steps/FreezeStep.ts"
import { FrameMemory } from "../../src/reading/segment/FrameReader.ts"
import { noopUpdater } from "../../src/telemetry/SegmentMaintainerUpdater.ts"

const pressure = { commitsAsked: () => 0, isAwaited: () => false }

/** Freezes one closed segment of the directory. */
export const freezeStep = (directory: string, segmentIndex: number): Promise<Frozen> =>
  Effect.runPromise(Effect.provide(
    freeze(
      {
        directory: new SegmentDirectory(directory),
        compression: "frame",
        telemetry: noopUpdater,
        pressure,
        leftBehind: new Set(),
        memory: new FrameMemory()
      },
      segmentIndex
    ),
    NodeDisk.layer
  ))
