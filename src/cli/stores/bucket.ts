/** A bucket, with credentials, region and endpoint from where AWS's own tools take them. */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as AwsEnvironment from "../../s3/AwsEnvironment.ts"
import { addressOf } from "../../s3/S3Address.ts"
import * as S3Store from "../../s3/S3Store.ts"
import type { ObjectStore } from "../../store/ObjectStore.ts"
import { OperatingFailure } from "../terminal/CliFailure.ts"

/** The bucket of `s3://bucket/prefix`. */
export const layer = (url: string): Layer.Layer<ObjectStore, OperatingFailure, FileSystem.FileSystem> =>
  Layer.unwrap(
    Effect.gen(function*() {
      const where = { url, region: yield* AwsEnvironment.region, endpoint: yield* AwsEnvironment.endpoint }
      // The environment may name a region or an endpoint that is none.
      yield* Effect.try({ try: () => addressOf(where), catch: (error) => error as Error })
      return S3Store.layer({ ...where, credentials: AwsEnvironment.credentials })
    }).pipe(Effect.mapError(({ message }) =>
      new OperatingFailure({
        message: `${url} cannot be used: ${message}; see AWS_REGION, AWS_ENDPOINT_URL and ~/.aws/config`
      })
    ))
  ).pipe(Layer.provide(FetchHttpClient.layer))
