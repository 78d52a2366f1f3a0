/** What every storage of an event-log server has: the id of the server, and by which key each client signs. */
import type { RemoteId } from "effect/eventlog/EventJournal"
import { hexOf, idOf, ofHex } from "./Lines.ts"
import type { Line } from "./Lines.ts"

/**
 * ```text
 * ["server","unencrypted",ID]     the first event: what kind of server it is, and its id
 * ["signer",PUBLIC KEY,KEY]       the client of a public key signs by this key
 * ```
 */
export type ServerEvent =
  | { readonly type: "server"; readonly id: RemoteId }
  | { readonly type: "signer"; readonly publicKey: string; readonly key: Uint8Array<ArrayBuffer> }

export const serverLine = (server: string, event: ServerEvent): Line => ({
  head: event.type === "server" ? ["server", server, hexOf(event.id)] : ["signer", event.publicKey, hexOf(event.key)]
})

export const serverEventOf = (
  server: string,
  [type, first, second]: ReadonlyArray<unknown>
): ServerEvent | undefined => {
  if (type === "server") {
    const id = idOf(second)
    return id === undefined || first !== server ? undefined : { type, id: id as Uint8Array as RemoteId }
  }
  const key = second === "" ? new Uint8Array(0) : ofHex(second)
  return type === "signer" && typeof first === "string" && key !== undefined
    ? { type, publicKey: first, key }
    : undefined
}

export class ServerState {
  id: RemoteId | undefined
  readonly signers = new Map<string, Uint8Array<ArrayBuffer>>()

  applyServer(event: ServerEvent): void {
    if (event.type === "server") this.id = event.id
    else if (!this.signers.has(event.publicKey)) this.signers.set(event.publicKey, event.key)
  }

  *serverEvents(): Generator<ServerEvent, void, void> {
    if (this.id !== undefined) yield { type: "server", id: this.id }
    for (const [publicKey, key] of this.signers) yield { type: "signer", publicKey, key }
  }
}
