import { availableParallelism } from "node:os"
import { join } from "node:path"
import { defineConfig } from "vitest/config"
import { ClosingWords } from "./test/closingWords.ts"
import { LongestFirst } from "./test/longestFirst.ts"
import { isLong } from "./test/samples.ts"

// The tests start many processes and threads; each would compile all modules anew.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "node_modules/.cache/node")

/** For what hangs, and for nothing else: how fast something is, no test asks. */
const hangMillis = isLong ? 0 : 300_000

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    exclude: ["test/package/**"],
    globalSetup: ["test/build.ts"],
    reporters: ["default", new ClosingWords()],
    // More than there are cores: many tests wait, for the disk, for a process or for a drain.
    maxWorkers: availableParallelism() + 2,
    // All files of a worker share one copy of Effect's modules; loading them for each takes longer than many a file's tests.
    isolate: false,
    // Tests make much garbage that is young. With V8's own size its collection takes a twentieth of their processor time.
    execArgv: ["--min-semi-space-size=32"],
    sequence: { sequencer: LongestFirst },
    testTimeout: hangMillis,
    hookTimeout: hangMillis
  }
})
