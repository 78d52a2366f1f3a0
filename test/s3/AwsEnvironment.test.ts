/** Credentials, region and endpoint are found where AWS's own tools find them, and never shown. */
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as PlatformError from "effect/PlatformError"
import * as Redacted from "effect/Redacted"
import { homedir } from "node:os"
import { join } from "node:path"
import * as AwsEnvironment from "../../src/s3/AwsEnvironment.ts"

const home = (name: string): string => join(homedir(), ".aws", name)

/** Runs with these variables and these files alone. */
const given = <A, E>(
  variables: Readonly<Record<string, string>>,
  files: Readonly<Record<string, string>>,
  effect: Effect.Effect<A, E, FileSystem.FileSystem>
): Effect.Effect<A, E> =>
  effect.pipe(
    Effect.provide(FileSystem.layerNoop({
      readFileString: (path) => {
        const text = files[path]
        return text === undefined
          ? Effect.fail(PlatformError.systemError({ _tag: "NotFound", module: "FileSystem", method: "readFileString" }))
          : Effect.succeed(text)
      }
    })),
    Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: variables })))
  )

const found = (variables: Readonly<Record<string, string>>, files: Readonly<Record<string, string>> = {}) =>
  Effect.map(given(variables, files, AwsEnvironment.credentials), ({ accessKeyId, secretAccessKey, sessionToken }) => [
    accessKeyId,
    Redacted.value(secretAccessKey),
    sessionToken === undefined ? undefined : Redacted.value(sessionToken)
  ])

const credentialsFile = `
# of the tests
[default]
aws_access_key_id = ID
aws_secret_access_key = sec/ret+with=signs#and;more

[ other ]
aws_access_key_id=OTHER
AWS_SECRET_ACCESS_KEY=other secret   ; a comment
aws_session_token = token
`

const configFile = `[default]
region = eu-central-1
[profile sso]
sso_session = corp
region = eu-west-1
endpoint_url = https://storage.example:9000
[profile config-only]
aws_access_key_id = CONFIG
aws_secret_access_key = config
`

const files = { [home("credentials")]: credentialsFile, [home("config")]: configFile }

describe("the environment of AWS", () => {
  it.effect("has credentials in variables, before any file", () =>
    Effect.gen(function*() {
      const variables = { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret" }
      assert.deepStrictEqual(yield* found(variables, files), ["id", "secret", undefined])
      assert.deepStrictEqual(yield* found({ ...variables, AWS_SESSION_TOKEN: "t" }), ["id", "secret", "t"])
      assert.deepStrictEqual(yield* found({ ...variables, AWS_SESSION_TOKEN: "" }), ["id", "secret", undefined])
    }))

  it.effect("has credentials in the profile of a file", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* found({}, files), ["ID", "sec/ret+with=signs#and;more", undefined])
      assert.deepStrictEqual(yield* found({ AWS_PROFILE: "other" }, files), ["OTHER", "other secret", "token"])
      assert.deepStrictEqual(yield* found({ AWS_PROFILE: "config-only" }, files), ["CONFIG", "config", undefined])
      assert.deepStrictEqual(
        yield* found({ AWS_SHARED_CREDENTIALS_FILE: "/elsewhere" }, { "/elsewhere": credentialsFile }),
        ["ID", "sec/ret+with=signs#and;more", undefined]
      )
    }))

  it.effect("says what is missing, and what to do about it", () =>
    Effect.gen(function*() {
      const lineOf = (variables: Readonly<Record<string, string>>, present = files) =>
        Effect.map(Effect.flip(found(variables, present)), ({ message }) => message)
      assert.include(
        yield* lineOf({}, {}),
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or put the profile default"
      )
      assert.include(yield* lineOf({ AWS_PROFILE: "sso" }), "the profile sso takes its credentials from SSO")
      assert.include(yield* lineOf({ AWS_ACCESS_KEY_ID: "id" }), "AWS_SECRET_ACCESS_KEY is not set")
      assert.include(yield* lineOf({ AWS_PROFILE: "none" }), "profile none")
    }))

  it.effect("has a region and an endpoint", () =>
    Effect.gen(function*() {
      const both = (variables: Readonly<Record<string, string>>) =>
        given(variables, files, Effect.all([AwsEnvironment.region, AwsEnvironment.endpoint]))
      assert.deepStrictEqual(yield* both({}), ["eu-central-1", undefined])
      assert.deepStrictEqual(yield* both({ AWS_PROFILE: "sso" }), ["eu-west-1", "https://storage.example:9000"])
      assert.deepStrictEqual(
        yield* both({
          AWS_DEFAULT_REGION: "a",
          AWS_REGION: "b",
          AWS_ENDPOINT_URL: "http://c",
          AWS_ENDPOINT_URL_S3: "http://d"
        }),
        ["b", "http://d"]
      )
      assert.deepStrictEqual(yield* given({}, {}, AwsEnvironment.region), undefined)
    }))

  it.effect("shows no secret", () =>
    Effect.gen(function*() {
      const credentials = yield* given({ AWS_PROFILE: "other" }, files, AwsEnvironment.credentials)
      const shown = `${JSON.stringify(credentials)} ${String(credentials.secretAccessKey)}`
      assert.notInclude(shown, "other secret")
      assert.notInclude(shown, "\"token\"")
    }))
})
