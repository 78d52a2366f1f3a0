/** The peers for recording events, one function each. */
import { once } from "node:events"
import { closeSync, createWriteStream, fdatasyncSync, mkdirSync, openSync, writeSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import type * as SonicBoomModule from "sonic-boom"
import type { PeerMaker } from "./Peer.ts"

const sqlite = (synchronous: "FULL" | "OFF"): PeerMaker => ({
  name: `node:sqlite, synchronous ${synchronous}`,
  note: "journal_mode WAL, one prepared insert, a transaction for each batch",
  isDurable: synchronous === "FULL",
  open: async (directory) => {
    const { DatabaseSync } = await import("node:sqlite")
    const database = new DatabaseSync(join(directory, "events.db"))
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}`)
    database.exec("CREATE TABLE events (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)")
    const insert = database.prepare("INSERT INTO events (bytes) VALUES (?)")
    const append = (event: Uint8Array, count: number): void => {
      database.exec("BEGIN")
      for (let i = 0; i < count; i++) insert.run(event)
      database.exec("COMMIT")
    }
    return { append, commit: append, close: () => database.close() }
  }
})

const lmdb: PeerMaker = {
  name: "lmdb",
  note: "put() in batches of its own making; durable: the promise of `flushed`; not durable: noSync",
  isDurable: true,
  open: async (directory, durable) => {
    const { open } = await import("lmdb")
    const database = open<Buffer, number>({
      path: directory,
      encoding: "binary",
      keyEncoding: "uint32",
      noSync: !durable
    })
    let id = 0
    const append = async (event: Uint8Array, count: number): Promise<void> => {
      const value = Buffer.from(event.buffer, event.byteOffset, event.byteLength)
      let last: Promise<boolean> | undefined
      for (let i = 0; i < count; i++) last = database.put(++id, value)
      await last
    }
    const commit = async (event: Uint8Array, count: number): Promise<void> => {
      await append(event, count)
      await database.flushed
    }
    return { append, commit, close: () => database.close() }
  }
}

const classicLevel: PeerMaker = {
  name: "classic-level",
  note: "batch() of puts with ascending 8-byte keys; durable: sync",
  isDurable: true,
  open: async (directory) => {
    const { ClassicLevel } = await import("classic-level")
    const database = new ClassicLevel<Uint8Array, Uint8Array>(directory, { keyEncoding: "view", valueEncoding: "view" })
    await database.open()
    let id = 0
    const write = (event: Uint8Array, count: number, sync: boolean): Promise<void> => {
      const puts = Array.from({ length: count }, () => {
        const key = Buffer.alloc(8)
        key.writeBigUInt64BE(BigInt(++id))
        return { type: "put" as const, key, value: event }
      })
      return database.batch(puts, { sync })
    }
    return {
      append: (event, count) => write(event, count, false),
      commit: (event, count) => write(event, count, true),
      close: () => database.close()
    }
  }
}

const eventStorage: PeerMaker = {
  name: "event-storage",
  note: "Storage.write of a string, 1 MiB write buffer; durable: syncOnFlush and flush()",
  isDurable: true,
  open: async (directory, durable) => {
    const { default: module } = await import("event-storage")
    const storage = new module.Storage("events", {
      dataDirectory: directory,
      syncOnFlush: durable,
      writeBufferSize: 1 << 20,
      serializer: { serialize: (document) => document.text, deserialize: (text) => ({ text }) }
    })
    storage.open()
    const append = (event: Uint8Array, count: number): void => {
      const document = { text: Buffer.from(event.buffer, event.byteOffset, event.byteLength).toString("latin1") }
      for (let i = 0; i < count; i++) storage.write(document)
    }
    const commit = (event: Uint8Array, count: number): void => {
      append(event, count)
      storage.flush()
    }
    return { append, commit, close: () => storage.close() }
  }
}

const asyncAppendOnlyLog: PeerMaker = {
  name: "async-append-only-log",
  note: "append() of arrays; it never syncs, so it has no durable form",
  isDurable: false,
  open: async (directory) => {
    const { default: open } = await import("async-append-only-log")
    const log = open(join(directory, "events.log"), { blockSize: 65_536 })
    return {
      append: (event, count) =>
        new Promise((resolve, reject) => {
          const events = Array.from({ length: count }, () => Buffer.from(event))
          log.append(events, (error) => error === null ? resolve() : reject(error))
        }),
      close: () => new Promise((resolve) => log.close(() => resolve()))
    }
  }
}

const hypercore: PeerMaker = {
  name: "hypercore",
  note: "append() of arrays, signed once a batch; it has no call that waits for a sync, so it has no durable form",
  isDurable: false,
  open: async (directory) => {
    const { default: Hypercore } = await import("hypercore")
    const core = new Hypercore(directory)
    await core.ready()
    return {
      append: async (event, count) => {
        await core.append(Array.from({ length: count }, () => event))
      },
      close: () => core.close()
    }
  }
}

const sonicBoom: PeerMaker = {
  name: "sonic-boom",
  note:
    "write() of buffers, minLength 4096 as its documentation advises; waits for `drain` when told to; durable: fsync",
  isDurable: true,
  open: async (directory, durable) => {
    const { SonicBoom }: typeof SonicBoomModule = createRequire(import.meta.url)("sonic-boom")
    const boom = new SonicBoom({
      dest: join(directory, "events.log"),
      contentMode: "buffer",
      sync: false,
      fsync: durable,
      minLength: durable ? 0 : 4096,
      maxWrite: 1 << 20
    })
    await once(boom, "ready")
    // Its types know only strings; contentMode "buffer" takes buffers.
    const write: (event: Uint8Array) => boolean = Function.prototype.bind.call(boom.write, boom)
    const waitForDrain = (): Promise<unknown> => once(boom, "drain")
    return {
      append: (event, count) => {
        let isRoomLeft = true
        for (let i = 0; i < count; i++) isRoomLeft = write(event)
        return isRoomLeft ? undefined : waitForDrain().then(() => undefined)
      },
      commit: async (event, count) => {
        const drained = waitForDrain()
        for (let i = 0; i < count; i++) write(event)
        await drained
      },
      close: () => {
        boom.end()
      }
    }
  }
}

const writeSyncEach: PeerMaker = {
  name: "fs.writeSync",
  note: "one write for each event; durable: the batch in one write, then fdatasync",
  isDurable: true,
  open: async (directory) => {
    mkdirSync(directory, { recursive: true })
    const fd = openSync(join(directory, "events.log"), "a")
    let batch = Buffer.alloc(0)
    return {
      append: (event, count) => {
        for (let i = 0; i < count; i++) writeSync(fd, event)
      },
      commit: (event, count) => {
        if (batch.length !== event.length * count) batch = Buffer.alloc(event.length * count)
        for (let i = 0; i < count; i++) batch.set(event, i * event.length)
        writeSync(fd, batch)
        fdatasyncSync(fd)
      },
      close: () => closeSync(fd)
    }
  }
}

const writeStream: PeerMaker = {
  name: "fs.createWriteStream",
  note: "write() with `drain` respected; it syncs only at its end, so it has no durable form",
  isDurable: false,
  open: async (directory) => {
    const stream = createWriteStream(join(directory, "events.log"), { highWaterMark: 1 << 20 })
    await once(stream, "open")
    return {
      append: (event, count) => {
        let isRoomLeft = true
        for (let i = 0; i < count; i++) isRoomLeft = stream.write(event)
        return isRoomLeft ? undefined : once(stream, "drain").then(() => undefined)
      },
      close: () => new Promise((resolve) => stream.end(() => resolve()))
    }
  }
}

/** Everybody who is compared with when events are recorded. */
export const peers: ReadonlyArray<PeerMaker> = [
  sqlite("OFF"),
  sqlite("FULL"),
  lmdb,
  classicLevel,
  eventStorage,
  asyncAppendOnlyLog,
  hypercore,
  sonicBoom,
  writeSyncEach,
  writeStream
]

export const durablePeers: ReadonlyArray<PeerMaker> = peers.filter((peer) => peer.isDurable)
