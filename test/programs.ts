/**
 * The programs and threads that tests start: bundled, which `test/build.ts` does before the first test. Node
 * needs a third of a second of processor time to load the 380 modules of the command line, and a tenth for the bundle.
 */
import { join } from "node:path"
import { packagePrograms } from "../tools/packagePrograms.ts"

const root = join(import.meta.dirname, "..")

/** Those of the tests, by their sources. */
export const testPrograms = {
  oneProcess: "test/cli/oneProcess.ts",
  mortalThread: "test/maintainer/mortalThread.ts",
  victim: "test/faults/victim.ts",
  consuming: "test/faults/consuming.ts",
  clusterVictim: "test/faults/clusterVictim.ts",
  ownerVictim: "test/faults/ownerVictim.ts",
  storeVictim: "test/faults/storeVictim.ts",
  lockHolder: "test/disk/lockHolder.ts",
  openings: "test/recorder/openings.ts",
  manyLogs: "test/recorder/manyLogs.ts"
} as const

const sources = { ...packagePrograms, ...testPrograms } as const

/** Names the folder of the bundles, for the processes that `test/build.ts` starts, and for theirs. */
export const folderVariable = "EFFECT_WAL_TEST_PROGRAMS"

/** The file to start: the bundle, or the source where nobody has bundled, as in `node test/faults/kill.ts`. */
export const program = (name: keyof typeof sources): string => {
  const folder = process.env[folderVariable]
  return folder === undefined ? join(root, sources[name]) : join(folder, `${name}.js`)
}
