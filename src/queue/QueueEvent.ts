/**
 * The events of queues, as a log has them: a JSON array of a word and its numbers, and after a tab the text of what was
 * offered. So `effect-wal replay` prints a line an event, and an acknowledgement takes some thirty bytes.
 *
 * ```text
 * ["offer","mails","4711",1,1790000000000,0]⇥{"to":"ada"}    queue, id, whether the id is the caller's, time, delay
 * ["take",12]                                                the element of the 12th offer: an attempt begins
 * ["done",12,1790000000100]                                  it succeeded
 * ["retry",12,1790000005000]                                 it failed, and is due again then
 * ["dead",12,1790000000100,"refused"]                        it failed for the last time, and why
 * ["back",12]                                                it was interrupted: the attempt does not count
 * ["clean",1780000000000,-1]                                 done, and failed, up to then (-1: none) are forgotten
 * ```
 */
import { headedCodec } from "../state/headedLine.ts"

/** An event of a queue. Elements are known by the number of their offer, times are Unix milliseconds. */
export type QueueEvent =
  | {
    readonly type: "offer"
    readonly queue: string
    readonly id: string
    /** Whether the caller gave the id: then it is kept after the element is done. */
    readonly isCustomId: boolean
    readonly at: number
    readonly delay: number
    /** JSON. */
    readonly element: string
  }
  | { readonly type: "take"; readonly sequence: number }
  | { readonly type: "done"; readonly sequence: number; readonly at: number }
  | { readonly type: "retry"; readonly sequence: number; readonly dueAt: number }
  | { readonly type: "dead"; readonly sequence: number; readonly at: number; readonly failure: string }
  | { readonly type: "back"; readonly sequence: number }
  | { readonly type: "clean"; readonly doneUntil: number; readonly deadUntil: number }

const textOf = (event: QueueEvent): string => {
  switch (event.type) {
    case "offer": {
      const { at, delay, element, id, isCustomId, queue } = event
      return `${JSON.stringify(["offer", queue, id, isCustomId ? 1 : 0, at, delay])}\t${element}`
    }
    case "take":
      return `["take",${event.sequence}]`
    case "done":
      return `["done",${event.sequence},${event.at}]`
    case "retry":
      return `["retry",${event.sequence},${event.dueAt}]`
    case "dead":
      return JSON.stringify(["dead", event.sequence, event.at, event.failure])
    case "back":
      return `["back",${event.sequence}]`
    case "clean":
      return `["clean",${event.doneUntil},${event.deadUntil}]`
  }
}

const eventOf = (head: ReadonlyArray<unknown>, rest: Buffer | undefined): QueueEvent | undefined => {
  const [type, first, second, third, fourth, fifth] = head
  if (type === "offer") {
    return typeof first === "string" && typeof second === "string" && typeof fourth === "number" &&
        typeof fifth === "number"
      ? {
        type,
        queue: first,
        id: second,
        isCustomId: third === 1,
        at: fourth,
        delay: fifth,
        element: rest?.toString() ?? ""
      }
      : undefined
  }
  if (typeof first !== "number") return undefined
  if (type === "take" || type === "back") return { type, sequence: first }
  if (typeof second !== "number") return undefined
  if (type === "done") return { type, sequence: first, at: second }
  if (type === "retry") return { type, sequence: first, dueAt: second }
  if (type === "dead") {
    return typeof third === "string"
      ? { type, sequence: first, at: second, failure: third }
      : undefined
  }
  if (type === "clean") return { type, doneUntil: first, deadUntil: second }
  return undefined
}

/** Events of queues as bytes. Whatever else is in a log is refused. */
export const codec = headedCodec<QueueEvent>({
  refusal: "it is no event of a queue",
  bytesOf: (event) => Buffer.from(textOf(event)),
  eventOf
})
