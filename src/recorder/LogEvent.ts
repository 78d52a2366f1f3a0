/** An event of a log, as its readers get it. */
import type * as DateTime from "effect/DateTime"

/**
 * An event as it was read.
 *
 * @since 0.1.0
 * @category models
 */
export interface LogEvent<Event> {
  readonly id: number
  /** When it was written, see `RecordedEvent.time`. */
  readonly time: DateTime.Utc | undefined
  readonly event: Event
}
