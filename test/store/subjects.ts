/** Every layer of `ObjectStore`, each with a store of its own for each test. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { randomUUID } from "node:crypto"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Disk } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as AwsEnvironment from "../../src/s3/AwsEnvironment.ts"
import * as S3Store from "../../src/s3/S3Store.ts"
import * as DirectoryStore from "../../src/store/DirectoryStore.ts"
import type { ObjectStore } from "../../src/store/ObjectStore.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import * as SimulatedStore from "../../src/testing/SimulatedStore.ts"
import { startServer } from "./S3Server.ts"
import type { ServerOptions } from "./S3Server.ts"

export interface Subject {
  readonly name: string
  readonly layer: Layer.Layer<ObjectStore, unknown>
}

/** A new directory, for as long as the scope lives. */
export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(join(tmpdir(), "effect-wal-store-"))),
  (path) => Effect.sync(() => fs.rmSync(path, { recursive: true }))
)

/** The credentials that the tests' own server takes. */
export const credentials = Effect.succeed({ accessKeyId: "wal", secretAccessKey: Redacted.make("walwalwal") })

/** A store at a server of the tests' own. */
export const onServer = (options: ServerOptions): Layer.Layer<ObjectStore> =>
  Layer.unwrap(
    Effect.map(startServer(options), ({ endpoint }) =>
      S3Store.layer({ url: `s3://${options.bucket}/some/prefix`, endpoint, credentials }))
  ).pipe(
    Layer.provide(FetchHttpClient.layer)
  )

/** A real server, as the environment names it: its bucket, its endpoint and its credentials. */
const realUrl = process.env["EFFECT_WAL_S3_URL"]

const real = (url: string): Layer.Layer<ObjectStore, unknown> =>
  Layer.unwrap(Effect.gen(function*() {
    return S3Store.layer({
      url: `${url}/test-${randomUUID()}`,
      endpoint: yield* AwsEnvironment.endpoint,
      region: yield* AwsEnvironment.region,
      credentials: AwsEnvironment.credentials
    })
  })).pipe(Layer.provide([FetchHttpClient.layer, NodeFileSystem.layer]))

export const subjects: ReadonlyArray<Subject> = [
  {
    name: "DirectoryStore on NodeDisk",
    layer: Layer.unwrap(Effect.map(temporaryDirectory, (directory) => DirectoryStore.layer({ directory }))).pipe(
      Layer.provide(NodeDisk.layer)
    )
  },
  {
    name: "DirectoryStore on SimulatedDisk",
    layer: Layer.unwrap(
      Effect.as(Disk.use((disk) => disk.makeDirectory("/store")), DirectoryStore.layer({ directory: "/store" }))
    ).pipe(Layer.provide(SimulatedDisk.layer({ seed: 1 })))
  },
  { name: "SimulatedStore", layer: SimulatedStore.layer({ seed: 1 }) },
  { name: "S3Store", layer: onServer({ bucket: "wal", pageLength: 3 }) },
  ...(realUrl === undefined ? [] : [{ name: `S3Store at ${realUrl}`, layer: real(realUrl) }])
]
