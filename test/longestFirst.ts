/**
 * The order of the files: those that take longest first, so that no worker still runs a long one when the others have
 * ended. It is the same in every run, whatever failed or was slow in the last one.
 */
import { BaseSequencer } from "vitest/node"
import type { TestSpecification } from "vitest/node"

/** A file that is not here and takes long only ends a run later; `test/closingWords.ts` shows it. */
const longest = [
  "recorder/Recorder",
  "faults/filesystems",
  "cli/errors",
  "recorder/Follow",
  "disk/LockSocket",
  "maintainer/SegmentMaintainer",
  "cli/endings",
  "faults/kill",
  "reading/segment/SegmentSeek",
  "maintainer/executor/Supervisor",
  "faults/inject",
  "faults/security",
  "cli/commands/record",
  "reading/recovery/Recovery",
  "reading/segment/SegmentReader",
  "simulation/planted",
  "simulation/simulation",
  "shared/interleavings",
  "format1/Format1Recorder",
  "recorder/AfterRepair",
  "reading/recovery/Backup",
  "docs/examples",
  "cli/terminal/Progress",
  "cli/commands/doctor",
  "maintainer/own-writer"
].map((name) => `/test/${name}.test.ts`)

const place = ({ moduleId }: TestSpecification): number => {
  const index = longest.findIndex((name) => moduleId.endsWith(name))
  return index < 0 ? longest.length : index
}

export class LongestFirst extends BaseSequencer {
  override sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    return Promise.resolve(
      files.toSorted((a, b) => place(a) - place(b) || (a.moduleId < b.moduleId ? -1 : 1))
    )
  }
}
