/**
 * Makes segments of real text in 256-byte events, in a process of its own, so that the memory this takes is gone when the
 * memory of a freeze or of an archive is measured.
 *
 *     node bench/harness/prepareSegment.ts DIRECTORY BYTES [hot|cold] [SEGMENTS]
 */
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { realBytes } from "./RealBytes.ts"
import { makeSegments } from "./Segments.ts"

const eventSize = 256

/** So many segments of this length. */
export const prepareSegments = (directory: string, bytes: number, form: "hot" | "cold", segments: number): void => {
  execFileSync(process.execPath, [import.meta.filename, directory, String(bytes), form, String(segments)], {
    stdio: "inherit"
  })
}

/** The path of the file of one hot segment. */
export const prepareSegment = (directory: string, bytes: number): string => {
  prepareSegments(directory, bytes, "hot", 1)
  return join(directory, "FS.00000000.wal")
}

const [, script = "", directory = "", bytes = "", form = "hot", segments = "1"] = process.argv
if (import.meta.url === pathToFileURL(script).href) {
  const payload = realBytes(Number(bytes))
  makeSegments({
    directory,
    form: form === "cold" ? "cold" : "hot",
    segments: Number(segments),
    segmentBytes: payload.length,
    eventSize,
    payload
  })
}
