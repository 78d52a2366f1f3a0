/**
 * A log of bytes whose events a codec of ours knows: for state machines that write their events in a form of their own.
 */
import * as Effect from "effect/Effect"
import { Disk } from "../disk/Disk.ts"
import * as EventCodec from "../format/EventCodec.ts"
import { refuseArgument } from "../internal/arguments.ts"
import type { Log } from "../recorder/Log.ts"
import { makeLog } from "../recorder/makeLog.ts"

/** The same log, with events of this codec. `name` is that of its readers. */
export const overBytes = <Event>(name: string, log: Log<Uint8Array>, codec: EventCodec.EventCodec<Event>) => {
  if (!Object.is(log.codec, EventCodec.bytes)) refuseArgument("log", log, "one of bytes: without a schema")
  return makeLog(name, codec).pipe(Effect.provideContext(log.parts), Effect.provideService(Disk, log.disk))
}
