/** A log that is archived over a network that does what networks do: in the end the bucket has every event, once. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import { join } from "node:path"
import * as Archive from "../../src/archive/Archive.ts"
import * as ArchiveDisk from "../../src/archive/ArchiveDisk.ts"
import * as ArchiveVerify from "../../src/archive/ArchiveVerify.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Replay from "../../src/reading/Replay.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import * as AwsEnvironment from "../../src/s3/AwsEnvironment.ts"
import * as S3Store from "../../src/s3/S3Store.ts"
import { range } from "../fixtures/simulatedWal.ts"
import { startProxy } from "./nastyProxy.ts"
import { startServer } from "./S3Server.ts"
import { credentials, temporaryDirectory } from "./subjects.ts"

const realUrl = process.env["EFFECT_WAL_S3_URL"]
const log = "orders"

/** Where the bucket is, its URL, and who may write. */
const bucket = realUrl === undefined
  ? Effect.map(startServer({ bucket: "wal" }), ({ endpoint }) => ({ endpoint, url: "s3://wal/logs", credentials }))
  : Effect.map(AwsEnvironment.endpoint, (endpoint) => ({
    endpoint: endpoint!,
    url: `${realUrl}/${randomUUID()}`,
    credentials: AwsEnvironment.credentials
  }))

describe(`a bucket behind a bad network (${realUrl === undefined ? "a server of the tests" : "a real server"})`, () => {
  it.live(
    "has every event in the end, although requests are cut, late, doubled and stalled, over several starts",
    () =>
      Effect.gen(function*() {
        const directory = join(yield* temporaryDirectory, "log")
        const { endpoint, ...address } = yield* bucket
        const proxy = yield* startProxy(endpoint, 7)
        const store = S3Store.layer({ ...address, endpoint: proxy.endpoint }).pipe(Layer.provide(FetchHttpClient.layer))
        const archived = Archive.layer({ log, settleMax: "200 millis" }).pipe(
          Layer.provideMerge(Wal.layer({
            directory,
            segmentBytesMax: 1024,
            limits: { maxSegments: 4, maxCompressedSegments: 4 },
            onArchiveBehind: "keep"
          })),
          Layer.provide(store)
        )
        let events = 0
        for (const life of range(1, 4)) {
          const scope = yield* Scope.make()
          const context = yield* Layer.buildWithScope(archived, scope)
          const recorder = Context.get(context, Recorder)
          proxy.rate = life === 4 ? 0 : 0.08
          for (let segment = 0; segment < 8; segment++) {
            for (let event = 0; event < 10; event++) {
              events = yield* recorder.append(Buffer.from(`event ${events + 1} of some length`))
            }
            yield* recorder.commit
            yield* recorder.rotate
          }
          // What fails is tried again after a pause that grows: so long a life gets somewhere.
          if (life < 4) yield* Effect.sleep(1500)
          else {
            yield* proxy.settled
            yield* Context.get(context, Archive.Archive).settle
          }
          yield* Scope.close(scope, Exit.void)
        }
        assert.isAtLeast(proxy.happened.size, 3, "the network was bad")
        yield* Effect.gen(function*() {
          assert.deepStrictEqual(yield* Stream.runCollect(ArchiveVerify.verify({ log, sample: 1000 })), [])
          const ids: Array<number> = []
          yield* Stream.runForEach(
            Replay.events({ directory: ArchiveDisk.shownDirectory(log) }),
            ({ bytes, id }) =>
              Effect.sync(() => {
                assert.strictEqual(Buffer.from(bytes).toString(), `event ${id} of some length`)
                ids.push(id)
              })
          ).pipe(Effect.provide(ArchiveDisk.layer({ log })))
          assert.deepStrictEqual(ids, range(1, events))
        }).pipe(Effect.provide(store))
      }).pipe(
        Effect.scoped,
        Effect.provide(Layer.merge(NodeDisk.layer, NodeFileSystem.layer)),
        Effect.provideService(References.MinimumLogLevel, "None")
      )
  )
})
