/**
 * Searches a log from the newest segment back, and tells how far it is. It reads one segment after the other, checked,
 * and stops as soon as nobody listens any more. What is damaged is reported, and passed.
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { isUtf8 } from "node:buffer"
import { Disk } from "../disk/Disk.ts"
import type { DiskError } from "../disk/Disk.ts"
import type { SegmentFile } from "../disk/SegmentDirectory.ts"
import type { VerifiedBlock } from "../format/SegmentVerifier.ts"
import { makeDirectoryReader } from "../reading/DirectoryReader.ts"
import { forEachEvent, timeOf } from "../reading/segment/BlockEvents.ts"
import { rotatingMemory } from "../reading/segment/BlockMemory.ts"
import { forReplay, openSegment } from "../reading/segment/SegmentReader.ts"
import { lastShownId } from "./ConsoleLog.ts"
import type { ConsoleLog } from "./ConsoleLog.ts"
import { viewOf } from "./EventView.ts"
import type { EventView } from "./EventView.ts"
import { parsed, parseQuestion } from "./JsonPath.ts"

/** So much of an event that was found is shown, in bytes, and so much of that before what was found. */
const shownBytesMax = 1024
const shownBefore = 200

/** Messages that wait for a viewer; then the search waits, too. */
const messagesMax = 16

/** What is looked for. */
interface Wanted {
  readonly kind: "text" | "path"
  readonly text: string
  /** For text: letters match in both cases. */
  readonly ignoreCase: boolean
}

/** What a search tells. */
type SearchMessage =
  | {
    readonly _tag: "Progress"
    readonly readBytes: number
    readonly totalBytes: number
    readonly segmentIndex: number
  }
  | { readonly _tag: "Found"; readonly events: ReadonlyArray<EventView> }
  | { readonly _tag: "Damaged"; readonly segmentIndex: number; readonly message: string }
  /** `isMore`: it ended because it has found as many as were wanted. */
  | { readonly _tag: "Ended"; readonly isMore: boolean }

/** Gives where in an event something was found, and -1 when nothing was. */
type Finder = (event: Buffer) => number

/** Makes the finder of what is wanted; a message that tells what is wrong with it otherwise. */
export const finderOf = ({ ignoreCase, kind, text }: Wanted): Result.Result<Finder, string> => {
  if (text === "") return Result.fail("say what to search for")
  if (kind === "path") {
    return Result.map(parseQuestion(text), (matches): Finder => (event) => {
      const found = isUtf8(event) ? parsed(event.toString()) : undefined
      return found !== undefined && matches(found.value) ? 0 : -1
    })
  }
  if (!ignoreCase) {
    const bytes = Buffer.from(text)
    return Result.succeed((event) => event.indexOf(bytes))
  }
  const lower = text.toLowerCase()
  return Result.succeed((event) => {
    const content = event.toString().toLowerCase()
    const at = content.indexOf(lower)
    return at < 0 ? -1 : Buffer.byteLength(content.slice(0, at))
  })
}

/** Searches. The stream waits when nobody takes from it, and its end ends the search. */
export const search = (
  log: ConsoleLog,
  finder: Finder,
  max: number
): Stream.Stream<SearchMessage, DiskError, Disk> =>
  Stream.callback<SearchMessage, DiskError, Disk>((queue) =>
    Effect.gen(function*() {
      const lastId = yield* lastShownId(log)
      const reader = yield* makeDirectoryReader(log.directory)
      const indices = reader.segments().map(({ segmentIndex }) => segmentIndex).toReversed()
      const sizes = new Map<number, number>()
      for (const index of indices) {
        sizes.set(index, (yield* reader.use(index, (file) => Disk.use((disk) => disk.stat(file.path))))?.bytes ?? 0)
      }
      const totalBytes = [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0)
      let passedBytes = 0
      let found = 0
      for (const segmentIndex of indices) {
        const segmentBytes = sizes.get(segmentIndex) ?? 0
        const told = (share: number) =>
          Queue.offer(queue, {
            _tag: "Progress",
            readBytes: Math.round(passedBytes + segmentBytes * Math.min(1, share)),
            totalBytes,
            segmentIndex
          })
        yield* told(0)
        const hits: Array<EventView> = []
        const take = (block: VerifiedBlock): void => findIn(block, finder, lastId, hits, max - found)
        yield* reader.use(segmentIndex, (file) => {
          hits.length = 0
          return readBlocks(file, segmentBytes, take, told)
        }).pipe(
          Effect.catchTag(
            "SegmentCorrupt",
            ({ message }) =>
              Effect.andThen(
                // The river shows it, too.
                Effect.ignore(log.cells.verify(segmentIndex)),
                Queue.offer(queue, { _tag: "Damaged", segmentIndex, message })
              )
          )
        )
        passedBytes += segmentBytes
        found += hits.length
        if (hits.length > 0) yield* Queue.offer(queue, { _tag: "Found", events: hits.toReversed() })
        if (found >= max) break
      }
      yield* Queue.offer(queue, {
        _tag: "Progress",
        readBytes: passedBytes,
        totalBytes,
        segmentIndex: indices.at(-1) ?? 0
      })
      yield* Queue.offer(queue, { _tag: "Ended", isMore: found >= max })
      yield* Queue.end(queue)
    }), { bufferSize: messagesMax })

/** Reads the blocks of a segment, and tells after each read which part of it is done. */
const readBlocks = <E, R>(
  file: SegmentFile,
  segmentBytes: number,
  take: (block: VerifiedBlock) => void,
  told: (share: number) => Effect.Effect<unknown, E, R>
) =>
  Effect.scoped(Effect.gen(function*() {
    const cursor = yield* openSegment(file, {}, forReplay(rotatingMemory(1), "left"))
    while (true) {
      const blocks = yield* cursor.next
      const last = blocks.at(-1)
      if (last === undefined) return
      for (const block of blocks) take(block)
      const { blockCount } = cursor.progress()?.header ?? { blockCount: 0 }
      // An open segment has no count yet, but its file has the length that it will have.
      yield* told(blockCount > 0 ? (last.blockIndex + 1) / blockCount : last.offset / Math.max(1, segmentBytes))
      // An application has other things to do, too.
      yield* Effect.yieldNow
    }
  }))

/** Keeps the newest of the events that match, as many as are still wanted. */
const findIn = (
  block: VerifiedBlock,
  finder: Finder,
  lastId: number,
  hits: Array<EventView>,
  wantedMax: number
): void => {
  const time = timeOf(block)
  forEachEvent(block, (id, bytes, start, end) => {
    if (id > lastId) return
    const event = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
    const at = finder(event)
    if (at < 0) return
    hits.push(viewOf({ id, time, bytes: event }, shownBytesMax, Math.max(0, at - shownBefore)))
    if (hits.length > wantedMax) hits.shift()
  })
}
