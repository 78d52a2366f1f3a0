/**
 * The state of a message storage: which requests are there, what was replied to them, and which keys are taken. It is a
 * fold over the lines of the log and depends on nothing else, so a restart gives the same state.
 *
 * It stays bounded:
 *
 * - A chunk that was acknowledged goes when the next one is, and an answer ends all acknowledgements and interrupts.
 * - An answer to a request without a primary key can be asked for only by the sender that waits for it. The newest
 *   {@link answersMax} are kept, and less when they are large.
 * - An answer to a request with a primary key is what makes the next one a duplicate. It is kept until it is older than
 *   an `age` line tells, in milliseconds in which a process ran: no clock that is set makes anything old.
 */
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { parse } from "./Change.ts"
import type { Line } from "./Change.ts"

/** So many answers to requests without a primary key are kept. */
export const answersMax = 16_384
/** They have at most so many characters together, when they are more than {@link largeAnswersMax}. */
const answersCharactersMax = 16 * 1024 * 1024
const largeAnswersMax = 256

/** A line as it was recorded, of a reply. */
export interface StoredReply {
  readonly id: string
  /** Of a chunk. */
  readonly sequence: number
  readonly text: string
}

/** An acknowledgement or an interrupt. */
interface Signal {
  /** What is handed out under the same name takes the place of the one before. */
  readonly slot: string
  /** Messages are handed out in this order. */
  readonly order: number
  /** The line that tells what. */
  readonly text: string
  readonly request: StoredRequest
}

/** A request, and what has come of it. */
export class StoredRequest implements Signal {
  readonly id: string
  readonly order: number
  readonly shardId: string
  /** The name of its entity. */
  readonly entity: string
  readonly key: string | null
  readonly deliverAt: number | null
  readonly text: string
  /** The newest chunk that was acknowledged. */
  ackedChunk: StoredReply | undefined
  /** The chunks after it. */
  chunks: ReadonlyArray<StoredReply> = []
  exit: StoredReply | undefined
  /** Whether the answer tells that there will be another one: of a workflow that waits. */
  isSuspended = false
  /** The age of the state when it was answered. */
  answeredAt = 0
  /** The newest acknowledgement, until the answer. */
  ack: Signal | undefined
  interrupts: ReadonlyArray<Signal> = []
  isGone = false

  constructor(
    fields: Pick<StoredRequest, "id" | "order" | "shardId" | "entity" | "key" | "deliverAt" | "text">
  ) {
    this.id = fields.id
    this.order = fields.order
    this.shardId = fields.shardId
    this.entity = fields.entity
    this.key = fields.key
    this.deliverAt = fields.deliverAt
    this.text = fields.text
  }

  get slot(): string {
    return this.id
  }

  get request(): StoredRequest {
    return this
  }

  /** The place of its entity, as `addressOf` names it. */
  get address(): string {
    return `${this.shardId}\0${this.entity}`
  }

  get lastReply(): StoredReply | undefined {
    return this.exit ?? this.chunks.at(-1) ?? this.ackedChunk
  }

  /** Whether it waits for an answer, now or later. */
  get isOpen(): boolean {
    return this.exit === undefined || this.isSuspended
  }

  copy(): StoredRequest {
    return Object.assign(new StoredRequest(this), this)
  }
}

/** What is handed out. */
export type Message = StoredRequest | Signal

/** Whether a message still has to be processed, by what is known of its request. */
export const isUnprocessed = (message: Message): boolean => {
  const { request } = message
  if (request.isGone || request.exit !== undefined) return false
  return message === request || message === request.ack || request.interrupts.includes(message as Signal)
}

/** The name of the place of an entity. */
export const addressOf = (group: string, shard: number, entityType: string, entityId: string): string =>
  `${group}:${shard}\0${entityOf(entityType, entityId)}`

const entityOf = (entityType: string, entityId: string): string => `${entityType}\0${entityId}`

/** The state; see the opening of this module. */
export class Messages {
  readonly #base: Messages | undefined
  /** `undefined`: it has gone, whatever the base has. */
  readonly #requests = new Map<string, StoredRequest | undefined>()
  readonly #idOfKey = new Map<string, string | undefined>()
  /** Each name of an entity and of a shard is in memory once. */
  readonly #entities = new Map<string, { readonly name: string; readonly ids: Set<string> }>()
  readonly #shardIds = new Map<string, string>()
  /** Those with a primary key, and those without one, in the order of their answers. */
  readonly #answeredWithKey = new Set<StoredRequest>()
  readonly #answered = new Set<StoredRequest>()
  #answeredCharacters = 0
  #order = 0
  #ageMillis = 0

  /** With a base it is a view on it: what is applied changes the view alone. */
  constructor(base?: Messages) {
    this.#base = base
  }

  get ageMillis(): number {
    return this.#ageMillis
  }

  /** How many requests there are, answered ones included. */
  get size(): number {
    return this.#requests.size
  }

  /** All requests, in the order in which they came. */
  get requests(): Iterable<StoredRequest | undefined> {
    return this.#requests.values()
  }

  request(id: string): StoredRequest | undefined {
    return this.#requests.has(id) ? this.#requests.get(id) : this.#base?.request(id)
  }

  idOfKey(key: string): string | undefined {
    return this.#idOfKey.has(key) ? this.#idOfKey.get(key) : this.#base?.idOfKey(key)
  }

  hasEntity(entityType: string, entityId: string): boolean {
    return this.#idsOf(entityOf(entityType, entityId)).length > 0
  }

  apply(text: string, line: Line = parse(text)): void {
    switch (line[0]) {
      case "request": {
        const [, id, group, shard, entityType, entityId, key, deliverAt] = line
        const entity = this.#entityOf(entityOf(entityType, entityId))
        const request = new StoredRequest({
          id,
          key,
          deliverAt,
          text,
          order: ++this.#order,
          shardId: this.#shardIdOf(`${group}:${shard}`),
          entity: entity.name
        })
        this.#requests.set(id, request)
        if (key !== null) this.#idOfKey.set(key, id)
        entity.ids.add(id)
        return
      }
      case "ack": {
        const [, , , , , , requestId, replyId] = line
        const request = this.#writable(requestId)
        if (request === undefined) return
        acknowledge(request, replyId)
        if (request.exit === undefined) {
          request.ack = { request, slot: ackSlot(requestId), order: ++this.#order, text }
        }
        return
      }
      case "acked": {
        const request = this.#writable(line[1])
        if (request !== undefined) acknowledge(request, line[2])
        return
      }
      case "interrupt": {
        const [, id, , , , , requestId] = line
        const request = this.#writable(requestId)
        if (request === undefined) return
        request.interrupts = [...request.interrupts, { request, slot: id, order: ++this.#order, text }]
        return
      }
      case "chunk": {
        const [, id, requestId, sequence] = line
        const request = this.#writable(requestId)
        if (request !== undefined) request.chunks = [...request.chunks, { id, sequence, text }]
        return
      }
      case "exit": {
        const [, id, requestId, exit] = line
        const request = this.#writable(requestId)
        if (request === undefined) return
        request.exit = { id, sequence: 0, text }
        request.isSuspended = exit._tag === "Success" && isTagged(exit.value, "Suspended")
        request.answeredAt = this.#ageMillis
        request.ack = undefined
        request.interrupts = []
        this.#keepAnswer(request)
        return
      }
      case "clearReplies": {
        const [, requestId, keepsInterrupts] = line
        const request = this.#writable(requestId)
        if (request === undefined) return
        this.#dropAnswer(request)
        request.exit = undefined
        request.isSuspended = false
        request.chunks = []
        request.ackedChunk = undefined
        request.ack = undefined
        if (!keepsInterrupts) request.interrupts = []
        return
      }
      case "clearAddress": {
        for (const id of this.#idsOf(entityOf(line[1], line[2]))) this.#remove(this.request(id)!)
        return
      }
      case "age": {
        const [, millis, keepMillis] = line
        this.#ageMillis += millis
        if (keepMillis !== undefined) this.#forget(this.#ageMillis - keepMillis)
        return
      }
    }
  }

  /** Lines that give this state again, of which the order of signals among requests is not a part. */
  lines(): Array<string> {
    const lines: Array<string> = []
    const signals: Array<Signal> = []
    for (const request of this.#requests.values()) {
      if (request === undefined) continue
      lines.push(request.text)
      if (request.ackedChunk !== undefined) {
        lines.push(request.ackedChunk.text, JSON.stringify(["acked", request.id, request.ackedChunk.id]))
      }
      for (const chunk of request.chunks) lines.push(chunk.text)
      signals.push(...request.ack === undefined ? [] : [request.ack], ...request.interrupts)
    }
    let ageMillis = 0
    const ageTo = (millis: number): void => {
      if (millis > ageMillis) lines.push(JSON.stringify(["age", millis - ageMillis]))
      ageMillis = millis
    }
    for (const request of this.#answeredWithKey) {
      ageTo(request.answeredAt)
      lines.push(request.exit!.text)
    }
    ageTo(this.#ageMillis)
    for (const request of this.#answered) lines.push(request.exit!.text)
    for (const { text } of signals.sort((a, b) => a.order - b.order)) lines.push(text)
    return lines
  }

  #entityOf(name: string): { readonly name: string; readonly ids: Set<string> } {
    const known = this.#entities.get(name)
    if (known !== undefined) return known
    const entity = { name, ids: new Set<string>() }
    this.#entities.set(name, entity)
    return entity
  }

  #shardIdOf(name: string): string {
    const known = this.#shardIds.get(name)
    if (known === undefined) this.#shardIds.set(name, name)
    return known ?? name
  }

  #idsOf(entity: string): ReadonlyArray<string> {
    const own = [...this.#entities.get(entity)?.ids ?? []]
    if (this.#base === undefined) return own
    return [...new Set([...this.#base.#idsOf(entity), ...own])].filter((id) => this.request(id) !== undefined)
  }

  /** The request, to be changed: a view changes a copy. */
  #writable(id: string): StoredRequest | undefined {
    const request = this.request(id)
    if (request === undefined || this.#requests.has(id)) return request
    const copy = request.copy()
    this.#requests.set(id, copy)
    return copy
  }

  #keepAnswer(request: StoredRequest): void {
    if (request.key !== null) {
      this.#answeredWithKey.add(request)
      return
    }
    this.#answered.add(request)
    this.#answeredCharacters += charactersOf(request)
    for (const oldest of this.#answered) {
      const { size } = this.#answered
      if (size <= answersMax && (size <= largeAnswersMax || this.#answeredCharacters <= answersCharactersMax)) break
      this.#remove(oldest)
    }
  }

  #dropAnswer(request: StoredRequest): void {
    this.#answeredWithKey.delete(request)
    if (this.#answered.delete(request)) this.#answeredCharacters -= charactersOf(request)
  }

  #remove(request: StoredRequest): void {
    this.#dropAnswer(request)
    const ids = this.#entities.get(request.entity)?.ids
    ids?.delete(request.id)
    if (ids?.size === 0) this.#entities.delete(request.entity)
    if (this.#base !== undefined) {
      this.#requests.set(request.id, undefined)
      if (request.key !== null) this.#idOfKey.set(request.key, undefined)
      return
    }
    request.isGone = true
    this.#requests.delete(request.id)
    if (request.key !== null) this.#idOfKey.delete(request.key)
  }

  /**
   * Removes what was answered at this age or before. A request stays while an earlier one of its entity is open,
   * because that one may ask again for what was answered: a workflow that continues does.
   */
  #forget(untilMillis: number): void {
    const oldestOpen = new Map<string, number>()
    const oldestOpenOf = (entity: string): number => {
      const known = oldestOpen.get(entity)
      if (known !== undefined) return known
      let oldest = Number.POSITIVE_INFINITY
      for (const id of this.#idsOf(entity)) {
        const request = this.request(id)!
        if (request.isOpen && request.order < oldest) oldest = request.order
      }
      oldestOpen.set(entity, oldest)
      return oldest
    }
    for (const request of this.#answeredWithKey) {
      if (request.answeredAt > untilMillis) break
      if (request.order < oldestOpenOf(request.entity)) this.#remove(request)
    }
  }
}

/** The slot of the newest acknowledgement of a request. */
export const ackSlot = (requestId: string): string => `${requestId} ack`

const charactersOf = (request: StoredRequest): number => request.text.length + (request.exit?.text.length ?? 0)

const acknowledge = (request: StoredRequest, replyId: string): void => {
  const acked = request.chunks.find(({ id }) => id === replyId)
  if (acked === undefined) return
  request.ackedChunk = acked
  request.chunks = request.chunks.filter(({ sequence }) => sequence > acked.sequence)
}

const isTagged = (value: unknown, tag: string): boolean =>
  typeof value === "object" && value !== null && "_tag" in value && value._tag === tag

/** The schema of the state, for snapshots: the lines that give it again. */
export const MessagesSchema: Schema.Codec<Messages, ReadonlyArray<string>> = Schema.Array(Schema.String).pipe(
  Schema.decodeTo(
    Schema.declare((value): value is Messages => value instanceof Messages),
    SchemaTransformation.transform({
      decode: (lines) => {
        const messages = new Messages()
        for (const line of lines) messages.apply(line)
        return messages
      },
      encode: (messages) => messages.lines()
    })
  )
)
