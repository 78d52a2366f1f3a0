/**
 * Durable throughput: events of 256 bytes, until all of them would survive a loss of power. effect-wal takes them one by
 * one and writes as they come; a peer gets them in batches of 1 MiB, each batch durable before the next.
 */
import { execFileSync } from "node:child_process"
import { closeSync, fdatasyncSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs"
import { join } from "node:path"
import { throughput } from "../harness/Suite.ts"
import type { Contestant, Scale, Suite } from "../harness/Suite.ts"
import type { Host } from "../harness/Wal.ts"
import { warmPages } from "../harness/warmPages.ts"
import type { PeerMaker } from "../peers/Peer.ts"
import { durablePeers } from "../peers/peers.ts"

const mebibyte = 2 ** 20
const eventBytes = 256
const bytesOf = (quick: boolean): number => (quick ? 8 : 192) * mebibyte

const measured = (bytes: number, startedMillis: number) => ({
  measures: { throughput: bytes / 1000 / (performance.now() - startedMillis) }
})

const wal = (host: Host): Contestant => ({
  name: `effect-wal, ${host}`,
  note: "appendUnsafe for each event, waiting when the arena is full, then one commit; nothing due for freezing",
  open: async ({ directory, quick }) => {
    const { appendMany } = await import("../harness/appendMany.ts")
    const { keepHot, openWal } = await import("../harness/Wal.ts")
    const event = new Uint8Array(eventBytes).fill(0x61)
    const count = bytesOf(quick) / eventBytes
    let opened = await openWal(host, { directory: join(directory, "0"), limits: keepHot })
    let rounds = 0
    return {
      round: async () => {
        // A directory for each round: the limit of hot segments is never near.
        await opened.close()
        rmSync(join(directory, String(rounds)), { recursive: true })
        opened = await openWal(host, { directory: join(directory, String(++rounds)), limits: keepHot })
        // The arena's pages are the application's for as long as it runs; here they are touched once before the clock runs.
        await opened.run(appendMany(opened, event, Math.floor(opened.arena.slotBytes * opened.arena.slots / 260) - 10))
        await opened.settle()
        warmPages(directory, bytesOf(quick))
        const started = performance.now()
        await opened.run(appendMany(opened, event, count))
        await opened.run(opened.recorder.commit)
        return measured(count * eventBytes, started)
      },
      close: () => opened.close()
    }
  }
})

const peer = (maker: PeerMaker): Contestant => ({
  name: maker.name,
  ...(maker.note === undefined ? {} : { note: maker.note }),
  open: async ({ directory, quick }) => {
    const opened = await maker.open(directory, true)
    const event = new Uint8Array(eventBytes).fill(0x61)
    const batch = mebibyte / eventBytes
    const millisMax = quick ? 40 : 600
    return {
      round: async () => {
        let bytes = 0
        warmPages(directory, bytesOf(quick))
        const started = performance.now()
        do {
          await opened.commit?.(event, batch)
          bytes += batch * eventBytes
        } while (bytes < bytesOf(quick) && performance.now() - started < millisMax)
        return measured(bytes, started)
      },
      close: async () => opened.close()
    }
  }
})

const freshFile = (directory: string): string => {
  mkdirSync(directory, { recursive: true })
  const path = join(directory, "file")
  rmSync(path, { force: true })
  return path
}

const writeAndSync: Contestant = {
  name: "fs.writeSync of 1 MiB, fdatasync at the end",
  note: "the physical limit from Node: no events, no checksum",
  open: async ({ directory, quick }: Scale) => {
    const piece = Buffer.alloc(mebibyte, 0x61)
    return {
      round: async () => {
        const path = freshFile(directory)
        warmPages(directory, bytesOf(quick))
        const started = performance.now()
        const fd = openSync(path, "w")
        for (let written = 0; written < bytesOf(quick); written += piece.length) writeSync(fd, piece)
        fdatasyncSync(fd)
        closeSync(fd)
        return measured(bytesOf(quick), started)
      },
      close: async () => {}
    }
  }
}

const dd: Contestant = {
  name: "dd conv=fdatasync",
  note: "bs=1M; by its own clock",
  open: async ({ directory, quick }: Scale) => ({
    round: async () => {
      const path = freshFile(directory)
      warmPages(directory, bytesOf(quick))
      const args = ["if=/dev/zero", `of=${path}`, "bs=1M", `count=${bytesOf(quick) / mebibyte}`, "conv=fdatasync"]
      const said = execFileSync("sh", ["-c", `LC_ALL=C dd ${args.join(" ")} 2>&1`], { encoding: "utf8" })
      const seconds = Number(/, ([\d.e-]+) s,/.exec(said)?.[1])
      return { measures: { throughput: bytesOf(quick) / 1e6 / seconds } }
    },
    close: async () => {}
  })
}

export const suite: Suite = {
  name: "durable",
  tables: [{
    name: "durable 256 B",
    title: "events of 256 bytes, all durable",
    metrics: [throughput],
    reference: "effect-wal, thread",
    contestants: [wal("thread"), wal("fiber"), dd, writeAndSync, ...durablePeers.map(peer)]
  }]
}
