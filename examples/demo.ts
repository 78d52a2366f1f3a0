/**
 * Records a real data set with an archive, lets retention compress and delete, shuts down, and checks what is left against
 * the input. Then it deletes the log, and checks what the archive has.
 *
 *     npm run demo
 *
 * The data are the files under node_modules, in the order of their paths, up to `inputBytesWanted`. Each file is cut into
 * events of at most `eventBytesMax`, so event N is known to be a certain piece of a certain file. Exit code 1 when one
 * byte of what was replayed differs.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { Archive, ArchiveDisk, DirectoryStore } from "../src/archive/index.ts"
import { NodeDisk, Replay, Telemetry, Verify, Wal } from "../src/index.ts"

const inputBytesWanted = 160 * 1024 * 1024
const eventBytesMax = 4096

/** Event N is `pieces[N - 1]`. */
interface Piece {
  readonly file: string
  readonly offset: number
  readonly bytes: number
}

const root = path.join(import.meta.dirname, "..", "node_modules")

/** Regular files, in order; what tools write beside the packages (.cache, .vite) and links are left out. */
function* filesUnder(directory: string): Generator<string> {
  const entries = fs.readdirSync(directory, { withFileTypes: true })
  entries.sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const entry of entries) {
    const file = path.join(directory, entry.name)
    if (entry.isDirectory() && !entry.name.startsWith(".")) yield* filesUnder(file)
    else if (entry.isFile() && !entry.name.startsWith(".")) yield file
  }
}

const choosePieces = (): { readonly pieces: ReadonlyArray<Piece>; readonly files: number; readonly bytes: number } => {
  const pieces: Array<Piece> = []
  let files = 0
  let bytes = 0
  for (const file of filesUnder(root)) {
    const { size } = fs.statSync(file)
    for (let offset = 0; offset < size; offset += eventBytesMax) {
      pieces.push({ file, offset, bytes: Math.min(eventBytesMax, size - offset) })
    }
    files += 1
    bytes += size
    if (bytes >= inputBytesWanted) break
  }
  return { pieces, files, bytes }
}

/** Bytes of the input, one file in memory at a time. */
const makeInput = () => {
  let current = ""
  let content: Uint8Array = new Uint8Array(0)
  return ({ bytes, file, offset }: Piece): Uint8Array => {
    if (file !== current) {
      current = file
      content = fs.readFileSync(file)
    }
    return content.subarray(offset, offset + bytes)
  }
}

const barWidth = 40

/** A bar on a terminal; in a log a line for every quarter. */
const makeBar = (title: string, total: number) => {
  let shown = -1
  return (done: number): void => {
    const percent = Math.floor(100 * done / total)
    const step = process.stderr.isTTY ? percent : Math.floor(percent / 25) * 25
    if (step === shown) return
    shown = step
    const filled = Math.round(barWidth * step / 100)
    const bar = "#".repeat(filled).padEnd(barWidth, ".")
    const end = !process.stderr.isTTY || done === total ? "\n" : "\r"
    process.stderr.write(`${title.padEnd(8)} [${bar}] ${String(step).padStart(3)} %${end}`)
  }
}

const seconds = (startMillis: number): number => (performance.now() - startMillis) / 1000
const inMebibytes = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(1)} MiB`
const rate = (bytes: number, inSeconds: number): string => `${(bytes / 1e6 / inSeconds).toFixed(0)} MB/s`
const row = (name: string, text: string): void => console.log(`${name.padEnd(12)}${text}`)

class Pieces extends Wal.Service<Pieces>()("demo/Pieces") {}

/** The name of the log in its archive. */
const log = "pieces"

const demo = Effect.gen(function*() {
  const root = yield* Effect.acquireRelease(
    Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "effect-wal-demo-"))),
    (made) => Effect.sync(() => fs.rmSync(made, { recursive: true }))
  )
  const directory = path.join(root, "log")
  fs.mkdirSync(path.join(root, "store"))
  // In the place of a bucket.
  const store = DirectoryStore.layer({ directory: path.join(root, "store") })
  const { bytes, files, pieces } = choosePieces()
  console.log(
    `recording ${files} files of node_modules, ${inMebibytes(bytes)}, as ${pieces.length} events`
  )

  const startMillis = performance.now()
  let drainMillis = 0
  // The scope of the layer ends with this effect: what was appended is archived and handed over, and the maintainer drains.
  const running = yield* record(pieces).pipe(
    Effect.tap(() => Effect.sync(() => (drainMillis = performance.now()))),
    Effect.provide(
      Archive.layer({ log }).pipe(
        Layer.provide(Pieces.parts),
        Layer.provideMerge(Pieces.layerWorker({
          directory,
          segmentBytesMax: "2MiB",
          limits: { maxSegments: 8, maxCompressedSegments: 24 },
          onArchiveBehind: "keep"
        })),
        Layer.provide(store)
      )
    )
  )
  const recordSeconds = seconds(startMillis)
  const drainSeconds = seconds(drainMillis)
  const status = yield* running.maintainer.status
  const snapshot = yield* running.telemetry.snapshot

  const report = yield* Verify.verify({ directory })
  const replayMillis = performance.now()
  const replayed = yield* replayAndCompare("replay", directory, pieces)
  const replaySeconds = seconds(replayMillis)

  fs.rmSync(directory, { recursive: true })
  const archiveMillis = performance.now()
  const archived = yield* replayAndCompare("archive", ArchiveDisk.shownDirectory(log), pieces).pipe(
    Effect.provide(Layer.provide(ArchiveDisk.layer({ log }), store))
  )
  const archiveSeconds = seconds(archiveMillis)

  const { compressionBytesIn, compressionBytesOut } = snapshot.counters
  console.log(`\ntelemetry at the last append, before the drain:\n\n${Telemetry.dump(running.atLastAppend)}`)
  row("events", `${pieces.length} recorded, ${replayed.events} retained (${replayed.firstId} to ${replayed.lastId})`)
  row(
    "segments",
    `${status.hotSegments} hot, ${status.coldSegments} cold, ${snapshot.operations.deletion.success} deleted`
  )
  row("ratio", `${(compressionBytesIn / compressionBytesOut).toFixed(2)} to 1`)
  row(
    "recorded",
    `${inMebibytes(bytes)} in ${recordSeconds.toFixed(2)} s, ${rate(bytes, recordSeconds)}; drain ${
      drainSeconds.toFixed(2)
    } s of it`
  )
  row(
    "replayed",
    `${inMebibytes(replayed.bytes)} in ${replaySeconds.toFixed(2)} s, ${rate(replayed.bytes, replaySeconds)}`
  )
  row("verified", `${report.segments.length} segments, ${report.faults.length} faults`)
  row(
    "archived",
    `${archived.events} events (${archived.firstId} to ${archived.lastId}); with the log deleted, ${
      inMebibytes(archived.bytes)
    } read from the archive in ${archiveSeconds.toFixed(2)} s, ${rate(archived.bytes, archiveSeconds)}`
  )

  const problems = [...replayed.problems, ...archived.problems, ...report.faults.map(Verify.formatVerifyFault)]
  if (replayed.lastId !== pieces.length) {
    problems.push(`the replay ends at event ${replayed.lastId}, not at ${pieces.length}`)
  }
  if (archived.events !== pieces.length) {
    problems.push(`the archive has ${archived.events} events, not ${pieces.length}`)
  }
  if (status.failures > 0) problems.push(`${status.failures} steps of the maintainer failed`)
  for (const problem of problems) row("problem", problem)
  row("result", problems.length === 0 ? "what was replayed equals the input, byte for byte" : "NOT equal to the input")
  return problems.length === 0
})

const record = Effect.fnUntraced(function*(pieces: ReadonlyArray<Piece>) {
  const { append, maintainer, recorder: { writer }, telemetry } = yield* Pieces
  const show = makeBar("record", pieces.length)
  const bytesOf = makeInput()
  for (const [index, piece] of pieces.entries()) {
    const event = bytesOf(piece)
    // The fast way; when every slot waits for the disk, the way that waits.
    if (writer.appendUnsafe(event) <= 0) yield* append(event)
    show(index + 1)
  }
  return { maintainer, telemetry, atLastAppend: yield* telemetry.snapshot }
})

const replayAndCompare = Effect.fnUntraced(function*(
  title: string,
  directory: string,
  pieces: ReadonlyArray<Piece>
) {
  const firstId = Option.getOrElse(yield* Replay.firstAvailableId(directory), () => 1)
  const result = { firstId, lastId: firstId - 1, events: 0, bytes: 0, problems: new Array<string>() }
  const show = makeBar(title, pieces.length - firstId + 1)
  const bytesOf = makeInput()
  yield* Stream.runForEachArray(Replay.blocks({ directory }), (blocks) =>
    Effect.sync(() => {
      for (const block of blocks) {
        Replay.forEachEvent(block, (id, bytes, start, end) => {
          const piece = pieces[id - 1]
          if (id !== result.lastId + 1) result.problems.push(`event ${id} follows ${result.lastId}`)
          if (piece === undefined || Buffer.compare(bytes.subarray(start, end), bytesOf(piece)) !== 0) {
            result.problems.push(
              `event ${id} is not ${piece === undefined ? "of the input" : `${piece.file} at ${piece.offset}`}`
            )
          }
          result.lastId = id
          result.events += 1
          result.bytes += end - start
        })
        show(result.events)
      }
    }))
  return result
})

const isEqual = await Effect.runPromise(demo.pipe(
  Effect.scoped,
  Effect.provide(NodeDisk.layer),
  Effect.provide(Logger.layer([Logger.consolePretty()])),
  Effect.provideService(Logger.LogToStderr, true)
))
process.exitCode = isEqual ? 0 : 1
