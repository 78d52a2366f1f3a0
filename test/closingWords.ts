/**
 * What a run of the tests ends with: how much of each sample was played, the ten slowest tests, and every error that no test has
 * caught, with its place. `tools/repeat.ts` reads the same from the file that `EFFECT_WAL_RUN_REPORT` names.
 */
import { writeFileSync } from "node:fs"
import type { SerializedError } from "vitest"
import type { Reporter, TestCase, TestModule } from "vitest/node"

/** The variable that names the file. */
export const reportVariable = "EFFECT_WAL_RUN_REPORT"

/** A run, as `tools/repeat.ts` reads it. */
export interface RunReport {
  readonly passed: number
  readonly failed: ReadonlyArray<string>
  readonly unhandled: ReadonlyArray<string>
  readonly tests: ReadonlyArray<{ readonly name: string; readonly millis: number }>
}

const slowestCount = 10

const nameOf = (test: TestCase): string => `${test.module.relativeModuleId} > ${test.fullName}`

/** An error that no test has caught: what it says, which test ran then, and the first line of its stack that is ours. */
const placeOf = (error: SerializedError): string => {
  const file: unknown = error["VITEST_TEST_PATH"]
  const name: unknown = error["VITEST_TEST_NAME"]
  const line = (error.stack ?? "").split("\n").find((text) => /^\s+at /.test(text) && !text.includes("node_modules"))
  return [
    `${error.name ?? "Error"}: ${error.message}`,
    typeof file === "string" ? `in ${file}${typeof name === "string" ? ` > ${name}` : ""}` : "",
    line?.trim() ?? ""
  ].filter((part) => part !== "").join("\n    ")
}

const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`.padStart(8)

export class ClosingWords implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, errors: ReadonlyArray<SerializedError>): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()])
    const timed = tests.map((test) => ({ name: nameOf(test), millis: test.diagnostic()?.duration ?? 0 }))
      .toSorted((a, b) => b.millis - a.millis)
    const samples = tests.flatMap((test) => test.annotations()).filter(({ type }) => type === "sample")
    const unhandled = errors.map(placeOf)
    const report: RunReport = {
      passed: tests.filter((test) => test.result().state === "passed").length,
      failed: [
        ...modules.filter((module) => module.errors().length > 0).map((module) => module.relativeModuleId),
        ...tests.filter((test) => test.result().state === "failed").map(nameOf)
      ],
      unhandled,
      tests: timed
    }
    const path = process.env[reportVariable]
    if (path !== undefined) writeFileSync(path, JSON.stringify(report))

    const lines: Array<string> = []
    if (samples.length > 0) lines.push(`Sampled: ${samples.map(({ message }) => message).join(", ")}`, "")
    if (timed.length > slowestCount) {
      lines.push(`The ${slowestCount} slowest:`)
      for (const { millis, name } of timed.slice(0, slowestCount)) lines.push(`${seconds(millis)}  ${name}`)
      lines.push("")
    }
    if (unhandled.length > 0) {
      lines.push(
        "Errors that no test has caught fail the run:",
        ...unhandled.map((text) => `  ${text}`),
        ""
      )
    }
    process.stdout.write(`${lines.join("\n")}\n`)
  }
}
