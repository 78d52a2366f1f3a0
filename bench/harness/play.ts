/**
 * Plays a table: every contestant in its own process, so that nobody runs on code that was compiled for somebody else or
 * in memory that somebody else left behind; rounds in turn, so that a slow minute of the machine slows everybody.
 */
import { fork } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import type { Answer, Command } from "./contestantProcess.ts"
import type { Row, TableResult } from "./Results.ts"
import type { Contestant, Round, Table } from "./Suite.ts"

export interface PlayOptions {
  readonly quick: boolean
  readonly rounds: number
  /** Where contestants put their files. */
  readonly directory: string
}

/** Longer than anything here takes; whoever needs more is stuck. */
const answerMillisMax = 180_000

class Player {
  readonly contestant: Contestant
  readonly rounds: Array<Round> = []
  failed: string | undefined
  private readonly child: ChildProcess
  private readonly directory: string
  private stderr = ""

  constructor(suite: string, table: Table, contestant: Contestant, options: PlayOptions) {
    this.contestant = contestant
    this.directory = join(options.directory, `${suite}-${table.name}-${contestant.name}`.replaceAll(/[^\w.-]+/g, "_"))
    rmSync(this.directory, { recursive: true, force: true })
    mkdirSync(this.directory, { recursive: true })
    this.child = fork(
      join(import.meta.dirname, "contestantProcess.ts"),
      [suite, table.name, contestant.name, this.directory, options.quick ? "quick" : "full"],
      { stdio: ["ignore", "ignore", "pipe", "ipc"], serialization: "advanced", execArgv: ["--expose-gc"] }
    )
    this.child.stderr?.on("data", (data) => {
      this.stderr = (this.stderr + String(data)).slice(-2000)
    })
  }

  async opened(): Promise<void> {
    await this.answer()
  }

  async playRound(keep: boolean): Promise<void> {
    if (this.failed !== undefined) return
    const answer = this.answer()
    this.send("round")
    const said = await answer
    if (said?.kind === "round" && keep) this.rounds.push(said.round)
  }

  async close(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const exited = new Promise<void>((resolve) => this.child.once("exit", () => resolve()))
      if (this.failed === undefined) this.send("close")
      else this.child.kill("SIGKILL")
      const timer = setTimeout(() => this.child.kill("SIGKILL"), 30_000)
      await exited
      clearTimeout(timer)
    }
    rmSync(this.directory, { recursive: true, force: true })
  }

  row(): Row {
    const { name, note } = this.contestant
    return {
      name,
      ...(note === undefined ? {} : { note }),
      ...(this.failed === undefined ? {} : { failed: this.failed }),
      rounds: this.rounds
    }
  }

  private send(command: Command): void {
    this.child.send(command, () => {})
  }

  /** The next thing the process says; a death or a long silence counts as a failure. */
  private answer(): Promise<Answer | undefined> {
    return new Promise((resolve) => {
      const settle = (answer: Answer | undefined, failure?: string): void => {
        clearTimeout(timer)
        this.child.off("message", onMessage)
        this.child.off("exit", onExit)
        if (failure !== undefined) this.failed = failure
        resolve(answer)
      }
      const onMessage = (answer: Answer): void => settle(answer, answer.kind === "failed" ? answer.error : undefined)
      const onExit = (code: number | null): void =>
        settle(undefined, `its process ended with ${code}: ${this.stderr.trim().split("\n").slice(-3).join(" ")}`)
      const timer = setTimeout(() => settle(undefined, `no answer within ${answerMillisMax / 1000} s`), answerMillisMax)
      this.child.on("message", onMessage)
      this.child.once("exit", onExit)
    })
  }
}

/** Plays all rounds of a table. The first round of everybody warms up and is not counted, unless the run is quick. */
export const play = async (suite: string, table: Table, options: PlayOptions): Promise<TableResult> => {
  const players: Array<Player> = []
  for (const contestant of table.contestants) players.push(new Player(suite, table, contestant, options))
  await Promise.all(players.map((player) => player.opened()))
  for (let round = options.quick ? 0 : -1; round < options.rounds; round++) {
    for (const player of players) await player.playRound(round >= 0)
  }
  await Promise.all(players.map((player) => player.close()))
  const { metrics, name, reference, title } = table
  return { suite, name, title, metrics, reference, rows: players.map((player) => player.row()) }
}
