/** What is started and never imported, by the names of the files in `dist/bin`: the command, and what threads run. */
export const packagePrograms = {
  "effect-wal": "src/cli/main.ts",
  verifyThread: "src/cli/verifying/verifyThread.ts",
  maintainerThread: "src/maintainer/maintainerThread.ts",
  compressorThread: "src/maintainer/compressorThread.ts"
} as const
