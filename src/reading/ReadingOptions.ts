/** What every function that reads a directory is told: where it is, and how its segments are named. */
import * as Schema from "effect/Schema"
import { SegmentNaming } from "../format/SegmentName.ts"
import { path } from "../internal/options.ts"

/** The fields of the options of every reader. */
export const readingFields = { directory: path, naming: Schema.optional(SegmentNaming) }
