/** What the methods of event logs require of their arguments. */
import type { Entry } from "effect/eventlog/EventJournal"
import { refuseArgument, requireBytes } from "../internal/arguments.ts"

export const requireText = (name: string, value: string): void => {
  if (typeof value !== "string") refuseArgument(name, value, "a string")
}

export const requireArray = (name: string, values: ReadonlyArray<unknown>, least: 0 | 1 = 0): void => {
  if (!Array.isArray(values)) refuseArgument(name, values, "an array")
  if (values.length < least) refuseArgument(name, values, "an array that is not empty")
}

export const requireId = (name: string, id: Uint8Array): void => {
  requireBytes(name, id)
  if (id.length !== 16) refuseArgument(`${name}.length`, id.length, "16 bytes")
}

export const requireSequence = (name: string, sequence: number): void => {
  if (!Number.isSafeInteger(sequence) || sequence < 0) refuseArgument(name, sequence, "a whole number of 0 or more")
}

export const requireEntry = (name: string, entry: Entry): void => {
  if (typeof entry !== "object" || entry === null) refuseArgument(name, entry, "an Entry")
  requireId(`${name}.id`, entry.id)
  requireText(`${name}.event`, entry.event)
  requireText(`${name}.primaryKey`, entry.primaryKey)
  requireBytes(`${name}.payload`, entry.payload)
}
