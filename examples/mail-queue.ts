/**
 * A mail queue without a database: a program offers mails and is killed while it sends them; the next start sends the
 * others. Then the mails that could not be sent are shown.
 *
 *     node examples/mail-queue.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { spawnSync } from "node:child_process"
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NodeDisk, Wal } from "../src/index.ts"
import { WalQueue } from "../src/queue/index.ts"

const mailsOffered = 200
const sentBeforeKill = 50

/** The program is started a second time by itself, as the one that is killed: with the folder of its files. */
const [, , folder] = process.argv
const root = folder ?? mkdtempSync(join(tmpdir(), "effect-wal-mail-queue-"))
const outbox = join(root, "outbox")

class MailLog extends Wal.Service<MailLog>()("example/MailLog") {}

const QueuesLive = PersistedQueue.layer.pipe(
  Layer.provideMerge(WalQueue.layer(MailLog)),
  Layer.provide(MailLog.layerWorker({ directory: join(root, "mails"), segmentBytesMax: "1MiB" })),
  Layer.provide(NodeDisk.layer),
  Layer.provideMerge(Layer.succeed(References.MinimumLogLevel, "Error"))
)

const Mail = Schema.Struct({ to: Schema.String, subject: Schema.String })

const makeMails = PersistedQueue.make({
  name: "mails",
  schema: Mail,
  maxAttempts: 2,
  retrySchedule: Schedule.spaced("10 millis")
})

/** Sends a mail: writes it to the outbox. One address does not exist. A mail server would be told `id`, to send it once. */
const send = (mail: typeof Mail.Type, { id }: { readonly id: string }) =>
  Effect.gen(function*() {
    if (mail.to === "nobody") return yield* Effect.fail(new Error("there is no such address"))
    yield* Effect.sync(() => appendFileSync(outbox, `${id}\n`))
  })

const idsSent = (): ReadonlyArray<string> => readFileSync(outbox, "utf8").trimEnd().split("\n")

/** Offers all mails, sends some of them, and is killed: no finalizer runs, nothing is closed. */
const first = Effect.gen(function*() {
  const mails = yield* makeMails
  for (let number = 1; number <= mailsOffered; number++) {
    const to = number === mailsOffered ? "nobody" : `customer ${number}`
    yield* mails.offer({ to, subject: "Your invoice" }, { id: `invoice ${number}` })
  }
  const sending = Effect.forever(mails.take(send))
  const kill = Effect.forever(Effect.andThen(
    Effect.sleep("1 millis"),
    Effect.sync(() => {
      if (idsSent().length >= sentBeforeKill) process.kill(process.pid, "SIGKILL")
    })
  ))
  yield* mails.take(send)
  yield* Effect.all([sending, sending, sending, kill], { concurrency: "unbounded" })
})

/** Sends what is left. An offer that is made again because its answer was lost adds nothing. */
const second = Effect.gen(function*() {
  const mails = yield* makeMails
  const { counts, deadLetters } = yield* WalQueue.Queues
  yield* Console.log(`killed after ${idsSent().length} of ${mailsOffered} mails were sent`)
  yield* mails.offer({ to: "customer 1", subject: "Your invoice" }, { id: "invoice 1" })
  while ((yield* counts).some(({ waiting }) => waiting > 0)) yield* Effect.ignore(mails.take(send))
  const sent = idsSent()
  yield* Console.log(`${new Set(sent).size} mails are sent, ${sent.length - new Set(sent).size} of them twice`)
  for (const { attempts, element, failure, id } of yield* deadLetters("mails")) {
    const [reason] = failure.split("\n")
    yield* Console.log(`${id} was not sent in ${attempts} attempts: ${JSON.stringify(element)}: ${reason}`)
  }
  if (new Set(sent).size !== mailsOffered - 1) return yield* Effect.die(new Error("a mail was lost"))
})

NodeRuntime.runMain(
  folder !== undefined
    ? Effect.provide(first, QueuesLive)
    : Effect.gen(function*() {
      const { signal, stderr } = spawnSync(process.execPath, [import.meta.filename, root], { encoding: "utf8" })
      if (signal !== "SIGKILL") return yield* Effect.die(new Error(`the first program was not killed: ${stderr}`))
      yield* Effect.provide(second, QueuesLive)
    }).pipe(Effect.ensuring(Effect.sync(() => rmSync(root, { recursive: true }))))
)
