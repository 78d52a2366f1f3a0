/**
 * A real Prometheus scrapes a running recorder, loads the alerts, and answers every query of the dashboard. Everything
 * listens on the loopback address and ends with the test. The test is skipped where the commands are missing.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { place, start } from "../cli/commandLine.ts"

const monitoring = (name: string): string => fileURLToPath(new URL(`../../docs/monitoring/${name}`, import.meta.url))
const hasPrometheus = spawnSync("prometheus", ["--version"]).status === 0

const freePort = Effect.promise(async () => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  return typeof address === "object" && address !== null ? address.port : 0
})

const startPrometheus = Effect.fnUntraced(function*(target: string) {
  const port = yield* freePort
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-wal-prometheus-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  const config = {
    global: { scrape_interval: "500ms", scrape_timeout: "500ms", evaluation_interval: "500ms" },
    rule_files: [monitoring("alerts.yml")],
    scrape_configs: [{ job_name: "effect-wal", static_configs: [{ targets: [target] }] }]
  }
  const path = join(directory, "prometheus.yml")
  // JSON is YAML.
  writeFileSync(path, JSON.stringify(config))
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn("prometheus", [
        `--config.file=${path}`,
        `--storage.tsdb.path=${join(directory, "data")}`,
        `--web.listen-address=127.0.0.1:${port}`
      ], { stdio: "ignore" })
    ),
    (child) =>
      Effect.promise(async () => {
        const exit = once(child, "exit")
        child.kill("SIGTERM")
        await exit
      })
  )
  return `http://127.0.0.1:${port}`
})

interface Answer {
  readonly status: string
  readonly data: {
    readonly result: ReadonlyArray<
      { readonly metric: Record<string, string>; readonly value: readonly [number, string] }
    >
    readonly groups: ReadonlyArray<
      { readonly rules: ReadonlyArray<{ readonly name: string; readonly health: string }> }
    >
  }
}

const ask = async (url: string): Promise<Answer> => {
  const response = await fetch(url)
  return await response.json() as Answer
}

/** Asks until there is an answer; only the test's timeout limits how long that may take. */
const until = <A>(look: () => Promise<A | undefined>): Effect.Effect<A> =>
  Effect.promise(async (signal) => {
    while (true) {
      const found = await look().catch(() => undefined)
      if (found !== undefined) return found
      await setTimeout(100, undefined, { signal })
    }
  })

describe("a real Prometheus", () => {
  it.live.skipIf(!hasPrometheus)(
    "scrapes a running recorder (needs the command `prometheus`)",
    () =>
      Effect.gen(function*() {
        const directory = (yield* place)("log")
        const recorder = yield* start(
          ["record", "--dir", directory, "--acks", "--metrics", "0", "--segment-bytes", "16KiB", "--max-segments", "2"]
        )
        const [, target = ""] = yield* recorder.says(/http:\/\/([\d.:]+)\/metrics/)
        const base = yield* startPrometheus(target)
        const query = (text: string) => ask(`${base}/api/v1/query?query=${encodeURIComponent(text)}`)
        const valueIs = (name: string, value: string) =>
          until(async () => (await query(name)).data.result.some((one) => one.value[1] === value) ? true : undefined)

        recorder.write("a line that is recorded again and again\n".repeat(3_000))
        yield* recorder.durable(3_000)
        yield* valueIs("effect_wal_written_events_total", "3000")
        recorder.write("one more\n")
        yield* recorder.durable(3_001)
        yield* valueIs("effect_wal_written_events_total", "3001")
        yield* valueIs("up", "1")

        const expressions: ReadonlyArray<string> = JSON.parse(
          readFileSync(monitoring("grafana-dashboard.json"), "utf8")
        )
          .panels.flatMap(({ targets = [] }: { readonly targets?: ReadonlyArray<{ readonly expr: string }> }) =>
            targets.map(({ expr }) => expr)
          )
        for (const expression of expressions) {
          const text = expression.replaceAll("$instance", ".*").replaceAll("$__rate_interval", "1m")
          // No step has failed, no segment was deleted, and the command line does not wait for commits.
          const mayBeEmpty = text.endsWith("> 0") || text.includes("deletion") || text.includes("commit")
          const answer = yield* until(async () => {
            const answer = await query(text)
            return answer.status !== "success" || mayBeEmpty || answer.data.result.length > 0 ? answer : undefined
          })
          assert.strictEqual(answer.status, "success", text)
        }

        const rules = yield* until(async () => {
          const { data } = await ask(`${base}/api/v1/rules`)
          const rules = data.groups.flatMap((group) => group.rules)
          return rules.length > 0 && rules.every(({ health }) => health !== "unknown") ? rules : undefined
        })
        assert.strictEqual(rules.length, readFileSync(monitoring("alerts.yml"), "utf8").split("- alert:").length - 1)
        for (const { health, name } of rules) assert.strictEqual(health, "ok", name)
        assert.strictEqual((yield* recorder.end()).code, 0, recorder.said())
      }).pipe(Effect.scoped)
  )
})
