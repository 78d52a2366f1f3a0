/** Where a thread has no priority of its own, or there is no program to set it, it runs as it is. */
import { assert, describe, it } from "@effect/vitest"
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { getPriority, tmpdir } from "node:os"
import { join } from "node:path"
import { onTestFinished } from "vitest"
import { runOnlyWhenIdle, yieldToOtherThreads } from "../../../src/maintainer/compressor/threadPriority.ts"

/** The folders of programs: one with a `chrt` that notes that it was called, or none at all. */
const withPath = (folder: string): void => {
  const before = process.env["PATH"]
  process.env["PATH"] = folder
  onTestFinished(() => {
    process.env["PATH"] = before
  })
}

const onPlatform = (value: string): void => {
  const before = Object.getOwnPropertyDescriptor(process, "platform") ?? {}
  Object.defineProperty(process, "platform", { ...before, value })
  onTestFinished(() => void Object.defineProperty(process, "platform", before))
}

const temporary = (): string => {
  const root = mkdtempSync(join(tmpdir(), "effect-wal-"))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  return root
}

describe.skipIf(process.platform !== "linux")("the priority of a compressing thread", () => {
  const noting = (): string => {
    const root = temporary()
    writeFileSync(join(root, "chrt"), `#!/bin/sh\n: > ${root}/called\n`, { mode: 0o755 })
    withPath(root)
    return root
  }

  it("is set by chrt on Linux", () => {
    const root = noting()
    runOnlyWhenIdle()
    assert.deepStrictEqual(readdirSync(root).sort(), ["called", "chrt"])
  })

  it.each(["darwin", "win32", "freebsd"])("is left alone on %s", (platform) => {
    const root = noting()
    onPlatform(platform)
    const before = getPriority()
    runOnlyWhenIdle()
    yieldToOtherThreads()
    assert.deepStrictEqual(readdirSync(root), ["chrt"])
    assert.strictEqual(getPriority(), before)
  })

  it("is left alone where there is no chrt", () => {
    withPath(temporary())
    assert.doesNotThrow(runOnlyWhenIdle)
  })
})
