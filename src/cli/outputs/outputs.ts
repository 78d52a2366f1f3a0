/**
 * What every command prints with `--json`, by the name of the command. A command checks against the type that it prints
 * nothing else; `effect-wal schema` prints the schema itself.
 */
import * as archive from "./archive.ts"
import * as reading from "./reading.ts"
import * as recording from "./recording.ts"
import * as state from "./state.ts"

/** The schemas. Of a command that prints several lines, each line has it. */
export const outputs = {
  record: recording.Record,
  append: recording.Append,
  maintain: recording.Maintain,
  tail: reading.Event,
  grep: reading.Event,
  export: reading.Event,
  verify: reading.Verify,
  inspect: reading.Inspect,
  dump: reading.Dump,
  repair: reading.Repair,
  backup: reading.Backup,
  "archive status": archive.ArchiveStatus,
  "archive verify": archive.ArchiveVerify,
  "archive push": archive.ArchiveStatus,
  "archive restore": reading.Backup,
  "take-over": archive.TakeOver,
  "consumers list": state.ConsumersList,
  "consumers show": state.ConsumersShow,
  "consumers reset": state.ConsumersReset,
  "consumers remove": state.ConsumersRemove,
  free: state.Free,
  stats: state.Stats,
  check: state.Check,
  doctor: state.Doctor
} as const

/** The type of what a command prints. */
export type Output<Name extends keyof typeof outputs> = typeof outputs[Name]["Type"]
