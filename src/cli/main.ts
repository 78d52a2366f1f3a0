#!/usr/bin/env node
/**
 * The process `effect-wal`. Runs the command line once, and exits with its exit code.
 *
 * The version alone is told without the rest, which takes three times as long to load as Node itself. Each of both is
 * loaded here, so nothing imports this file: where it has two names, by a link, it would run twice.
 */

const args = process.argv.slice(2)
const [only = ""] = args

if (args.length === 1 && ["--version", "-v"].includes(only)) {
  const { versionLine } = await import("./version.ts")
  // A reader that has gone away is no failure.
  process.stdout.on("error", () => undefined).write(`${versionLine}\n`)
} else (await import("./process.ts")).runProcess(args)
