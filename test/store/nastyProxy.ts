/**
 * A proxy between a client and a server of HTTP that does what networks do, by a seed: it cuts connections before a
 * request arrives and after it was done, holds requests back, sends them on after their client has given up, sends them
 * twice, and cuts answers off in the middle. The link may be cut altogether: then no answer comes back, and some
 * requests arrive all the same, late.
 */
import * as Effect from "effect/Effect"
import { createServer, request as requestOf } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"

/** What happens to a request. */
const fates = ["cut before", "cut after", "half", "delay", "late", "double", "stall"] as const

export interface NastyProxy {
  readonly endpoint: string
  /** How often something happens to a request, 0 to 1. */
  rate: number
  /** Whether the client is cut off. */
  isCut: boolean
  /** How often each thing has happened. */
  readonly happened: Map<typeof fates[number], number>
  /** Waits until nothing is under way any more. */
  readonly settled: Effect.Effect<void>
}

interface Answer {
  readonly status: number
  readonly headers: IncomingMessage["headers"]
  readonly body: Buffer
}

/** Of the requests of a client that is cut off, so many arrive. */
const arriving = 0.25

/** Stalled connections are cut after so long, and late requests are sent on by then. */
const patienceMillis = 800

const read = async (stream: IncomingMessage): Promise<Buffer> => {
  const parts: Array<Buffer> = []
  for await (const part of stream) parts.push(part)
  return Buffer.concat(parts)
}

/** Starts a proxy to this server, for as long as the scope lives. */
export const startProxy = (target: string, seed: number) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const random = new SeededRandom(seed)
      const underWay = new Set<Promise<unknown>>()
      const { hostname, port } = new URL(target)

      const forward = ({ headers, method, url }: IncomingMessage, body: Buffer): Promise<Answer> => {
        const sent = new Promise<Answer>((resolve, reject) => {
          // The host is signed, so it stays the one that the client has asked.
          const to = requestOf({ hostname, port, method, path: url, headers, agent: false }, (answer) => {
            read(answer).then(
              (content) => resolve({ status: answer.statusCode ?? 500, headers: answer.headers, body: content }),
              reject
            )
          })
          to.on("error", reject)
          to.end(body)
        })
        underWay.add(sent)
        const gone = () => underWay.delete(sent)
        sent.then(gone, gone)
        return sent
      }

      const later = (millis: number, act: () => unknown): void => {
        const waited = new Promise<void>((resolve) => {
          setTimeout(() => {
            act()
            resolve()
          }, millis)
        })
        underWay.add(waited)
        void waited.then(() => underWay.delete(waited))
      }

      const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
        const body = await read(request)
        const fate = random.chance(self.rate) ? fates[random.below(fates.length)] : undefined
        const millis = 1 + random.below(patienceMillis)
        const cut = () => void request.socket.destroy()
        const sendLate = () => later(millis, () => forward(request, body).catch(() => {}))
        if (self.isCut) {
          if (random.chance(arriving)) sendLate()
          return random.chance(0.5) ? cut() : later(patienceMillis, cut)
        }
        if (fate !== undefined) self.happened.set(fate, (self.happened.get(fate) ?? 0) + 1)
        if (fate === "cut before") return cut()
        if (fate === "stall") return later(patienceMillis, cut)
        if (fate === "late") {
          sendLate()
          return cut()
        }
        if (fate === "delay") await new Promise((resolve) => setTimeout(resolve, millis / 4))
        if (fate === "double") await forward(request, body)
        const { body: content, headers, status } = await forward(request, body)
        if (fate === "cut after" || self.isCut) return cut()
        response.writeHead(status, headers)
        if (fate !== "half" || content.length === 0) return void response.end(content)
        response.write(content.subarray(0, content.length >> 1), cut)
      }

      const server = createServer((request, response) => {
        answer(request, response).catch(() => request.socket.destroy())
      })
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      const self: NastyProxy = {
        endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        rate: 0,
        isCut: false,
        happened: new Map(),
        settled: Effect.promise(async () => {
          while (underWay.size > 0) await Promise.allSettled(underWay)
        })
      }
      return { server, self }
    }),
    ({ server }) =>
      Effect.promise(() =>
        new Promise((resolve) => {
          server.closeAllConnections()
          server.close(resolve)
        })
      )
  ).pipe(Effect.map(({ self }) => self))
