import { join } from "node:path"
import { defineConfig } from "vitest/config"

// The tests start many processes and threads; each would strip the types of all modules anew.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "node_modules/.cache/node")

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    exclude: ["test/package/**"],
    globalSetup: ["test/build.ts"],
    // Both cores of the smallest machine we test on; by default one would stay idle.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000
  }
})
