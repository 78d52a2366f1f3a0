/** Where the module of a thread is found, from wherever the one that starts it lies. */
import { assert, describe, it } from "@effect/vitest"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { pathToFileURL } from "node:url"
import { findThreadModule } from "../../src/disk/ThreadModule.ts"

/** What is found from a file when these files are there, as a path from the same folder. */
const foundFrom = (here: string, files: ReadonlyArray<string>): string | undefined => {
  const root = mkdtempSync(join(tmpdir(), "effect-wal-"))
  try {
    for (const file of files) {
      mkdirSync(join(root, dirname(file)), { recursive: true })
      writeFileSync(join(root, file), "")
    }
    const rootUrl = `${pathToFileURL(root).href}/`
    return findThreadModule("aThread", new URL(here, rootUrl).href)?.href.slice(rootUrl.length)
  } finally {
    rmSync(root, { recursive: true })
  }
}

describe("the module of a thread", () => {
  it("lies beside the one that starts it, with the same ending: in a checkout and in an application's bundle", () => {
    assert.strictEqual(foundFrom("src/maintainer/Pool.ts", ["src/maintainer/aThread.ts"]), "src/maintainer/aThread.ts")
    assert.strictEqual(foundFrom("app.mjs", ["aThread.mjs", "aThread.js"]), "aThread.mjs")
    assert.strictEqual(foundFrom("a b/app.cjs?x=1", ["a b/aThread.cjs"]), "a%20b/aThread.cjs")
  })

  it("lies in the folder bin of the package otherwise", () => {
    assert.strictEqual(foundFrom("dist/maintainer/Pool.js", ["dist/bin/aThread.js"]), "dist/bin/aThread.js")
  })

  it("is nowhere in a bundle without it, and in one that does not know where it lies", () => {
    assert.isUndefined(foundFrom("app.mjs", ["aThread.js"]))
    assert.isUndefined(findThreadModule("aThread", undefined))
    assert.isUndefined(findThreadModule("aThread", "https://example.org/app.js"))
  })
})
