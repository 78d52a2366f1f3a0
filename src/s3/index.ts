/**
 * An object store in a bucket of S3, or of any server that speaks its protocol and honours its conditions. Imported
 * from `effect-wal/s3`; it loads Effect's HTTP client, and `aws4fetch`, which signs the requests.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category stores */
export * as AwsEnvironment from "./AwsEnvironment.ts"
/** @since 0.1.0 @category stores */
export * as S3Store from "./S3Store.ts"
