/**
 * Dashboards and alerts fail silently when a metric has another name, so every name and label they use is looked up
 * among those that are exported.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { failureReasons } from "../../src/telemetry/Counters.ts"
import * as Telemetry from "../../src/telemetry/Telemetry.ts"
import { makeBuffer } from "../../src/telemetry/TelemetryBuffer.ts"
import { prometheusText } from "../../src/telemetry/TelemetryExport.ts"

const fileOf = (name: string): string => fileURLToPath(new URL(`../../docs/monitoring/${name}`, import.meta.url))
const textOf = (name: string): string => readFileSync(fileOf(name), "utf8")

/** The export of a recorder that has done everything twice. */
const exported = (): string => {
  const telemetry = Telemetry.attach(makeBuffer(1))
  const updater = telemetry.updater(0)
  for (let run = 0; run < 2; run++) {
    updater.onPersistenceLoop(true, 0, 0)
    updater.onHotSegmentRetention(true, 0)
    updater.onHotSegmentCompression(true, 0)
    updater.onColdSegmentDeletion(true, 0)
    updater.onPersist(true, 0)
    updater.onFlush(true, 0)
    updater.onSync(true, 0)
    updater.onAppend(true, 0)
    updater.onRotation(true, 0)
    updater.onCommit(true, 0)
    updater.onArchival(true, 0)
  }
  updater.count("compressionBytesIn", 2)
  updater.count("compressionBytesOut", 1)
  return prometheusText(telemetry.snapshotUnsafe())
}

/** Gives the labels of every series, by name. */
const series = new Map<string, Array<Map<string, string>>>()
for (const [, name = "", labels = ""] of exported().matchAll(/^(\w+)\{(.*)\} /gm)) {
  const values = new Map([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label = "", value = ""]) => [label, value]))
  series.set(name, [...(series.get(name) ?? []), values])
}

/** Finds the names and selectors in PromQL or prose; those that Prometheus itself adds are not looked up. */
const uses = (text: string) =>
  [...text.matchAll(/\b(effect_wal_\w+)(?:\{([^}]*)\})?/g)].map(([, name = "", selector = ""]) => ({
    name,
    labels: [...selector.matchAll(/(\w+)(=~?)"([^"]*)"/g)]
      .map(([, label = "", operator = "", value = ""]) => ({ label, operator, value }))
      .filter(({ label }) => label !== "instance")
  }))

const check = (text: string): void => {
  for (const { labels, name } of uses(text)) {
    const known = series.get(name)
    assert.isDefined(known, `${name} is exported`)
    for (const { label, operator, value } of labels) {
      const pattern = operator === "=" ? undefined : new RegExp(`^(${value})$`)
      const isThere = known.some((labels) => {
        const found = labels.get(label)
        return found !== undefined && (pattern?.test(found) ?? found === value)
      })
      assert.isTrue(isThere, `${name} has ${label}${operator}"${value}"`)
    }
  }
}

const Dashboard = Schema.fromJsonString(Schema.Struct({
  panels: Schema.Array(Schema.Struct({
    id: Schema.Int,
    type: Schema.String,
    title: Schema.String,
    targets: Schema.optional(Schema.Array(Schema.Struct({ expr: Schema.String })))
  }))
}))

const alertNames = () => [...textOf("alerts.yml").matchAll(/- alert: (\w+)/g)].map(([, name = ""]) => name)
const hasPromtool = spawnSync("promtool", ["--version"]).status === 0

describe("docs/monitoring", () => {
  it("draws only what is exported", () => {
    const { panels } = Schema.decodeSync(Dashboard)(textOf("grafana-dashboard.json"))
    const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
    assert.isAbove(queries.length, 20)
    for (const query of queries) {
      assert.isNotEmpty(uses(query), query)
      check(query)
    }
    assert.strictEqual(new Set(panels.map(({ id }) => id)).size, panels.length)
    for (const { targets = [], title, type } of panels) assert.isTrue(type === "row" || targets.length > 0, title)
  })

  it("alerts only about what is exported", () => {
    const text = textOf("alerts.yml")
    assert.isAtLeast(uses(text).length, alertNames().length)
    check(text)
  })

  it("explains each alert, names only what is exported, and knows every reason of a failure", () => {
    const text = textOf("README.md")
    const explained = [...text.matchAll(/^### (\w+)$/gm)].map(([, name]) => name)
    assert.deepStrictEqual(explained, alertNames())
    check(text)
    for (const reason of failureReasons) {
      if (reason !== "Corrupt" && reason !== "VerifyFailed") assert.include(text, `\`${reason}\``)
    }
  })

  it.skipIf(!hasPromtool)("passes promtool check metrics and check rules (needs Prometheus)", () => {
    const metrics = spawnSync("promtool", ["check", "metrics"], { input: exported(), encoding: "utf8" })
    assert.deepStrictEqual([metrics.status, metrics.stdout, metrics.stderr], [0, "", ""])
    const rules = spawnSync("promtool", ["check", "rules", fileOf("alerts.yml")], { encoding: "utf8" })
    assert.strictEqual(rules.status, 0, rules.stderr)
    assert.include(rules.stdout, `${alertNames().length} rules found`)
  })
})
