/**
 * Whoever is called at night finds every alert, every error and every reason in docs/OPERATIONS.md, and nothing that no
 * longer exists.
 */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { diskReasonTags } from "../../src/disk/DiskReason.ts"
import { stepReasonTags } from "../../src/maintainer/steps/StepReason.ts"
import { SegmentCorruptReason } from "../../src/reading/segment/SegmentCorruptReason.ts"
import { MonitorReason } from "../../src/recorder/monitor/MonitorReason.ts"
import { RecorderReason } from "../../src/recorder/RecorderReason.ts"

const root = join(import.meta.dirname, "../..")
const textOf = (file: string): string => readFileSync(join(root, file), "utf8")
const operations = textOf("docs/OPERATIONS.md")

/** From a heading to the next one of its level or above. */
const sectionOf = (heading: string): string => {
  const level = heading.split(" ")[0]?.length ?? 0
  const at = `\n${operations}`.indexOf(`\n${heading}\n`)
  assert.isAtLeast(at, 0, `there is a section ${heading}`)
  const rest = operations.slice(at + heading.length)
  const end = rest.search(new RegExp(`\\n#{1,${level}} `))
  return end < 0 ? rest : rest.slice(0, end)
}

/** The names in the first column of a section's tables. */
const rowsOf = (section: string): ReadonlyArray<string> =>
  [...section.matchAll(/^\| \[?`(\w+)`/gm)].map((match) => match[1] ?? "")

/** The tags of a union of reasons. */
const tagsOf = (union: {
  readonly members: ReadonlyArray<
    { readonly fields: { readonly _tag: { readonly schema: { readonly literal: string } } } }
  >
}) => union.members.map(({ fields }) => fields._tag.schema.literal)

/** The tags of reasons that are no schema, in the order of their file. */
const namesIn = (file: string): ReadonlyArray<string> =>
  [...textOf(file).matchAll(/taggedReason\(\s*"(\w+)"/g)].map((match) => match[1] ?? "")

/** The tagged errors of the library; those of the command line are sentences for people. */
const errors = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.startsWith("cli"))
  // Reasons have rows in the section of their error.
  .map((file) => textOf(`src/${file}`).replaceAll(/@category reasons\n \*\/\nexport class/g, ""))
  .flatMap((text) => [...text.matchAll(/class (\w+)(?:<[^>]*>)? extends (?:Schema|Data)\.TaggedError/g)])
  .map((match) => match[1] ?? "")

describe("docs/OPERATIONS.md", () => {
  const reasons: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
    ["RecorderError", tagsOf(RecorderReason)],
    ["StepError", stepReasonTags],
    ["DiskError", diskReasonTags],
    ["SegmentCorrupt", tagsOf(SegmentCorruptReason)],
    ["MonitorError", tagsOf(MonitorReason)],
    ["ArchiveError", namesIn("src/archive/ArchiveReason.ts")],
    ["StoreError", namesIn("src/store/StoreReason.ts")]
  ]
  for (const [error, literals] of reasons) {
    it(`says what to do about every reason of ${error}`, () => {
      assert.deepStrictEqual(rowsOf(sectionOf(`### \`${error}\``)), literals)
    })
  }

  it("has a section for every error, and for nothing else", () => {
    const sections = [...sectionOf("## When an error is reported").matchAll(/^### `(\w+)`$/gm)].map((match) => match[1])
    assert.deepStrictEqual(sections.sort(), errors.sort())
  })

  it("says what to do at once about every alert", () => {
    const alerts = [...textOf("docs/monitoring/alerts.yml").matchAll(/alert: (\w+)/g)].map((match) => match[1] ?? "")
    assert.deepStrictEqual(rowsOf(sectionOf("## When an alert fires")), alerts)
  })
})
