/** Checks `--archive` before a command reads from it, so that a wrong URL gets a plain answer. */
import * as Effect from "effect/Effect"
import type { ArchiveError } from "../../archive/ArchiveError.ts"
import * as ManifestStore from "../../archive/ManifestStore.ts"
import type { StoredManifest } from "../../archive/ManifestStore.ts"
import type { ObjectStore, StoreError } from "../../store/ObjectStore.ts"
import type { ArchiveAddress } from "../flags/archiveFlag.ts"
import { OperatingFailure } from "../terminal/CliFailure.ts"

/** Gives the manifest. Fails if there is none. */
export const requireArchive = (
  { log, url }: ArchiveAddress
): Effect.Effect<StoredManifest, OperatingFailure | StoreError | ArchiveError, ObjectStore> =>
  Effect.flatMap(
    Effect.flatMap(ManifestStore.make(log), ({ read }) => read),
    (found) =>
      found === undefined
        ? Effect.fail(
          new OperatingFailure({ message: `${url} has no archive; give --archive the URL that the recorder was given` })
        )
        : Effect.succeed(found)
  )
