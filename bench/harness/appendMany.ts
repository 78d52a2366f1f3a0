/** Appending without Effect per event: the loop that an application with many events writes. */
import * as Effect from "effect/Effect"
import * as Doorbell from "../../src/shared/Doorbell.ts"
import type { OpenWal } from "./Wal.ts"

/** Appends the same event again and again; waits whenever the arena is full. */
export const appendMany = ({ arena, recorder }: OpenWal, event: Uint8Array, count: number): Effect.Effect<void> => {
  const { writer } = recorder
  let appended = 0
  const fill = (): boolean => {
    while (appended < count) {
      const id = writer.appendUnsafe(event)
      if (id === 0) return false
      if (id < 0) throw new Error(`append refused: ${id}`)
      appended += 1
    }
    return true
  }
  return whileNot(arena.durable, fill)
}

/** Appends `payload` cut into events of `eventBytes`, once from its beginning to its end. */
export const appendPayload = (
  { arena, recorder }: OpenWal,
  payload: Uint8Array,
  eventBytes: number
): Effect.Effect<void> => {
  const { writer } = recorder
  let at = 0
  const fill = (): boolean => {
    while (at < payload.length) {
      const id = writer.appendUnsafe(payload.subarray(at, at + eventBytes))
      if (id === 0) return false
      if (id < 0) throw new Error(`append refused: ${id}`)
      at += eventBytes
    }
    return true
  }
  return whileNot(arena.durable, fill)
}

/** Runs `fill` until it says it is done, waiting for the doorbell in between. */
const whileNot = (doorbell: Doorbell.Doorbell, fill: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => {
    const seen = Doorbell.readUnsafe(doorbell)
    return fill() ? Effect.void : Effect.andThen(Doorbell.wait(doorbell, seen), whileNot(doorbell, fill))
  })
