/**
 * Kills a program that records telemetry in a buffer, again and again in the same directory, and holds what a collector
 * has received to what was accepted. The collector lives on; it refuses a request now and then, and answers some so late
 * that the sender may be killed between the collector's acceptance and its answer.
 *
 * ```text
 * node test/faults/killBuffer.ts --kills 200 --layer fiber|worker [--seed S]
 * ```
 *
 * Every batch that was accepted comes to the collector, and for the first time after those before it.
 */
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import { killStore, runKills } from "./storeKills.ts"
import type { StoreKillOptions } from "./storeKills.ts"
import type { BufferLine } from "./storeVictim.ts"

/** What many kills came to. */
export interface BufferKillReport {
  readonly kills: number
  readonly accepted: number
  readonly received: number
  /** Those that came more than once. */
  readonly repeated: number
  readonly millis: number
}

/** Kills so often; throws with the first promise that is broken. */
export const killBuffer = async (options: StoreKillOptions): Promise<BufferKillReport> => {
  const begun = Date.now()
  const random = new SeededRandom(options.seed)
  const accepted = new Set<number>()
  const received = new Set<number>()
  let repeated = 0
  let newest = 0
  let outOfOrder: string | undefined
  let next = 1

  const receive = (batch: number): void => {
    if (received.has(batch)) {
      repeated += 1
      return
    }
    received.add(batch)
    if (batch < newest) outOfOrder ??= `batch ${batch} came after batch ${newest}`
    newest = Math.max(newest, batch)
  }

  const collector = createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const status = random.chance(0.1) ? 503 : 200
      if (status === 200) receive(Number.parseInt(Buffer.concat(chunks).toString(), 10))
      setTimeout(() => response.writeHead(status).end(), random.chance(0.2) ? random.below(5) : 0)
    })
  })
  collector.listen(0, "127.0.0.1")
  await once(collector, "listening")
  const { port } = collector.address() as AddressInfo

  const onLine = (line: BufferLine): void => {
    if (line.type === "offers") next = Math.max(next, line.batch + 1)
    else accepted.add(line.batch)
  }
  const onEnd = (): void => {
    if (outOfOrder !== undefined) throw new Error(outOfOrder)
  }
  try {
    await killStore<BufferLine>("buffer", options, {
      onLine,
      next: () => next,
      onEnd,
      origin: `http://127.0.0.1:${port}`
    })
  } finally {
    collector.closeAllConnections()
    collector.close()
  }
  const lost = [...accepted].filter((batch) => !received.has(batch))
  if (lost.length > 0) throw new Error(`${lost.length} accepted batches were never sent, the first is ${lost[0]}`)
  return {
    kills: options.kills,
    accepted: accepted.size,
    received: received.size,
    repeated,
    millis: Date.now() - begun
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await runKills(killBuffer)
