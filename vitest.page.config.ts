import { defineConfig } from "vitest/config"

// The console's page in a browser. Apart from the suite because it needs one, and a package that drives it.
export default defineConfig({
  test: {
    include: ["page/**/*.test.mjs"],
    maxWorkers: 1,
    testTimeout: 60_000,
    hookTimeout: 120_000
  }
})
