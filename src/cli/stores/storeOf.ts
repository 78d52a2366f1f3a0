/** The store of an archive that a flag names. What a bucket needs is loaded only for one. */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type { Disk } from "../../disk/Disk.ts"
import * as DirectoryStore from "../../store/DirectoryStore.ts"
import type { ObjectStore } from "../../store/ObjectStore.ts"
import type { ArchiveAddress } from "../flags/archiveFlag.ts"
import type { OperatingFailure } from "../terminal/CliFailure.ts"

/** The layer of that store. */
export const storeOf = (
  { store }: ArchiveAddress
): Layer.Layer<ObjectStore, OperatingFailure, Disk | FileSystem.FileSystem> =>
  store.kind === "directory"
    ? DirectoryStore.layer({ directory: store.path })
    : Layer.unwrap(Effect.map(Effect.promise(() => import("./bucket.ts")), (bucket) => bucket.layer(store.url)))
