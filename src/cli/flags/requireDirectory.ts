/**
 * Checks `--dir` before a command uses it, so that a wrong path gets a plain answer. Also knows which of its files are
 * ours but not segments.
 */
import * as Effect from "effect/Effect"
import { Disk } from "../../disk/Disk.ts"
import type { DiskError } from "../../disk/Disk.ts"
import { isOwnName } from "../../disk/FileNames.ts"
import { OperatingFailure } from "../terminal/CliFailure.ts"
import { say } from "../terminal/StandardStreams.ts"

/** Fails if the directory does not exist, for commands that read. `advice` ends the message of that failure. */
export const requireDirectory = (
  directory: string,
  advice = "give --dir a directory that was recorded into"
): Effect.Effect<void, OperatingFailure, Disk> =>
  Effect.flatMap(look(directory), (found) =>
    found === "directory"
      ? Effect.void
      : Effect.fail(
        new OperatingFailure({
          message: found === "nothing"
            ? `${directory} does not exist; ${advice}`
            : `${directory} is a file; give --dir the directory that the segments are in`
        })
      ))

/** As `requireDirectory`, for a command that waits for a directory that does not exist yet; reports that it waits. */
export const awaitDirectory = (directory: string): Effect.Effect<void, OperatingFailure, Disk> =>
  Effect.flatMap(
    look(directory),
    (found) =>
      found === "nothing" ? say(`${directory} does not exist yet; waiting for it`) : requireDirectory(directory)
  )

/**
 * Fails if a file is in the place of the directory, for commands that write. They create a missing directory
 * themselves.
 */
export const refuseFile = (directory: string): Effect.Effect<void, OperatingFailure, Disk> =>
  Effect.flatMap(
    look(directory),
    (found) =>
      found === "file"
        ? Effect.fail(
          new OperatingFailure({ message: `${directory} is a file; give --dir a directory to record into` })
        )
        : Effect.void
  )

/** Lists the directory to find out what it is: listing follows a link to a directory, as opening files in it does. */
const look = (directory: string): Effect.Effect<"directory" | "file" | "nothing", OperatingFailure, Disk> =>
  Disk.use((disk) => disk.list(directory)).pipe(
    Effect.as("directory" as const),
    Effect.catch((error: DiskError) => {
      if (error.reason._tag === "NotFound") return Effect.succeed("nothing" as const)
      if (error.reason._tag === "NotDirectory") return Effect.succeed("file" as const)
      return Effect.fail(new OperatingFailure({ message: `--dir ${directory} cannot be used: ${error.message}` }))
    })
  )

/** Filters names that are not of segments: leaves those of files that effect-wal did not create. */
export const foreignNames = (names: ReadonlyArray<string>): ReadonlyArray<string> =>
  names.filter((name) => !isOwnName(name))
