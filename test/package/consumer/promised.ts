/** An application without Effect: appends one event to a log and reads all of it. `promised.ts DIRECTORY WORD` */
import { open } from "effect-wal/promise"

// Node 22 has no `await using`.
const log = await open({ directory: process.argv[2] ?? "./log" })
try {
  log.append(Buffer.from(process.argv[3] ?? "word"))
  await log.commit()
  const words: Array<string> = []
  for await (const { bytes } of log.events()) words.push(Buffer.from(bytes).toString())
  console.log(JSON.stringify(words))
} finally {
  await log.close()
}
