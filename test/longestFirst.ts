/**
 * The order of the files: those that take longest first, so that no worker still runs a long one when the others have
 * ended. It is the same in every run, whatever failed or was slow in the last one.
 */
import { BaseSequencer } from "vitest/node"
import type { TestSpecification } from "vitest/node"

/** A file that is not here and takes long only ends a run later; `test/closingWords.ts` shows it. */
const longest = [
  "cli/errors",
  "reading/readersAgree",
  "cli/endings",
  "recorder/restarts",
  "reading/recovery/Quarantine",
  "recorder/damaged",
  "faults/filesystems",
  "cli/commands/archive",
  "disk/DurableNames",
  "recorder/Recorder",
  "maintainer/SegmentMaintainer",
  "docs/examples",
  "maintainer/durableHolds",
  "simulation/archive/archivedSimulation",
  "maintainer/heldBack",
  "disk/LockSocket",
  "recorder/Follow",
  "maintainer/threads",
  "recorder/manyLogs",
  "reading/recovery/Recovery",
  "archive/Archive",
  "faults/abilities",
  "maintainer/executor/Supervisor",
  "cli/commands/doctor",
  "recorder/telemetryBeneath",
  "maintainer/archived",
  "faults/security",
  "cli/commands/stats",
  "recorder/ThreadAppender",
  "simulation/planted",
  "reading/segment/SegmentSeek",
  "archive/SegmentUpload",
  "faults/kill",
  "maintainer/fullDisk",
  "shared/interleavings",
  "store/nastyNetwork",
  "faults/killArchive",
  "archive/ArchiveDisk",
  "recorder/severalLogs",
  "faults/inject",
  "cli/commands/record",
  "telemetry/prometheus"
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
