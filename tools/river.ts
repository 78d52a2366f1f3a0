/**
 * Draws the animated picture of the README: a log is recorded for some seconds, its directory is looked at all the while,
 * and what was seen moves as it moved then. `npm run river` writes `docs/river.svg`.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { defaultNaming, parseName } from "../src/format/SegmentName.ts"
import { NodeDisk, Wal } from "../src/index.ts"

/** A segment of this size is frozen between two looks. */
type State = "open" | "hot" | "cold"

/** A segment as its files showed it. */
interface Seen {
  readonly state: State
  readonly bytes: number
}

/** The segments of a directory at one moment, by index. */
type Look = ReadonlyMap<number, Seen>

const looks = 100
const lookMillis = 120
const segmentBytes = 128 * 1024
/** So retention begins to delete a third of the way through. */
const limits = { maxSegments: 5, maxCompressedSegments: 5 }
const eventsALook = 130

const Order = Schema.Struct({ customer: Schema.String, note: Schema.String, cents: Schema.Int })

class Orders extends Wal.Service<Orders>()("river/Orders", { event: Order }) {}

/** What the names and lengths of the files tell. */
const lookAt = (directory: string): Look => {
  const seen = new Map<number, Seen>()
  for (const name of readdirSync(directory).toSorted()) {
    const parsed = parseName(defaultNaming, name)
    if (parsed?.form !== "hot" && parsed?.form !== "cold") continue
    const { form, index } = parsed
    const { size: bytes } = statSync(join(directory, name), { throwIfNoEntry: false }) ?? { size: 0 }
    // Both are there at the end of a freeze; the cold one counts.
    if (bytes > 0 && (form === "cold" || !seen.has(index))) seen.set(index, { state: form, bytes })
  }
  const newest = Math.max(...seen.keys())
  const { bytes, state } = seen.get(newest) ?? { bytes: 0, state: "cold" }
  if (state === "hot") seen.set(newest, { state: "open", bytes })
  return seen
}

const record = Effect.fnUntraced(function*(directory: string) {
  const orders = yield* Orders
  const seen: Array<Look> = []
  for (let look = 0; look < looks; look++) {
    for (let event = 0; event < eventsALook; event++) {
      const number = look * eventsALook + event
      const note = Array.from({ length: 40 }, (_, word) => (number * 31 + word * word * 7) % 997).join(" ")
      yield* orders.append({ customer: `customer ${number % 83}`, note, cents: number })
    }
    yield* orders.commit
    seen.push(lookAt(directory))
    yield* Effect.sleep(lookMillis)
  }
  return seen
})

const width = 880
const height = 150
const top = 46
const barHeight = 64
/** Of a full hot segment. */
const fullWidth = 84
const gap = 3
/** An animation cannot take colours from a style sheet, so these suit light and dark pages. */
const colours: Record<State, string> = { open: "#1f9d6b", hot: "#e2872b", cold: "#4a8fc4" }

/** `values` and `keyTimes` of an animation, with what stays the same left out. */
const keyframes = (values: ReadonlyArray<string>): string => {
  const last = values.length - 1
  const kept = values.flatMap((value, at) =>
    at === 0 || at === last || value !== values[at - 1] || value !== values[at + 1] ? [{ at, value }] : []
  )
  const times = kept.map(({ at }) => Number((at / last).toFixed(4))).join(";")
  return `values="${kept.map(({ value }) => value).join(";")}" keyTimes="${times}"`
}

const animate = (attribute: string, values: ReadonlyArray<string>, isSudden: boolean): string =>
  `<animate attributeName="${attribute}" ${keyframes(values)} dur="${looks * lookMillis}ms" repeatCount="indefinite"` +
  `${isSudden ? ` calcMode="discrete"` : ""}/>`

/** One bar a segment that was ever there. The newest one ends at the right edge. */
const draw = (seen: ReadonlyArray<Look>): string => {
  const indexes = [...new Set(seen.flatMap((look) => [...look.keys()]))].toSorted((left, right) => left - right)
  const widthOf = (bytes: number) => Math.max(3, (bytes / segmentBytes) * fullWidth)
  const places = seen.map((look) => {
    const places = new Map<number, number>()
    let right = width - 16
    for (const index of [...look.keys()].toSorted((one, other) => other - one)) {
      right -= widthOf(look.get(index)!.bytes)
      places.set(index, right)
      right -= gap
    }
    return places
  })
  const bars = indexes.map((index) => {
    const first = seen.findIndex((look) => look.has(index))
    const xs: Array<string> = []
    const widths: Array<string> = []
    const fills: Array<string> = []
    const shown: Array<string> = []
    for (const [at, look] of seen.entries()) {
      const segment = look.get(index)
      if (segment === undefined) {
        xs.push(at < first ? String(width) : xs.at(-1)!)
        widths.push(at < first ? "0" : widths.at(-1)!)
      } else {
        xs.push(places[at]!.get(index)!.toFixed(1))
        widths.push(widthOf(segment.bytes).toFixed(1))
      }
      fills.push(segment === undefined ? fills.at(-1) ?? colours.open : colours[segment.state])
      shown.push(segment === undefined ? "0" : "1")
    }
    return `<rect y="${top}" height="${barHeight}" rx="3">${animate("x", xs, false)}${
      animate("width", widths, false)
    }` +
      `${animate("fill", fills, true)}${animate("opacity", shown, false)}</rect>`
  })
  const words: ReadonlyArray<readonly [State, string]> = [
    ["open", "open: appends go here"],
    ["hot", "hot: closed, as it was written"],
    ["cold", "cold: compressed"]
  ]
  const legend = words.map(([state, text], at) =>
    `<rect x="${16 + at * 215}" y="126" width="11" height="11" rx="2" fill="${colours[state]}"/>` +
    `<text x="${33 + at * 215}" y="136">${text}</text>`
  )
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title">`,
    `<title id="title">A log while it is recorded: segments as wide as their bytes, the newest on the right</title>`,
    `<style>`,
    `text { font: 13px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #16202a; }`,
    `@media (prefers-color-scheme: dark) { text { fill: #e4ebf1; } }`,
    `</style>`,
    `<text x="16" y="28">← deleted by retention</text>`,
    `<text x="${width - 16}" y="28" text-anchor="end">events come in here →</text>`,
    ...bars,
    ...legend,
    `</svg>`,
    ""
  ].join("\n")
}

const directory = mkdtempSync(join(tmpdir(), "effect-wal-river-"))
const OrdersLive = Orders.layer({ directory, segmentBytesMax: segmentBytes, limits }).pipe(
  Layer.provide(NodeDisk.layer)
)
try {
  const seen = await Effect.runPromise(Effect.provide(record(directory), OrdersLive))
  writeFileSync(join(import.meta.dirname, "../docs/river.svg"), draw(seen))
} finally {
  rmSync(directory, { recursive: true, force: true })
}
