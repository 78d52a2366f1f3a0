/**
 * The bar: what the project demands of itself, judged by the tables of one run. Ratios are those of the same round, then
 * their median. A row whose suites did not run is not judged.
 */
import { formatNumber } from "./harness/Print.ts"
import type { BarRow, Row, TableResult } from "./harness/Results.ts"
import { rowOf, valuesOf } from "./harness/Results.ts"
import { median, ratios } from "./harness/Statistics.ts"
import { durablePeers, peers } from "./peers/peers.ts"
import { names as clusterStorages } from "./suites/cluster.ts"

/** The tables, with what a judge asks of them. Everything is NaN that was not measured. */
class Evidence {
  private readonly tables: ReadonlyArray<TableResult>

  constructor(tables: ReadonlyArray<TableResult>) {
    this.tables = tables
  }

  values(table: string, row: string, metric: string): ReadonlyArray<number> {
    return valuesOf(rowOf(this.table(table), row), metric)
  }

  figure(table: string, row: string, metric: string): number {
    return median(this.values(table, row, metric))
  }

  ratio(table: string, metric: string, row: string, to: string): number {
    return median(ratios(this.values(table, row, metric), this.values(table, to, metric)))
  }

  /** Of those named, the one with the best median. */
  best(table: string, metric: string, names: ReadonlyArray<string>, better: "more" | "less"): string {
    const present = (this.table(table)?.rows ?? []).filter((row: Row) =>
      names.includes(row.name) && valuesOf(row, metric).length > 0
    )
    const sign = better === "more" ? -1 : 1
    present.sort((a, b) => sign * (median(valuesOf(a, metric)) - median(valuesOf(b, metric))))
    return present[0]?.name ?? "no peer"
  }

  private table(name: string): TableResult | undefined {
    return this.tables.find((table) => table.name === name)
  }
}

type Test = (figure: number) => boolean
const atLeast = (bar: number): Test => (figure) => figure >= bar
const atMost = (bar: number): Test => (figure) => figure <= bar

/**
 * One row: all figures must pass; a figure that is missing leaves the row open. `reason`, in short, why it does not pass, where
 * docs/PERFORMANCE.md knows.
 */
const row = (
  what: string,
  bar: string,
  figures: ReadonlyArray<readonly [figure: number, format: string, test: Test]>,
  reason = ""
): BarRow => {
  const missing = figures.some(([figure]) => Number.isNaN(figure))
  const measured = figures.map(([figure, format]) => format.replace("#", formatNumber(figure))).join(", ")
  if (missing) return { what, bar, measured: "", verdict: "not measured", reason: "" }
  const passes = figures.every(([figure, , test]) => test(figure))
  return { what, bar, measured, verdict: passes ? "pass" : "falls short", reason: passes ? "" : reason }
}

const thread = "effect-wal, thread"
const sqlStore = "Effect's SQL store, node:sqlite"
const namesOf = (makers: ReadonlyArray<{ readonly name: string }>): ReadonlyArray<string> =>
  makers.map(({ name }) => name)

/** Judges a run. */
export const judge = (tables: ReadonlyArray<TableResult>): ReadonlyArray<BarRow> => {
  const of = new Evidence(tables)
  const appendPeer = of.best("append 64 B", "events", namesOf(peers), "more")
  const durablePeer = of.best("durable 256 B", "throughput", namesOf(durablePeers), "more")
  const commitPeer = of.best("commit, 1", "p50", namesOf(durablePeers), "less")
  const lz4Freeze = "lz4 -1 --content-size, then fdatasync"
  const written = "fs.writeSync + fdatasyncSync, pre-written"
  const freezeMemory = Math.max(
    ...["freeze 16 MiB", "freeze 64 MiB", "freeze 256 MiB"]
      .map((table) => of.figure(table, "effect-wal, memory", "memory"))
      .filter((figure) => !Number.isNaN(figure))
  )
  return [
    row("append 64 B, unsafe, burst", `>= 5x the fastest peer, >= 25 M events/s`, [
      [of.figure("append 64 B", thread, "events"), "# M events/s", atLeast(25)],
      [of.ratio("append 64 B", "events", thread, appendPeer), `#x ${appendPeer}`, atLeast(5)]
    ]),
    row("append 64 B through Effect", ">= 1 M events/s", [
      [of.figure("append 64 B", "effect-wal, Effect append", "events"), "# M events/s", atLeast(1)]
    ]),
    row("durable throughput, 256 B", ">= 70 % of dd conv=fdatasync, >= 3x the fastest durable peer", [
      [of.ratio("durable 256 B", "throughput", thread, "dd conv=fdatasync") * 100, "# % of dd", atLeast(70)],
      [of.ratio("durable 256 B", "throughput", thread, durablePeer), `#x ${durablePeer}`, atLeast(3)]
    ], "three times a plain write with fdatasync is more than dd itself writes"),
    row("commit p50, 1 caller, a thread syncs", "<= 1.35x bare, pre-written", [
      [of.ratio("commit, 1", "p50", thread, written), "#x", atMost(1.35)]
    ], "another thread has to be woken and has to answer"),
    row("commit p50, 1 caller, libuv's threads sync", "<= 1.25x bare, pre-written", [
      [of.ratio("commit, 1", "p50", "effect-wal, fiber", written), "#x", atMost(1.25)]
    ], "another thread has to be woken and has to answer, for the write and for the sync"),
    row("commit p50, 1 caller, the caller syncs", "<= 1.1x bare, pre-written, <= the fastest durable peer", [
      [of.ratio("commit, 1", "p50", "effect-wal, caller", written), "#x", atMost(1.1)],
      [of.ratio("commit, 1", "p50", "effect-wal, caller", commitPeer), `#x ${commitPeer}`, atMost(1)]
    ], "the caller's fiber and the maintainer's take turns in one event loop"),
    row("commit p99, 1 caller, a thread syncs", "<= 1.5x bare, pre-written", [
      [of.ratio("commit, 1", "p99", thread, written), "#x", atMost(1.5)]
    ]),
    row("commits/s, 64 callers", ">= 40x one bare caller; the caller syncs: >= 60x", [
      [of.figure("commit, 64", thread, "commits") / of.figure("commit, 1", written, "commits"), "#x", atLeast(40)],
      [
        of.figure("commit, 64", "effect-wal, caller", "commits") / of.figure("commit, 1", written, "commits"),
        "the caller syncs #x",
        atLeast(60)
      ]
    ]),
    row("commits/s, 4,096 callers", ">= those of 256", [
      [of.figure("commit, 4096", thread, "commits") / of.figure("commit, 256", thread, "commits"), "#x", atLeast(1)]
    ]),
    row("a persisted queue, 64 callers: offer, take, acknowledge", ">= 3x Effect's SQL store on SQLite", [
      [of.ratio("queue, 64", "elements", thread, sqlStore), "#x", atLeast(3)]
    ]),
    row("keys with values, 64 callers: set", ">= 3x Effect's SQL store on SQLite", [
      [of.ratio("kvs, 64", "elements", thread, sqlStore), "#x", atLeast(3)]
    ]),
    row("one append while a compression runs", "p99.9 < 10 µs", [
      [of.figure("tail", thread, "p99.9"), "# µs", atMost(10)]
    ]),
    row(
      "the append that rotates",
      "p99 < 50 µs",
      [[of.figure("tail", thread, "rotation p99"), "# µs", atMost(50)]],
      "with two cores the scheduler puts another thread in the appending one's place"
    ),
    row("freeze, with sync and read-back", ">= 1.0x lz4 -1 and sync", [
      [of.ratio("freeze 64 MiB", "throughput", "effect-wal, freeze step", lz4Freeze), "#x lz4 -1", atLeast(1)]
    ], "small segments: the ends of the pipeline, the renaming and the unlinking, which lz4 does not do"),
    row("peak memory of a freeze, 16 to 256 MiB", "<= 16 MiB over idle", [
      [Number.isFinite(freezeMemory) ? freezeMemory : Number.NaN, "# MiB", atMost(16)]
    ]),
    row("handing over until durable, beside a freeze of 512 MiB", "p99 <= 3x idle", [
      [of.figure("beside a freeze", "effect-wal, fiber", "p99 to idle"), "fiber #x", atMost(3)],
      [of.figure("beside a freeze", thread, "p99 to idle"), "thread #x", atMost(3)],
      [of.figure("beside a freeze", "effect-wal, pool", "p99 to idle"), "pool of three #x", atMost(3)]
    ]),
    row("recording, every segment frozen", ">= 85 % of the freeze step alone", [
      [of.ratio("sustained", "throughput", thread, "freeze step alone") * 100, "# %", atLeast(85)]
    ]),
    row("verified replay, hot, 64 B", ">= 13 M events/s", [
      [of.figure("replay hot", "effect-wal, hot, blocks", "events"), "# M events/s", atLeast(13)]
    ]),
    row("verified replay, cold", ">= 60 % of lz4 -dc", [
      [of.ratio("replay cold", "events", "effect-wal, cold, blocks", "lz4 -dc") * 100, "# %", atLeast(60)]
    ]),
    row("verified replay from the archive", ">= 50 % of local cold", [
      [
        of.ratio("replay archived", "events", "effect-wal, archived, blocks", "effect-wal, cold, blocks") * 100,
        "# %",
        atLeast(50)
      ]
    ]),
    row("commits beside an archive, 64 callers", "<= 1.1x without", [
      [
        of.ratio("commit beside an archive", "p50", "effect-wal, with an archive", "effect-wal, without"),
        "#x",
        atMost(1.1)
      ]
    ]),
    row("archiving", ">= 80 % of the store's own puts", [
      [of.ratio("archiving", "throughput", "effect-wal, archived, proof: read", "put") * 100, "# %", atLeast(80)]
    ]),
    row("memory beside an archive, segments of 64 MiB", "<= 16 MiB over commits alone", [
      [of.figure("memory beside an archive", "effect-wal, archives cold segments", "added"), "cold # MiB", atMost(16)],
      [of.figure("memory beside an archive", "effect-wal, archives hot segments", "added"), "hot # MiB", atMost(16)]
    ]),
    row("a manifest of a million segments", "<= 80 KiB, opened in <= 2x the time of a thousand", [
      [of.figure("manifest", "1048575 segments", "length"), "# KiB", atMost(80)],
      [of.ratio("manifest", "opening", "1048575 segments", "1023 segments"), "#x", atMost(2)]
    ]),
    ...[1, 64].map((callers) =>
      row(
        `messages to entities, ${callers} ${callers === 1 ? "caller" : "callers"}`,
        ">= 2x Effect's SQL storage, synced",
        [
          [
            of.ratio(
              `entity messages, ${callers}`,
              "messages",
              clusterStorages["effect-wal"],
              clusterStorages.FULL
            ),
            "#x",
            atLeast(2)
          ]
        ]
      )
    ),
    row("steps of workflows", ">= 2x Effect's SQL storage, synced", [
      [of.ratio("workflow steps", "steps", clusterStorages["effect-wal"], clusterStorages.FULL), "#x", atLeast(2)]
    ]),
    row("Stream consumer in chunks", ">= 5 M events/s", [
      [of.figure("replay hot", "effect-wal, hot, Stream of events", "events"), "# M events/s", atLeast(5)]
    ]),
    row("ring, across threads", ">= 10 M items/s", [
      [of.figure("ring across", "TaskRing", "items"), "# M items/s", atLeast(10)]
    ]),
    row("ring, same thread", ">= 2x Effect's Queue, unsafe calls", [
      [of.ratio("ring here", "items", "TaskRing", "Effect's Queue, unsafe calls"), "#x", atLeast(2)]
    ], "five atomic accesses a task, each a call of 7 to 9 ns; Queue needs none, and stays on its thread"),
    row("telemetry updater", "<= 25 ns a call, the no-op <= 1 ns", [
      [of.figure("telemetry", "updater", "operation"), "# ns", atMost(25)],
      [of.figure("telemetry", "no-op", "operation"), "no-op # ns", atMost(1)]
    ]),
    row(
      "memory",
      "<= the arena + 80 MiB",
      [[of.figure("memory", thread, "over arena"), "arena + # MiB", atMost(80)]],
      "Node and effect take 79 MiB before us, two more threads 43"
    ),
    row("soak", "20 MiB/s kept, last minute <= 1.1x the memory of the first", [
      [of.figure("soak", thread, "throughput"), "# MB/s", atLeast(20.5)],
      [
        of.figure("soak", thread, "memory, last minute") / of.figure("soak", thread, "memory, first minute"),
        "memory #x",
        atMost(1.1)
      ]
    ]),
    row("idle", "<= 1 wake-up/s of the loop, < 0.2 % of a core", [
      [of.figure("idle", thread, "loop"), "# cycles/s", atMost(1)],
      [of.figure("idle", thread, "core"), "# % of a core", atMost(0.2)]
    ]),
    row("rotation at 10,000 segments", "<= 1.2x the cost at 10", [
      [of.ratio("rotation", "rotation", "10,000 segments", "10 segments"), "#x", atMost(1.2)]
    ]),
    row("importing effect-wal", "<= 1.15x the Effect modules that it needs", [
      [of.ratio("start, library", "start", "effect-wal", "the Effect modules that it needs"), "#x", atMost(1.15)]
    ]),
    row("effect-wal --version", "<= 3x node -e 0", [
      [of.ratio("start, command", "start", "effect-wal --version", "Node alone"), "#x", atMost(3)]
    ]),
    row("CLI record", ">= 1 M lines/s of 100 bytes", [
      [of.figure("record", "effect-wal record", "lines"), "# M lines/s", atLeast(1)]
    ])
  ]
}
