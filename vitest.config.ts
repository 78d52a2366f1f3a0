import { join } from "node:path"
import { defineConfig } from "vitest/config"

// The tests start many processes and threads; each would strip the types of all modules anew.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "node_modules/.cache/node")

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    exclude: ["test/package/**"],
    globalSetup: ["test/build.ts"],
    // Two more than the cores of the smallest machine we test on: some tests only wait, for a drain or for a process.
    maxWorkers: 4,
    // All files of a worker share one copy of Effect's modules; loading them for each takes longer than many a file's tests.
    isolate: false,
    testTimeout: 60_000,
    hookTimeout: 60_000
  }
})
