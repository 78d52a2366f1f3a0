/** Archives a directory of cold segments as an archive does, without reading back: what a reader needs, in a moment. */
import * as Effect from "effect/Effect"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { segmentKey, thinPlaces } from "../../src/archive/Manifest.ts"
import type { Row } from "../../src/archive/Manifest.ts"
import * as ManifestStore from "../../src/archive/ManifestStore.ts"
import { blockPlaces } from "../../src/format/lz4/Lz4BlockPlaces.ts"
import { defaultNaming, parseName } from "../../src/format/SegmentName.ts"
import { ObjectStore } from "../../src/store/ObjectStore.ts"

const epoch = 1
const noHash = "0".repeat(16)

/** Archives all segments of a directory, each of so many events. */
export const archiveSegments = Effect.fnUntraced(function*(log: string, directory: string, eventsPerSegment: number) {
  const store = yield* ObjectStore
  const manifests = yield* ManifestStore.make(log)
  const rows: Array<Row> = []
  for (const name of readdirSync(directory).sort()) {
    const parsed = parseName(defaultNaming, name)
    if (parsed?.form !== "cold") throw new Error(`${name} is no cold segment`)
    const { index } = parsed
    const file = readFileSync(join(directory, name))
    const etag = yield* store.put(segmentKey(log, defaultNaming, { epoch, form: "lz4", index }), file)
    rows.push({
      index,
      firstId: 1 + index * eventsPerSegment,
      lastId: (index + 1) * eventsPerSegment,
      closedMillis: 0,
      storedBytes: file.length,
      wholeBytes: 0,
      epoch,
      etag,
      storedXxh64: noHash,
      contentXxh64: noHash,
      form: "lz4",
      livedSeconds: 0,
      ...thinPlaces(blockPlaces(file)),
      hole: null
    })
  }
  const empty: ManifestStore.ManifestContent = {
    walId: "0".repeat(32),
    naming: defaultNaming,
    epoch,
    owner: "bench",
    livedSeconds: 0,
    firstIndex: 0,
    nextIndex: 0,
    removedBefore: 0,
    expired: [],
    storedBytes: 0,
    chain: null,
    pages: [],
    rows: []
  }
  yield* manifests.write(yield* manifests.append(empty, rows), undefined)
})
