/**
 * Processes that record and archive, one after the other, while requests to the store are refused, lost, late, or find
 * nobody; and each of which may be cut off from the store at any request for the rest of its life, as if it had died
 * there. After every change of the store its true state is held against the invariants.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { manifestKey, segmentKey } from "../../src/archive/Manifest.ts"
import { xxh64 } from "../../src/internal/xxh64.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import { kinds, named, quiet, whileClockTurns } from "../maintainer/maintaining.ts"
import type { Kind } from "../maintainer/maintaining.ts"
import { isLong } from "../samples.ts"
import {
  archivedEvents,
  localEvents,
  log,
  makeMachine,
  manifestIn,
  record,
  rowsIn,
  settled,
  start
} from "./archiving.ts"
import { etagOf, makeMemoryStore } from "./memoryStore.ts"
import type { Fate, MemoryStore } from "./memoryStore.ts"

/** What is wrong with the store as it truly is: rows that went, objects that are missing or others, too many rows. */
const wrongIn = (memory: MemoryStore, before: { nextIndex: number; counter: number }): ReadonlyArray<string> => {
  const manifest = manifestIn(memory)
  if (manifest === undefined) return []
  const wrong: Array<string> = []
  if (manifest.nextIndex < before.nextIndex) wrong.push(`rows were lost: ${before.nextIndex} to ${manifest.nextIndex}`)
  if (manifest.counter < before.counter) wrong.push(`an older manifest came back: ${manifest.counter}`)
  before.nextIndex = manifest.nextIndex
  before.counter = manifest.counter
  if (manifest.rows.length > 255) wrong.push("more than 255 rows")
  for (const row of manifest.rows) {
    if (row.form === "none" || row.index < manifest.firstIndex) continue
    const bytes = memory.objects.get(segmentKey(log, manifest.naming, row))
    if (bytes === undefined) wrong.push(`segment ${row.index} is named and not there`)
    else if (etagOf(bytes) !== row.etag || xxh64(bytes).toString(16).padStart(16, "0") !== row.storedXxh64) {
      wrong.push(`segment ${row.index} is not what is named`)
    }
  }
  return wrong
}

const fates: ReadonlyArray<Fate> = ["refused", "lost", "late", "away"]

/** Some lives of a log. */
const live = (kind: Kind, seed: number) =>
  Effect.gen(function*() {
    const random = new SeededRandom(seed)
    const memory = makeMemoryStore()
    const machine = yield* makeMachine(kind, memory, seed)
    const before = { nextIndex: 0, counter: 0 }
    const wrong: Array<string> = []
    memory.onChange = () => wrong.push(...wrongIn(memory, before))
    const words = () => `seed ${seed}: ${[...wrong, ...machine.lost].join("; ")}`
    let events = 0
    for (let process = 0; process < 3; process++) {
      let left = random.below(4) === 0 ? Number.POSITIVE_INFINITY : random.below(60)
      const rate = random.below(3) * 0.15
      memory.fate = () => {
        if (random.below(8) === 0) memory.deliver()
        if (left-- <= 0) return "away"
        return random.below(1000) < rate * 1000 ? fates[random.below(fates.length)]! : "done"
      }
      yield* Effect.scoped(Effect.gen(function*() {
        const running = yield* start(machine, {
          wal: random.below(2) === 0 ? {} : { limits: { maxSegments: 2, maxCompressedSegments: 4 } }
        })
        for (let step = 0; step < 3; step++) {
          const segments = 1 + random.below(5)
          yield* record(machine, running, segments)
          events += segments * 3
          if (random.below(2) === 0) yield* whileClockTurns(Effect.sleep(1 + random.below(20_000)))
        }
        assert.strictEqual((yield* running.recorder.positions).durable, events, words())
        yield* running.close
      }))
      assert.deepStrictEqual([wrong, machine.lost], [[], []], words())
    }
    // In the end the store is well, and what was late has come.
    memory.fate = () => "done"
    memory.deliver()
    yield* Effect.scoped(Effect.gen(function*() {
      const running = yield* start(machine)
      yield* record(machine, running, 1)
      events += 3
      yield* settled(running)
      const rows = yield* rowsIn(memory)
      assert.deepStrictEqual(rows.map(({ index }) => index), rows.map((_, position) => position), words())
      assert.deepStrictEqual(yield* archivedEvents(machine), named(1, events, kind), words())
      const local = yield* localEvents(machine)
      assert.deepStrictEqual(local, named(events - local.length + 1, events, kind), words())
      yield* running.close
    }))
    assert.deepStrictEqual([wrong, machine.lost], [[], []], words())
    assert.isDefined(memory.objects.get(manifestKey(log)))
  })

describe.each(kinds)("an archive whose store fails ($name)", (kind) => {
  it.effect(
    "has no hole, and no local file goes before its copy is named, whatever fails",
    () =>
      Effect.gen(function*() {
        for (let seed = 1; seed <= (isLong ? 1000 : 3); seed++) yield* live(kind, seed)
      }).pipe(quiet),
    600_000
  )
})
