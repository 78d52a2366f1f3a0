/** What is recorded of a call, by what is known of its request. */
import { PersistenceError } from "effect/cluster/ClusterError"
import type * as Envelope from "effect/cluster/Envelope"
import { SaveResultEncoded } from "effect/cluster/MessageStorage"
import type { SaveResult } from "effect/cluster/MessageStorage"
import type * as Reply from "effect/cluster/Reply"
import * as Snowflake from "effect/cluster/Snowflake"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { lineOfEnvelope, lineOfReply, parse, replyOf } from "./Change.ts"
import type { ChunkLine, ExitLine } from "./Change.ts"
import type { StoredReply, StoredRequest } from "./Messages.ts"
import type { Decide } from "./Transaction.ts"

const refused = (detail: string) => Effect.fail(new PersistenceError({ cause: new Error(detail) }))

/** The reply as it was saved. */
export const decodeReply = ({ text }: StoredReply): Reply.Encoded => replyOf(parse(text) as ChunkLine | ExitLine)

/** Of a request without chunks its answer; otherwise its receiver continues after the last chunk that it has. */
const lastReceived = ({ ackedChunk, chunks, exit }: StoredRequest): StoredReply | undefined =>
  ackedChunk ?? (chunks.length === 0 ? exit : undefined)

const duplicateOf = (request: StoredRequest): SaveResult.Encoded =>
  SaveResultEncoded.Duplicate({
    originalId: Snowflake.Snowflake(request.id),
    lastReceivedReply: Option.map(Option.fromUndefinedOr(lastReceived(request)), decodeReply)
  })

/**
 * A request is saved once: what has its primary key, or is the same request again, is a duplicate. Signals to a request
 * that is not there are not saved.
 */
export const saveEnvelope = ({ deliverAt, envelope, primaryKey }: {
  readonly envelope: Envelope.Encoded
  readonly primaryKey: string | null
  readonly deliverAt: number | null
}): Decide<SaveResult.Encoded> => {
  const line = lineOfEnvelope(envelope, primaryKey, deliverAt)
  return (messages) => {
    const request = messages.request(envelope.requestId)
    if (envelope._tag === "Request") {
      const originalId = primaryKey === null ? undefined : messages.idOfKey(primaryKey)
      if (originalId !== undefined) return [duplicateOf(messages.request(originalId)!), []]
      if (request === undefined) return [SaveResultEncoded.Success(), [line]]
      if (request.text === JSON.stringify(line)) return [duplicateOf(request), []]
      return refused(`another request has the id ${envelope.requestId}; was the clock set back?`)
    }
    const isKnown = request === undefined || request.interrupts.some(({ slot }) => slot === envelope.id)
    return [SaveResultEncoded.Success(), isKnown ? [] : [line]]
  }
}

/** A reply is saved once. The first answer counts: another one is refused, and so is a second chunk of a sequence. */
export const saveReply = (reply: Reply.Encoded): Decide<void> => {
  const line = lineOfReply(reply)
  return (messages) => {
    const request = messages.request(reply.requestId)
    if (request === undefined) return [undefined, []]
    const { ackedChunk, chunks, exit } = request
    const saved = [...chunks, ...ackedChunk === undefined ? [] : [ackedChunk]]
    if (exit?.id === reply.id || saved.some(({ id }) => id === reply.id)) return [undefined, []]
    if (exit !== undefined) return refused(`request ${reply.requestId} has an answer already`)
    if (reply._tag === "Chunk" && saved.some(({ sequence }) => sequence === reply.sequence)) {
      return refused(`request ${reply.requestId} has a chunk ${reply.sequence} already`)
    }
    return [undefined, [line]]
  }
}

/** The request is processed again; with `expectedReplyId` only when that is its latest reply. */
export const clearReplies = (requestId: string, expectedReplyId: string | undefined): Decide<void> => (messages) => {
  const request = messages.request(requestId)
  const isMeant = request !== undefined && (expectedReplyId === undefined || request.lastReply?.id === expectedReplyId)
  return [undefined, isMeant ? [["clearReplies", requestId, expectedReplyId !== undefined]] : []]
}

/** Everything of an entity goes. */
export const clearAddress = (entityType: string, entityId: string): Decide<void> => (messages) => [
  undefined,
  messages.hasEntity(entityType, entityId) ? [["clearAddress", entityType, entityId]] : []
]
