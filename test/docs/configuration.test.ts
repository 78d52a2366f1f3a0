/**
 * The table of options in the documentation is the schema, written out.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as WalConfig from "../../src/recorder/WalConfig.ts"

const file = join(import.meta.dirname, "../../docs/CONFIGURATION.md")

const defaultOf = (path: ReadonlyArray<string>): string => {
  const value = path.reduce<unknown>(
    (value, name) => typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined,
    WalConfig.defaults
  )
  if (value === undefined) return path.join() === "directory" ? "must be given" : "none"
  if (Duration.isDuration(value)) return `${Duration.toMillis(value)} ms`
  return typeof value === "number" && value >= 1 << 20 ? `${value / (1 << 20)}MiB` : String(value)
}

const rowOf = ({ expected, path, unit, variable }: WalConfig.ConfigField): string =>
  `| \`${path.join(".")}\` | ${unit === "text" || unit === "number" ? "" : unit} | ${defaultOf(path)} | ${expected}${
    unit === "duration" ? " ms" : ""
  } | \`${variable}\` |`

describe("docs/CONFIGURATION.md", () => {
  it("has a row for every field, with its unit, default, range and variable", () => {
    const rows = readFileSync(file, "utf8").split("\n").filter((line) => line.startsWith("| `"))
    assert.strictEqual(rows.join("\n"), WalConfig.fields.map(rowOf).join("\n"))
  })
})
