/**
 * A log with a name and a type: {@link Service} makes its class, whose layers record, and whose readers read.
 *
 * @since 0.1.0
 */
export type { RecoveryReport } from "./reading/recovery/Recovery.ts"
export { FormatMismatch, LogExhausted } from "./reading/recovery/Recovery.ts"
export type {
  Consumer,
  ConsumerOptions,
  DeadLetter,
  FailedEvent,
  MissingEvents,
  ProcessOptions
} from "./recorder/consumer/Consumer.ts"
export { ConsumerTaken } from "./recorder/consumer/ConsumerTaken.ts"
export { EventUndecodable } from "./recorder/EventUndecodable.ts"
export type { EventRange, Log, LogEvent, LogReader, Parts, SinkOptions } from "./recorder/Log.ts"
export type { LogClass, WalError, WalOptions } from "./recorder/Wal.ts"
export { Service } from "./recorder/Wal.ts"
