import { defineConfig } from "vitest/config"

// The package as its users get it: packed, installed, bundled. Apart from the suite because it needs npm's cache or a
// registry, and because it takes as long as npm does.
export default defineConfig({
  test: {
    include: ["test/package/**/*.test.ts"],
    globalSetup: ["test/package/install.ts"],
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 300_000
  }
})
