/**
 * Credentials, region and endpoint from where AWS's own tools take them: the environment first, then the profile in
 * `~/.aws/credentials` and `~/.aws/config`. What a profile would fetch over the network (SSO, roles, a command) is not
 * fetched here: use AWS's provider chain for it, as an Effect.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { homedir } from "node:os"
import { join } from "node:path"
import { plainText } from "../internal/plainText.ts"

/**
 * What requests are signed with. Nothing prints the secret ones.
 *
 * @since 0.1.0
 * @category models
 */
export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: Redacted.Redacted
  /** Of credentials that expire. */
  readonly sessionToken?: Redacted.Redacted
}

/**
 * There are no credentials, or no file can be read that should have them.
 *
 * @since 0.1.0
 * @category errors
 */
export class AwsEnvironmentError extends Data.TaggedError("AwsEnvironmentError")<{
  /** What is missing, and what to do about it. */
  readonly detail: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return plainText(this.detail)
  }
}

/** A variable; undefined when it is not set or empty, as AWS's tools have it. */
const variable = (name: string): Effect.Effect<string | undefined, AwsEnvironmentError> =>
  Effect.gen(function*() {
    const value = yield* Config.option(Config.String(name))
    return Option.getOrUndefined(Option.filter(value, (text) => text !== ""))
  }).pipe(Effect.mapError((cause) => new AwsEnvironmentError({ detail: `${name} cannot be read`, cause })))

/** A section of a file of AWS's tools. */
type Section = Readonly<Record<string, string>>

/** The section of a file; undefined when there is no such file or section. */
const sectionOf = Effect.fnUntraced(function*(variableName: string, file: string, section: string) {
  const fileSystem = yield* FileSystem.FileSystem
  const path = (yield* variable(variableName)) ?? join(homedir(), ".aws", file)
  const text = yield* fileSystem.readFileString(path).pipe(
    Effect.catchIf((error) => error.reason._tag === "NotFound", () => Effect.succeed("")),
    Effect.mapError((cause) => new AwsEnvironmentError({ detail: `${path} cannot be read: ${cause.message}`, cause }))
  )
  return sectionIn(text, section)
})

/**
 * A section in the text of a file. Values are what stands there: a secret may have the characters with which a comment
 * begins, and only a space before them makes one.
 */
const sectionIn = (text: string, section: string): Section | undefined => {
  let found: Record<string, string> | undefined
  let isIn = false
  for (const line of text.split(/\r?\n/)) {
    const [, name] = /^\s*\[\s*(.*?)\s*\]/.exec(line) ?? []
    if (name !== undefined) {
      isIn = name === section
      if (isIn) found ??= {}
      continue
    }
    const [, key, value] = /^([^\s#;=][^=]*?)\s*=\s*(.*?)(?:\s+[#;].*)?\s*$/.exec(line) ?? []
    if (isIn && found !== undefined && key !== undefined && value !== undefined) found[key.toLowerCase()] = value
  }
  return found
}

const profileName = Effect.map(
  Effect.all([variable("AWS_PROFILE"), variable("AWS_DEFAULT_PROFILE")]),
  ([profile, older]) => profile ?? older ?? "default"
)

const configSection = Effect.flatMap(
  profileName,
  (profile) => sectionOf("AWS_CONFIG_FILE", "config", profile === "default" ? "default" : `profile ${profile}`)
)

/** How a profile names what has to be fetched for it. */
const fetched: Readonly<Record<string, string>> = {
  sso_session: "SSO",
  sso_start_url: "SSO",
  role_arn: "a role",
  credential_process: "a command"
}

const credentialsIn = (section: Section = {}): Credentials | undefined => {
  const { aws_access_key_id: id, aws_secret_access_key: secret, aws_session_token: token } = section
  return id === undefined || secret === undefined ? undefined : credentialsOf(id, secret, token)
}

const credentialsOf = (id: string, secret: string, token: string | undefined): Credentials => ({
  accessKeyId: id,
  secretAccessKey: Redacted.make(secret, { label: "secret access key" }),
  ...(token === undefined ? {} : { sessionToken: Redacted.make(token, { label: "session token" }) })
})

/**
 * The credentials: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`; otherwise those of the profile
 * `AWS_PROFILE` (`default` where it is not set) in the files. They are read anew each time, so renewed ones are found.
 *
 * **Example** (Credentials in variables)
 *
 * ```ts
 * import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
 * import { ConfigProvider, Effect } from "effect"
 * import { AwsEnvironment } from "effect-wal/s3"
 *
 * const env = { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret" }
 * const { accessKeyId, secretAccessKey } = await Effect.runPromise(AwsEnvironment.credentials.pipe(
 *   Effect.provide(NodeFileSystem.layer),
 *   Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env })))
 * ))
 * console.log(`${accessKeyId} ${secretAccessKey}`) // => id <redacted:secret access key>
 * ```
 *
 * @since 0.1.0
 * @category reading
 */
export const credentials: Effect.Effect<Credentials, AwsEnvironmentError, FileSystem.FileSystem> = Effect.gen(
  function*() {
    const id = yield* variable("AWS_ACCESS_KEY_ID")
    const secret = yield* variable("AWS_SECRET_ACCESS_KEY")
    if (id !== undefined && secret !== undefined) {
      return credentialsOf(id, secret, yield* variable("AWS_SESSION_TOKEN"))
    }
    if (id !== undefined || secret !== undefined) {
      const missing = id === undefined ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY"
      return yield* new AwsEnvironmentError({ detail: `${missing} is not set, although the other one is` })
    }
    const profile = yield* profileName
    const config = yield* configSection
    const found = credentialsIn(yield* sectionOf("AWS_SHARED_CREDENTIALS_FILE", "credentials", profile)) ??
      credentialsIn(config)
    if (found !== undefined) return found
    const from = Object.keys(fetched).find((name) => config?.[name] !== undefined)
    return yield* new AwsEnvironmentError({
      detail: from === undefined
        ? `there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or put the profile ${profile} ` +
          "into ~/.aws/credentials"
        : `the profile ${profile} takes its credentials from ${fetched[from]}, which is not asked here; set ` +
          "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, as by `aws configure export-credentials`"
    })
  }
)

/**
 * The region: `AWS_REGION`, `AWS_DEFAULT_REGION`, or that of the profile; undefined when none has one.
 *
 * @since 0.1.0
 * @category reading
 */
export const region: Effect.Effect<string | undefined, AwsEnvironmentError, FileSystem.FileSystem> = Effect.gen(
  function*() {
    return (yield* variable("AWS_REGION")) ?? (yield* variable("AWS_DEFAULT_REGION")) ??
      (yield* configSection)?.["region"]
  }
)

/**
 * The endpoint of a server that is not AWS: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, or that of the profile;
 * undefined when none has one.
 *
 * @since 0.1.0
 * @category reading
 */
export const endpoint: Effect.Effect<string | undefined, AwsEnvironmentError, FileSystem.FileSystem> = Effect.gen(
  function*() {
    return (yield* variable("AWS_ENDPOINT_URL_S3")) ?? (yield* variable("AWS_ENDPOINT_URL")) ??
      (yield* configSection)?.["endpoint_url"]
  }
)
