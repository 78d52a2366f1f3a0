/** What every storage of an event-log server does: it keeps its id, and by which key each client signs. */
import * as Effect from "effect/Effect"
import { makeRemoteIdUnsafe } from "effect/eventlog/EventJournal"
import type * as Scope from "effect/Scope"
import { requireBytes } from "../internal/arguments.ts"
import type { Log } from "../recorder/Log.ts"
import type { StateMachineError } from "../state/StateMachineError.ts"
import * as Committing from "./Committing.ts"
import type { State } from "./Folded.ts"
import type { Kind } from "./Lines.ts"
import { requireText } from "./required.ts"
import type { ServerEvent, ServerState } from "./ServerState.ts"

/** Opens the storage of a server over this log. A log that is empty gets an id. */
export const make = Effect.fnUntraced(function*<S extends ServerState & State<Event>, Event>(
  log: Log<Uint8Array>,
  { ofServer, ...options }: Committing.Options & {
    readonly kind: Kind<Event>
    readonly initial: () => S
    readonly ofServer: (event: ServerEvent) => Event
  }
): Effect.fn.Return<
  {
    readonly committing: Committing.Committing<S, Event>
    /**
     * What Effect's two storages have in common. They have no errors: one of ours is a defect, and a server reports it.
     */
    readonly members: {
      readonly getId: Effect.Effect<NonNullable<ServerState["id"]>>
      readonly getOrCreateSessionAuthBinding: (
        publicKey: string,
        signingPublicKey: Uint8Array<ArrayBuffer>
      ) => Effect.Effect<Uint8Array<ArrayBuffer>>
    }
  },
  StateMachineError,
  Scope.Scope
> {
  const committing = yield* Committing.make<S, Event>(log, { ...options, name: "eventlog" })
  const id = yield* yield* committing.begin(({ id }) =>
    id === undefined ? withId(makeRemoteIdUnsafe(), ofServer) : { answer: id, events: [] }
  )
  return {
    committing,
    members: {
      getId: Effect.succeed(id),
      getOrCreateSessionAuthBinding: (publicKey, signingPublicKey) =>
        Effect.suspend(() => {
          requireText("publicKey", publicKey)
          requireBytes("signingPublicKey", signingPublicKey)
          const given = Uint8Array.from(signingPublicKey)
          return Effect.flatMap(
            committing.begin(({ signers }) => {
              const known = signers.get(publicKey)
              return known === undefined
                ? { answer: given, events: [ofServer({ type: "signer", publicKey, key: given })] }
                : { answer: known, events: [] }
            }),
            Effect.orDie
          )
        })
    }
  }
})

const withId = <Event>(
  id: NonNullable<ServerState["id"]>,
  ofServer: (event: ServerEvent) => Event
): Committing.Decided<NonNullable<ServerState["id"]>, Event> => ({
  answer: id,
  events: [ofServer({ type: "server", id })]
})
