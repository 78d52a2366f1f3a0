/**
 * The events of the log: what has happened to the messages of a cluster, a line of JSON each, so `effect-wal replay`
 * prints them.
 *
 * An address is four fields: shard group, shard number, entity type, entity id.
 */
import type * as Envelope from "effect/cluster/Envelope"
import type * as Reply from "effect/cluster/Reply"
import { invariant } from "../internal/invariant.ts"

/** A request is accepted. `key` is its primary key; `deliverAt` is in milliseconds of the wall clock. */
export type RequestLine = readonly [
  "request",
  id: string,
  group: string,
  shard: number,
  entityType: string,
  entityId: string,
  key: string | null,
  deliverAt: number | null,
  tag: string,
  payload: unknown,
  headers: Envelope.PartialRequestEncoded["headers"],
  ...trace: [traceId?: string, spanId?: string, sampled?: boolean]
]

/** The receiver of a stream has a chunk. */
export type AckLine = readonly [
  "ack",
  id: string,
  group: string,
  shard: number,
  entityType: string,
  entityId: string,
  requestId: string,
  replyId: string
]

/** The sender of a request gives up. */
export type InterruptLine = readonly [
  "interrupt",
  id: string,
  group: string,
  shard: number,
  entityType: string,
  entityId: string,
  requestId: string
]

/** An entity has sent a chunk of a stream. */
export type ChunkLine = readonly [
  "chunk",
  id: string,
  requestId: string,
  sequence: number,
  values: Reply.ChunkEncoded["values"]
]

/** An entity has answered. */
export type ExitLine = readonly ["exit", id: string, requestId: string, exit: Reply.WithExitEncoded["exit"]]

/**
 * - `clearReplies`: the request is as it was when it came, and is processed again. Interrupts that came after its
 *   answer stay, or go with the replies
 * - `clearAddress`: everything of the entity goes
 * - `acked`: a chunk was acknowledged; the message that told so is processed
 * - `age`: so many milliseconds of a running process have passed; answers that are older than `keepMillis` go
 */
export type Line =
  | RequestLine
  | AckLine
  | InterruptLine
  | ChunkLine
  | ExitLine
  | readonly ["clearReplies", requestId: string, keepsInterrupts: boolean]
  | readonly ["clearAddress", entityType: string, entityId: string]
  | readonly ["acked", requestId: string, replyId: string]
  | readonly ["age", millis: number, keepMillis?: number]

/** The line of an envelope that is accepted. */
export const lineOfEnvelope = (
  envelope: Envelope.Encoded,
  key: string | null,
  deliverAt: number | null
): RequestLine | AckLine | InterruptLine => {
  const { entityId, entityType, shardId: { group, id: shard } } = envelope.address
  switch (envelope._tag) {
    case "Request": {
      const { headers, payload, requestId, sampled, spanId, tag, traceId } = envelope
      const line = [
        "request",
        requestId,
        group,
        shard,
        entityType,
        entityId,
        key,
        deliverAt,
        tag,
        payload,
        headers
      ] as const
      return traceId === undefined ? line : [...line, traceId, spanId!, sampled!]
    }
    case "AckChunk":
      return ["ack", envelope.id, group, shard, entityType, entityId, envelope.requestId, envelope.replyId]
    case "Interrupt":
      return ["interrupt", envelope.id, group, shard, entityType, entityId, envelope.requestId]
  }
}

/** The envelope of a line. */
export const envelopeOf = (line: RequestLine | AckLine | InterruptLine): Envelope.Encoded => {
  const [, id, group, shard, entityType, entityId] = line
  const address = { shardId: { group, id: shard }, entityType, entityId }
  switch (line[0]) {
    case "request": {
      const [, , , , , , , , tag, payload, headers, traceId, spanId, sampled] = line
      const request = { _tag: "Request", requestId: id, address, tag, payload, headers } as const
      return traceId === undefined ? request : { ...request, traceId, spanId: spanId!, sampled: sampled! }
    }
    case "ack":
      return { _tag: "AckChunk", id, address, requestId: line[6], replyId: line[7] }
    case "interrupt":
      return { _tag: "Interrupt", id, address, requestId: line[6] }
  }
}

/** The line of a reply that is saved. */
export const lineOfReply = (reply: Reply.Encoded): ChunkLine | ExitLine =>
  reply._tag === "Chunk"
    ? ["chunk", reply.id, reply.requestId, reply.sequence, reply.values]
    : ["exit", reply.id, reply.requestId, reply.exit]

/** The reply of a line. */
export const replyOf = (line: ChunkLine | ExitLine): Reply.Encoded =>
  line[0] === "chunk"
    ? { _tag: "Chunk", id: line[1], requestId: line[2], sequence: line[3], values: line[4] }
    : { _tag: "WithExit", id: line[1], requestId: line[2], exit: line[3] }

/** The request that a line is about; `undefined`: any. */
export const requestOf = (line: Line): string | undefined => {
  switch (line[0]) {
    case "request":
    case "clearReplies":
    case "acked":
      return line[1]
    case "chunk":
    case "exit":
      return line[2]
    case "ack":
    case "interrupt":
      return line[6]
    case "clearAddress":
    case "age":
      return undefined
  }
}

/** The line of a text. Throws when it is none of this module. */
export const parse = (text: string): Line => {
  const line: unknown = text.startsWith("[") ? JSON.parse(text) : undefined
  invariant(Array.isArray(line) && names.has(line[0]), "the log of a message storage has only events of its own")
  return line as unknown as Line
}

const names: ReadonlySet<unknown> = new Set<Line[0]>([
  "request",
  "ack",
  "interrupt",
  "chunk",
  "exit",
  "clearReplies",
  "clearAddress",
  "acked",
  "age"
])
