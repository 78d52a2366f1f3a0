/** `effect-wal schema`: prints the JSON Schema of what a command prints with `--json`. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { outputs } from "../outputs/outputs.ts"
import { UsageFailure } from "../terminal/CliFailure.ts"
import { writeOutput } from "../terminal/StandardStreams.ts"

/** Runs the command. */
export const schema = Effect.fnUntraced(function*({ command }: { readonly command: ReadonlyArray<string> }) {
  const name = command.join(" ")
  const found = Object.entries(outputs).find(([other]) => other === name)?.[1]
  if (found === undefined) {
    return yield* new UsageFailure({
      message: `"${name}" prints no JSON; these commands do: ${Object.keys(outputs).toSorted().join(", ")}`
    })
  }
  const document = Schema.toJsonSchemaDocument(found)
  const text = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: `effect-wal ${name} --json`,
    ...plain(document.schema) as object,
    ...(Object.keys(document.definitions).length === 0 ? {} : { $defs: plain(document.definitions) })
  }
  yield* writeOutput(`${JSON.stringify(text, undefined, 2)}\n`)
})

/** Every number that is printed is finite, which not every schema of the library says. */
const plain = (part: unknown): unknown => {
  if (Array.isArray(part)) return part.map(plain)
  if (typeof part !== "object" || part === null) return part
  const { anyOf, ...rest } = Object.fromEntries(Object.entries(part).map(([name, value]) => [name, plain(value)]))
  if (!Array.isArray(anyOf)) return rest
  const left = anyOf.filter(({ enum: values }) => !Array.isArray(values) || !values.includes("NaN"))
  return left.length === 1 ? { ...rest, ...left[0] } : { ...rest, anyOf: left }
}
