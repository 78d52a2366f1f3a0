/** Logs for the command line to look at. */
import * as Effect from "effect/Effect"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { buildWal, hot, put } from "../fixtures/segments.ts"

/** Three closed segments of 40 events and an open one, ids 1 to 130. */
export const segments = buildWal({ segments: [40, 40, 40, 10], lastIsOpen: true }).map(hot)

/** What the events of these segments are, one behind the other. */
export const events = (from: number, to: number): string => {
  let text = ""
  for (let id = from; id <= to; id++) text += `event ${id}`
  return text
}

/** Makes a directory of these segments, but for some. */
export const makeLog = (directory: string, ...without: ReadonlyArray<number>) =>
  put(directory, ...segments.filter((_, index) => !without.includes(index))).pipe(Effect.provide(NodeDisk.layer))

/** Turns a bit in the last block of a segment's file; returns the bytes that are there now. */
export const damage = (path: string): Buffer => {
  const bytes = readFileSync(path)
  bytes[bytes.length - 100]! ^= 1
  writeFileSync(path, bytes)
  return bytes
}

/** The same, with a directory of its own. */
export const makeDamagedLog = (directory: string) =>
  Effect.map(makeLog(directory), () => damage(join(directory, "FS.00000001.wal")))
