/**
 * Shows the progress of a long command as one line on standard error: a bar if the end is known, the rate, and the time
 * left. The line appears only if standard error is a terminal, only after half a second, and not with `--json`. It has
 * no colours, and the terminal is left as it was.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { Disk } from "../../disk/Disk.ts"
import { nameIn, SegmentDirectory, segmentsOf } from "../../disk/SegmentDirectory.ts"
import { plainText } from "../../internal/plainText.ts"
import { formatBytes } from "../../telemetry/TelemetryDump.ts"

const firstMillis = 500
const everyMillis = 200
/** Returns to the beginning of the line and clears it. */
const overwrite = "\r\u001b[K"

/** The progress of some work. */
export interface Progress {
  /** The work, as in `verifying`. */
  readonly label: string
  readonly unit: "bytes" | "events" | "segments" | "seconds"
  readonly done: number
  /** `undefined` while the end is unknown. */
  readonly total: number | undefined
  /** Comes last in the line. */
  readonly note?: string
}

const barCells = 16

const amount = (unit: Progress["unit"], value: number): string =>
  unit === "bytes" ? formatBytes(Math.round(value)) : `${Math.round(value)} ${unit}`

/** `12 s`, `3 min 20 s`, `2 h 5 min`. */
const formatSeconds = (seconds: number): string => {
  const whole = Math.ceil(seconds)
  if (whole < 60) return `${whole} s`
  const minutes = Math.floor(whole / 60)
  return whole < 3600 ? `${minutes} min ${whole % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/**
 * Formats the line, `seconds` after the start. What matters most comes first, for narrow terminals. The rate is the
 * average since the start, and the time left is computed from it.
 */
export const progressLine = ({ done, label, note, total, unit }: Progress, seconds: number): string => {
  const rate = done / Math.max(0.001, seconds)
  const parts = [label]
  const share = total === undefined ? undefined : total <= 0 ? 1 : Math.min(1, done / total)
  if (share !== undefined) {
    parts.push(`[${"#".repeat(Math.floor(share * barCells)).padEnd(barCells, "-")}] ${Math.floor(share * 100)} %`)
  }
  if (total !== undefined && rate > 0) parts.push(`${formatSeconds(Math.max(0, total - done) / rate)} left`)
  if (unit !== "seconds") {
    parts.push(`${amount(unit, rate)}/s`)
    if (total === undefined) parts.push(amount(unit, done))
    else {
      const part = Math.min(done, total)
      parts.push(`${unit === "bytes" ? amount(unit, part) : Math.round(part)} of ${amount(unit, total)}`)
    }
  }
  if (note !== undefined) parts.push(note)
  return parts.join("  ")
}

/** Tells whether progress is shown at all. */
export const isShown = (isWanted: boolean): boolean =>
  isWanted && process.stderr.isTTY === true && process.env.TERM !== "dumb"

/** Shows what `look` returns while `work` runs. Time counts from the call. */
export const withProgress = <A, E, R>(
  work: Effect.Effect<A, E, R>,
  look: () => Progress,
  isWanted: boolean
): Effect.Effect<A, E, R> =>
  !isShown(isWanted) ? work : Effect.gen(function*() {
    const begunMillis = performance.now()
    const show = Effect.sync(() => {
      const line = progressLine(look(), (performance.now() - begunMillis) / 1000)
      process.stderr.write(overwrite + plainText(line).slice(0, (process.stderr.columns || 80) - 1))
    })
    const shown = yield* Effect.forkChild(
      Effect.andThen(Effect.sleep(firstMillis), Effect.forever(Effect.andThen(show, Effect.sleep(everyMillis))))
    )
    return yield* Effect.ensuring(
      work,
      Effect.andThen(Fiber.interrupt(shown), Effect.sync(() => process.stderr.write(overwrite)))
    )
  })

/**
 * Shows how many bytes of a directory's segments `work` has read. `passes` is how often it reads each of them. A
 * segment counts as read as soon as the next one is looked at, even if parts of it were skipped.
 */
export const withReadProgress = <A, E, R>(
  work: Effect.Effect<A, E, R>,
  options: {
    readonly label: string
    readonly directory: string
    readonly passes: number
    readonly isWanted: boolean
  }
) =>
  !isShown(options.isWanted) ? work : Effect.gen(function*() {
    const disk = yield* Disk
    const bytesByName = yield* segmentBytes(new SegmentDirectory(options.directory))
    let total = 0
    for (const bytes of bytesByName.values()) total += bytes * options.passes
    let before = 0
    let current = { path: "", bytes: 0, read: 0 }
    const reach = (path: string) => {
      const bytes = bytesByName.get(nameIn(path))
      if (bytes === undefined) return undefined
      if (current.path !== path) {
        before += current.bytes
        current = { path, bytes, read: 0 }
      }
      return current
    }
    const metered = Disk.of({
      ...disk,
      stat: (path) => Effect.tap(disk.stat(path), () => Effect.sync(() => reach(path))),
      open: (path, mode) =>
        Effect.map(disk.open(path, mode), (file) => {
          const segment = mode === "read" ? reach(path) : undefined
          if (segment === undefined) return file
          return {
            ...file,
            read: (target: Uint8Array, offset: number) =>
              Effect.tap(file.read(target, offset), (count) =>
                Effect.sync(() => {
                  segment.read = Math.max(segment.read, offset + count)
                }))
          }
        })
    })
    const look = (): Progress => ({
      label: options.label,
      unit: "bytes",
      done: Math.min(total, before + Math.min(current.read, current.bytes)),
      total
    })
    return yield* withProgress(Effect.provideService(work, Disk, metered), look, true)
  })

/** Shows how many of a directory's segments `work` has reached, for work that reads little of each. */
export const withSegmentProgress = <A, E, R>(
  work: Effect.Effect<A, E, R>,
  options: { readonly label: string; readonly directory: string; readonly isWanted: boolean }
) =>
  !isShown(options.isWanted) ? work : Effect.gen(function*() {
    const disk = yield* Disk
    const directory = new SegmentDirectory(options.directory)
    const { length: total } = segmentsOf(yield* directory.scan)
    const seen = new Set<number>()
    const see = (path: string): void => {
      const parsed = directory.parse(nameIn(path))
      if (parsed !== undefined) seen.add(parsed.index)
    }
    const watched = Disk.of({
      ...disk,
      open: (path, mode) => Effect.tap(disk.open(path, mode), () => Effect.sync(() => see(path))),
      stat: (path) => Effect.tap(disk.stat(path), () => Effect.sync(() => see(path)))
    })
    const look = (): Progress => ({
      label: options.label,
      unit: "segments",
      done: Math.min(total, seen.size),
      total
    })
    return yield* withProgress(Effect.provideService(work, Disk, watched), look, true)
  })

/** Gives the bytes on disk of each file of a segment, by name; 0 for a file that was deleted meanwhile. */
const segmentBytes = Effect.fnUntraced(function*(directory: SegmentDirectory) {
  const disk = yield* Disk
  const bytesByName = new Map<string, number>()
  for (const entry of segmentsOf(yield* directory.scan)) {
    for (const { path } of directory.filesOf(entry)) {
      const bytes = yield* Effect.catch(Effect.map(disk.stat(path), (stat) => stat.bytes), () => Effect.succeed(0))
      bytesByName.set(nameIn(path), bytes)
    }
  }
  return bytesByName
})
