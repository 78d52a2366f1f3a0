/**
 * `effect-wal top`: shows a running recorder live. It draws in place, on the terminal's alternate screen. `q`, Ctrl-C,
 * Escape and signals end it, and then the terminal is as it was. If standard output is not a terminal, it prints one
 * picture and ends.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Queue from "effect/Queue"
import * as Terminal from "effect/Terminal"
import { plainText } from "../../internal/plainText.ts"
import type { Stats } from "../../report/Stats.ts"
import { requireDirectory } from "../flags/requireDirectory.ts"
import { firstSignal } from "../terminal/Signals.ts"
import { writeLines } from "../terminal/StandardStreams.ts"
import { wrapped } from "../terminal/wrapped.ts"
import { readStats } from "../views/Stats.ts"
import { topFrame, Trend } from "../views/TopFrame.ts"

/** What its flags give. */
interface Given {
  readonly dir: string
  readonly interval: Duration.Duration
}

/** Runs the command. */
export const top = Effect.fnUntraced(function*({ dir, interval }: Given) {
  yield* requireDirectory(dir)
  if (process.stdout.isTTY !== true) return yield* writeLines(topFrame(yield* readStats(dir, true), undefined))
  const signal = yield* firstSignal
  yield* Effect.raceFirst(
    live(readStats(dir, false), interval, {
      isColoured: (process.env.NO_COLOR ?? "") === "",
      hasKeys: process.stdin.isTTY
    }),
    signal
  )
}, Effect.scoped)

/** The size that is assumed for a terminal that does not report its own. */
const unknownSize = { columns: 80, rows: 24 }

const escape = "\u001b["

/** Switches to the alternate screen, without a cursor. */
const enter = `${escape}?1049h${escape}?25l${escape}2J`

const leave = `${escape}?25h${escape}?1049l`

const home = `${escape}H`

const clearToEndOfLine = `${escape}K`

const clearBelow = `${escape}J`

const bold = (text: string): string => `${escape}1m${text}${escape}0m`

/**
 * Draws what `look` returns, again and again, until a key ends it. If `look` fails, its message is drawn instead, and
 * the drawing continues. Without keys (`hasKeys` is false if standard input is not a terminal) it continues until it is
 * interrupted.
 */
export const live = <E extends { readonly message: string }, R>(
  look: Effect.Effect<Stats, E, R>,
  interval: Duration.Duration,
  options: { readonly isColoured: boolean; readonly hasKeys: boolean }
) =>
  Effect.scoped(Effect.gen(function*() {
    const terminal = yield* Terminal.Terminal
    yield* Effect.acquireRelease(terminal.display(enter), () => Effect.ignore(terminal.display(leave)))
    let before: Stats | undefined
    const trend = new Trend()

    const draw = Effect.gen(function*() {
      const found = yield* Effect.result(look)
      if (found._tag === "Success") trend.add(found.success, before)
      const lines = found._tag === "Failure" ? [found.failure.message] : topFrame(found.success, before, trend)
      before = found._tag === "Failure" ? before : found.success
      const columns = (yield* terminal.columns) || unknownSize.columns
      const rows = (yield* terminal.rows) || unknownSize.rows
      const hint = options.hasKeys ? ["q ends this view"] : []
      const shown = lines.flatMap((line) => wrapped(plainText(line), columns)).slice(0, rows - 1 - hint.length)
      shown.push(...hint)
      if (options.isColoured && shown[0] !== undefined) shown[0] = bold(shown[0])
      yield* terminal.display(home + shown.map((line) => `${line}${clearToEndOfLine}`).join("\r\n") + clearBelow)
    })

    const drawing = Effect.forever(Effect.andThen(draw, Effect.sleep(interval)))
    yield* options.hasKeys ? Effect.raceFirst(drawing, untilKey(terminal)) : drawing
  }))

/** Waits for a key that ends the view. Ctrl-C, Ctrl-D and Escape end the queue of keys itself. */
const untilKey = (terminal: Terminal.Terminal) =>
  Effect.gen(function*() {
    const keys = yield* terminal.readInput
    while (true) {
      const { key } = yield* Queue.take(keys)
      if (key.name === "q" || (key.ctrl && key.name === "c")) return
    }
  }).pipe(Pull.catchDone(() => Effect.void))
