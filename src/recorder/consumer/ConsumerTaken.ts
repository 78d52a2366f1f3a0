/** Why a consumer cannot begin. */
import * as Schema from "effect/Schema"
import { plainText } from "../../internal/plainText.ts"

/**
 * A consumer of this name reads already, in this process or in another.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConsumerTaken extends Schema.TaggedError<ConsumerTaken>()("ConsumerTaken", {
  name: Schema.String,
  directory: Schema.String,
  /** Who reads, for people. */
  holder: Schema.String
}) {
  override get message(): string {
    return plainText(
      `${this.directory}: the consumer ${this.name} reads already (${this.holder}); stop that one, or take another name`
    )
  }
  /** The other one may end. */
  get isRetryable(): boolean {
    return true
  }
}
