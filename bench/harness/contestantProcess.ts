/** The process of one contestant: opens it, plays a round whenever it is told to, closes it. */
import type { Round } from "./Suite.ts"
import { findContestant } from "./suites.ts"

/** From the driver. */
export type Command = "round" | "close"
/** To the driver. */
export type Answer =
  | { readonly kind: "opened" }
  | { readonly kind: "round"; readonly round: Round }
  | { readonly kind: "failed"; readonly error: string }

const [suite = "", table = "", contestant = "", directory = "", quick = ""] = process.argv.slice(2)

const say = (answer: Answer): Promise<void> => new Promise((resolve) => process.send?.(answer, () => resolve()))

const failed = async (error: unknown): Promise<never> => {
  await say({ kind: "failed", error: error instanceof Error ? `${error.name}: ${error.message}` : String(error) })
  process.exit(1)
}

try {
  const found = await findContestant(suite, table, contestant)
  const opened = await found.open({ quick: quick === "quick", directory })
  process.on("message", (command: Command) => {
    if (command === "close") {
      opened.close().then(() => process.exit(0), failed)
    } else {
      opened.round().then((round) => say({ kind: "round", round }), failed)
    }
  })
  process.on("disconnect", () => process.exit(1))
  await say({ kind: "opened" })
} catch (error) {
  await failed(error)
}
