/**
 * Makes one hot segment of real text in 256-byte events, in a process of its own, so that the memory this takes is gone
 * when the memory of a freeze is measured.
 *
 *     node bench/harness/prepareSegment.ts DIRECTORY BYTES
 */
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { realBytes } from "./RealBytes.ts"
import { makeSegments } from "./Segments.ts"

const eventSize = 256

/** The path of the segment's file. */
export const prepareSegment = (directory: string, bytes: number): string => {
  execFileSync(process.execPath, [import.meta.filename, directory, String(bytes)], { stdio: "inherit" })
  return join(directory, "FS.00000000.wal")
}

const [, script = "", directory = "", bytes = ""] = process.argv
if (import.meta.url === pathToFileURL(script).href) {
  const payload = realBytes(Number(bytes))
  makeSegments({ directory, form: "hot", segments: 1, segmentBytes: payload.length, eventSize, payload })
}
