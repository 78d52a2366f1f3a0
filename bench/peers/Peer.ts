/**
 * What a peer must do, so that everybody does the same work. Each peer is used as its own documentation advises for
 * many small events.
 */
export interface Peer {
  /**
   * Hands over a batch of equal events; done when the peer has accepted them, so that a reader in this process would find
   * them or they are on their way. No durability is asked for.
   */
  readonly append: (event: Uint8Array, count: number) => void | Promise<void>
  /** Hands over a batch and waits until it is durable: it survives a loss of power. Missing where a peer has no such thing. */
  readonly commit?: (event: Uint8Array, count: number) => void | Promise<void>
  readonly close: () => void | Promise<void>
}

export interface PeerMaker {
  readonly name: string
  readonly note?: string
  /** Whether it can be asked for durability at all. */
  readonly isDurable: boolean
  readonly open: (directory: string, durable: boolean) => Promise<Peer>
}
