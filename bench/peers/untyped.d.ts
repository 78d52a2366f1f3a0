declare module "async-append-only-log" {
  interface Log {
    append(records: ReadonlyArray<Uint8Array>, done: (error: Error | null, offset: number) => void): void
    onDrain(done: () => void): void
    close(done: (error?: Error) => void): void
  }
  export default function open(
    path: string,
    options: { readonly blockSize?: number; readonly writeTimeout?: number }
  ): Log
}

declare module "event-storage" {
  interface StorageOptions {
    readonly dataDirectory: string
    readonly syncOnFlush?: boolean
    readonly writeBufferSize?: number
    readonly serializer: {
      readonly serialize: (document: { readonly text: string }) => string
      readonly deserialize: (text: string) => { readonly text: string }
    }
  }
  export class Storage {
    constructor(name: string, options: StorageOptions)
    open(): boolean
    write(document: { readonly text: string }, done?: () => void): number
    flush(): void
    close(): void
  }
  const module: { readonly Storage: typeof Storage }
  export default module
}

declare module "hypercore" {
  export default class Hypercore {
    constructor(storage: string)
    ready(): Promise<void>
    append(blocks: ReadonlyArray<Uint8Array>): Promise<unknown>
    close(): Promise<void>
  }
}
