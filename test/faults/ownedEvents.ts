/** The events of recorders that take turns: each has the name that its recorder gave it, and bytes that follow from it. */
import { SeededRandom } from "../../src/testing/SeededRandom.ts"

/** The name of their log in the store. */
export const ownedLog = "owned"

const fillerBytesMax = 600

/** The event with this name: that of its recorder's life, and a number. */
export const ownedEvent = (seed: number, life: number, number: number): Buffer => {
  const random = new SeededRandom(seed * 2 ** 32 + life * 2 ** 20 + number)
  const name = Buffer.from(`${nameOf(life, number)} `)
  const event = Buffer.alloc(name.length + random.below(fillerBytesMax), 97 + random.below(26))
  event.set(name)
  return event
}

export const nameOf = (life: number, number: number): string => `${life}-${number}`

/** The name of an event; `undefined` when its bytes are not those that its name demands. */
export const ownedName = (seed: number, bytes: Uint8Array): string | undefined => {
  const event = Buffer.from(bytes)
  const [, name, life, number] = /^((\d+)-(\d+)) /.exec(event.toString("latin1")) ?? []
  if (name === undefined) return undefined
  return ownedEvent(seed, Number(life), Number(number)).equals(event) ? name : undefined
}
