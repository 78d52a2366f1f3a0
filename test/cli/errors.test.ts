/**
 * What the command says when it cannot do its work, each line provoked: the tables of docs/CLI.md have them all, and
 * nothing else. A row that nothing says fails here, and so does a line without a row and a failure of the program's own that no
 * process came to.
 *
 * What asks for a user, a limit, an environment, a broken installation or a signal has a process of its own; all else runs in one.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { createServer as createHttpServer } from "node:http"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { Disk } from "../../src/disk/Disk.ts"
import { positionLockName, positionName } from "../../src/disk/FileNames.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as PositionStore from "../../src/disk/PositionStore.ts"
import { segmentIndexMax } from "../../src/format/SegmentName.ts"
import { buildSegment, eventsNamed, hot, put } from "../fixtures/segments.ts"
import { segmentOfAnother } from "../format1/orders.ts"
import {
  bin,
  effectWal,
  here,
  place,
  slowly,
  start,
  startOneProcess,
  subcommands,
  untilAppended
} from "./commandLine.ts"
import type { Ended, OneProcess, StartOptions } from "./commandLine.ts"
import { patternOf, rowsOf } from "./document.ts"
import { unreachedPlaces } from "./failureSites.ts"
import { makeDamagedLog, makeLog } from "./logs.ts"

const coverage = fs.mkdtempSync(join(tmpdir(), "effect-wal-coverage-"))

let oneProcess: OneProcess

beforeAll(() => {
  // Processes of other users write there, too.
  fs.chmodSync(coverage, 0o777)
  process.env.NODE_V8_COVERAGE = coverage
  oneProcess = startOneProcess()
})

afterAll(async () => {
  await Effect.runPromise(oneProcess.end)
  delete process.env.NODE_V8_COVERAGE
  fs.rmSync(coverage, { recursive: true })
})

const errors = rowsOf("Errors")
const warnings = rowsOf("Warnings")
const said = new Set<ReadonlyArray<string>>()

/** The row of a table that has the line. */
const rowOf = (rows: typeof errors, line: string): ReadonlyArray<string> => {
  const row = rows.find(([text = ""]) => patternOf(text).test(line))
  assert.isDefined(row, `the document has no row for: ${line}`)
  said.add(row)
  return row
}

/** One line for the failure, and before it warnings; when it did not fail, warnings among what else there is to say. */
const checkLines = ({ code, stderr }: Ended): void => {
  const lines = stderr.split("\n").slice(0, -1)
  if (code === 1 || code === 2) {
    const line = lines.pop() ?? ""
    assert.strictEqual(rowOf(errors, line)[1], String(code), line)
    for (const line of lines) rowOf(warnings, line)
  } else for (const line of lines) if (/^effect-wal: (warning|error): /.test(line)) rowOf(warnings, line)
}

/** Another user than the superuser, whom nothing is denied. */
const nobody = process.getuid?.() === 0 ? { uid: 65534 } : {}

/** Runs a command line in the one process. */
const run = (...args: ReadonlyArray<string>): Effect.Effect<Ended> => oneProcess.run(args)

const record = (input: string, ...args: ReadonlyArray<string>): Effect.Effect<Ended> =>
  oneProcess.run(["record", ...args], input)

/** Records in a process of its own. */
const recordApart = (input: string, options: StartOptions, ...args: ReadonlyArray<string>) =>
  effectWal(["record", ...args], input, options)

const takenPort = Effect.map(
  Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const server = createServer().listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  ),
  (server) => {
    const address = server.address()
    return typeof address === "object" && address !== null ? address.port : 0
  }
)

/** The command, but for what the maintainer's thread runs: the thread dies as it starts. */
const withoutMaintainer = (directory: string): string => {
  fs.cpSync(join(bin, "../../.."), directory, { recursive: true })
  fs.symlinkSync(join(import.meta.dirname, "../../node_modules"), join(directory, "node_modules"))
  fs.writeFileSync(join(directory, "programs/all/maintainerThread.js"), "throw new Error(\"stillborn\")\n")
  return join(directory, "programs/all", basename(bin))
}

/** A recorder that has recorded, and now does not run. */
const stopped = Effect.fnUntraced(function*(directory: string) {
  const recorder = yield* start(["record", "--dir", directory, "--acks"])
  recorder.write("a\n")
  yield* recorder.durable(1)
  recorder.child.kill("SIGSTOP")
})

/** No file may become longer than so many KiB. */
const filesOfAtMost = (kibibytes: number): string => `ulimit -S -f ${kibibytes * 2}`

/** Records on a disk that takes no more than 50 KiB in a file, until that is said; and then on one that takes more. */
const recordOnFullDisk = (directory: string) =>
  Effect.scoped(Effect.gen(function*() {
    const recorder = yield* start(["record", "--dir", directory], { shell: `${filesOfAtMost(50)}; exec "$@"` })
    recorder.write("a\n")
    yield* recorder.says(/no disk space/)
    const limit = spawnSync("prlimit", ["--pid", String(recorder.child.pid), "--fsize=unlimited:"])
    assert.strictEqual(limit.status, 0, String(limit.stderr))
    return yield* recorder.end("b\n")
  }))

/** Records into a log with a damaged segment, until something is said of that. */
const recordDamaged = (directory: string, policy: string, says: RegExp) =>
  Effect.scoped(Effect.gen(function*() {
    yield* Effect.orDie(makeDamagedLog(directory))
    fs.writeFileSync(join(directory, "wal_holes.json"), "{}")
    // A file stands where the quarantine is to be.
    if (directory.endsWith("unmovable")) fs.writeFileSync(join(directory, "quarantine"), "")
    const recorder = yield* start(["record", "--dir", directory, "--max-segments", "2", "--on-damaged", policy])
    yield* recorder.says(says)
    return yield* recorder.end("a\n")
  }))

/** Runs what provokes lines, and looks at each. */
const provoke = (...cases: ReadonlyArray<Effect.Effect<Ended>>) =>
  Effect.forEach(cases, (ended) => Effect.map(ended, checkLines), { concurrency: 2, discard: true })

/** Names in a place of the test's own that other users may enter. */
const openPlace = Effect.tap(place, (at) => Effect.sync(() => fs.chmodSync(at("."), 0o755)))

const holdLock = (path: string) => Effect.provide(Disk.use((disk) => disk.lock(path)), NodeDisk.layer)

describe("errors and warnings, each one line with the code and the words of the document", () => {
  it.live("are said of a directory that is none, may not be used, or is held", () =>
    Effect.gen(function*() {
      const at = yield* openPlace
      fs.writeFileSync(at("file"), "")
      fs.mkdirSync(at("closed"), { mode: 0o555 })
      fs.mkdirSync(at("secret"), { mode: 0 })
      fs.mkdirSync(at("held"))
      yield* holdLock(at("held/wal.lock"))
      yield* provoke(
        run("verify", "--dir", at("none")),
        run("doctor", "--dir", at("none")),
        run("replay", "--dir", at("file")),
        effectWal(["inspect", "--dir", at("secret")], "", nobody),
        record("a\n", "--dir", at("file")),
        recordApart("a\n", nobody, "--dir", at("closed")),
        record("a\n", "--dir", at("held")),
        run("maintain", "--dir", at("held"))
      )
      // So that it can be removed.
      fs.chmodSync(at("secret"), 0o755)
    }))

  it.live("are said of what goes in and comes out; what came before a fault in the input stays", () =>
    Effect.gen(function*() {
      const at = yield* place
      yield* makeLog(at("log"))
      yield* provoke(
        recordApart("", { stdin: fs.openSync(at("."), "r") }, "--dir", at("new")),
        recordApart("", { stdin: fs.openSync(at("written"), "w") }, "--dir", at("new")),
        record(`a\nb\n${"x".repeat(5000)}\nc\n`, "--dir", at("lines"), "--segment-bytes", "4KiB"),
        ...["skip", "split"].map((rule) =>
          record(
            `a\nb\n${"x".repeat(5000)}\nc\n`,
            "--dir",
            at(rule),
            "--segment-bytes",
            "4KiB",
            "--on-long-line",
            rule
          )
        ),
        record("a line\nand another", "--dir", at("claimed"), "--framing", "length-prefixed"),
        record("\x01\0\0\0a\x05\0\0\0b", "--dir", at("cut"), "--framing", "length-prefixed"),
        record("a\n", "--dir", at("new"), "--metrics", String(yield* takenPort)),
        run("serve", "--dir", at("log"), "--port", String(yield* takenPort)),
        run("serve", "--dir", at("log"), "--host", "0.0.0.0"),
        effectWal(["inspect", "--dir", at("log")], "", { shell: "exec \"$@\" > /dev/full" })
      )
      assert.strictEqual((yield* here("replay", "--dir", at("lines"))).stdout, "a\nb\n")
      assert.strictEqual((yield* here("replay", "--dir", at("cut"))).stdout, "a")
      assert.deepStrictEqual(fs.existsSync(at("new")) ? fs.readdirSync(at("new")) : [], [])
    }))

  it.live("are said where recording cannot begin, and where something is odd", () =>
    Effect.gen(function*() {
      const at = yield* place
      yield* put(at("format 1"), hot(segmentOfAnother({ segmentIndex: 0, ids: [1, 100] }))).pipe(
        Effect.provide(NodeDisk.layer)
      )
      const last = buildSegment({ segmentIndex: segmentIndexMax, firstEventId: 1, commits: [eventsNamed(1, 1)] })
      yield* put(at("exhausted"), hot(last)).pipe(Effect.provide(NodeDisk.layer))
      yield* makeLog(at("odd"))
      fs.truncateSync(join(at("odd"), "FS.00000001.wal"))
      yield* makeLog(at("linked"))
      fs.symlinkSync("nowhere", join(at("linked"), "FS.00000008.wal"))
      fs.mkdirSync(join(at("limits"), "wal.monitor"), { recursive: true })
      yield* provoke(
        record("a\n", "--dir", at("format 1")),
        record("a\n", "--dir", at("exhausted")),
        record("a\n", "--dir", at("odd")),
        record("a\n", "--dir", at("linked")),
        record("a\n", "--dir", at("limits"), "--max-segments", "1")
      )
    }))

  it.live("are said when the disk is full, and recording goes on by itself when it is not", () =>
    Effect.gen(function*() {
      const at = yield* place
      yield* makeLog(at("log"))
      // The coverage would be cut as well.
      const shell = `unset NODE_V8_COVERAGE; ${filesOfAtMost(0.5)}; exec "$@"`
      yield* provoke(
        recordOnFullDisk(at("full")),
        effectWal(["backup", "--dir", at("log"), "--to", at("copy")], "", { shell })
      )
      assert.strictEqual((yield* here("replay", "--dir", at("full"))).stdout, "a\nb\n")
      assert.deepStrictEqual(fs.readdirSync(at(".")).sort(), ["full", "log"])
    }))

  it.live("are said when the maintainer is given up, whether or not events are lost by that", () =>
    Effect.gen(function*() {
      const at = yield* place
      fs.mkdirSync(at("installed"))
      const broken = { bin: withoutMaintainer(at("installed")) }
      // Its input does not end.
      const idle = Effect.scoped(Effect.flatMap(start(["record", "--dir", at("idle")], broken), ({ ended }) => ended))
      yield* provoke(idle, recordApart("a\n", broken, "--dir", at("lost")))
    }))

  it.live("are said of an end that must wait", () =>
    Effect.gen(function*() {
      const directory = (yield* place)("log")
      const env = { ...slowly(30_000), NODE_V8_COVERAGE: "" }
      const running = yield* start(["record", "--dir", directory, "--threads", "0"], { env })
      running.write("a\n")
      yield* untilAppended(directory, 1)
      running.child.kill("SIGTERM")
      yield* running.says(/has taken/)
      running.child.kill("SIGKILL")
      const { stderr } = yield* running.ended
      checkLines({ code: 137, stdout: "", bytes: Buffer.alloc(0), stderr })
    }))

  it.live("are said of a recorder that does not answer, or not understandably", () =>
    Effect.gen(function*() {
      const at = yield* place
      yield* stopped(at("silent"))
      fs.mkdirSync(at("monitored"))
      const garbage = createServer((connection) => void connection.end("garbage"))
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => {
          garbage.listen(join(at("monitored"), "wal.monitor"), () => resume(Effect.void))
        }),
        () => Effect.sync(() => garbage.close())
      )
      yield* provoke(
        run("stats", "--dir", at("silent")),
        run("stats", "--dir", at("monitored"))
      )
    }))

  it.live("are said of what is not there, is damaged, or is there already", () =>
    Effect.gen(function*() {
      const at = yield* place
      const [log, damaged] = [at("log"), at("damaged")]
      yield* makeLog(log)
      yield* makeDamagedLog(damaged)
      yield* makeLog(at("begun-late"), 0)
      yield* makeLog(at("with-hole"), 1)
      yield* makeDamagedLog(at("repaired"))
      yield* here("repair", "--dir", at("repaired"), "--apply")
      fs.mkdirSync(at("copy.partial"))
      yield* holdLock(at("copy.partial/wal.backup"))
      yield* provoke(
        run("replay", "--dir", at("begun-late"), "--from", "1"),
        run("replay", "--dir", at("with-hole")),
        run("replay", "--dir", at("repaired")),
        recordDamaged(at("kept"), "keep", /stays where it is/),
        recordDamaged(at("moved"), "quarantine", /was moved to/),
        recordDamaged(at("unmovable"), "quarantine", /could not be moved/),
        run("export", "--dir", damaged),
        run("dump", "--dir", log, "--segment", "9"),
        run("dump", "--dir", log, "--since", "1m"),
        run("dump", "--dir", log, "--until", "2001-01-01"),
        run("dump", "--dir", log, "--segment", "0", "--event", "99"),
        run("dump", "--dir", damaged, "--segment", "1", "--event", "80"),
        run("backup", "--dir", log, "--to", damaged),
        run("backup", "--dir", log, "--to", at("copy"))
      )
    }))

  it.live("are said of a consumer that is not there, is being read, or is wrong", () =>
    Effect.gen(function*() {
      const at = yield* place
      const log = at("log")
      yield* makeLog(log)
      yield* makeLog(at("begun-late"), 0)
      yield* makeLog(at("wrong"))
      const put = (directory: string, name: string, eventId: number) =>
        fs.writeFileSync(join(directory, positionName(name)), PositionStore.encode({ name, eventId }))
      for (const directory of [log, at("begun-late"), at("wrong")]) put(directory, "billing", 60)
      fs.writeFileSync(join(at("wrong"), positionName("rotten")), "{}")
      put(at("wrong"), "ahead", 1_000)
      put(log, "read", 60)
      yield* holdLock(join(log, positionLockName("read")))
      const consumers = (...args: ReadonlyArray<string>) => run("consumers", ...args)
      yield* provoke(
        consumers("show", "mail", "--dir", log),
        consumers("remove", "read", "--dir", log),
        consumers("reset", "billing", "--to", "132", "--dir", log),
        consumers("reset", "billing", "--to", "40", "--dir", at("begun-late"))
      )
      const { code, stderr } = yield* run("record", "--dir", at("wrong"))
      assert.strictEqual(code, 0, stderr)
      for (const line of stderr.split("\n").filter((line) => line.includes("warning: "))) rowOf(warnings, line)
      assert.strictEqual(stderr.match(/warning: the position/g)?.length, 2, stderr)
    }))

  it.live("are said of an archive that is not there, is none, or cannot be reached", () =>
    Effect.gen(function*() {
      const at = yield* place
      const args = (url: string) => ["archive", "status", "--archive", url]
      const status = (url: string) => run(...args(url))
      const statusWith = (url: string, env: Readonly<Record<string, string>>) => effectWal(args(url), "", { env })
      fs.mkdirSync(at("store/page"), { recursive: true })
      fs.writeFileSync(at("store/page/manifest"), "<html/>")
      const aws = {
        HOME: at("."),
        AWS_ACCESS_KEY_ID: "",
        AWS_SECRET_ACCESS_KEY: "",
        AWS_PROFILE: "",
        AWS_REGION: "eu-central-1",
        AWS_ENDPOINT_URL: "",
        AWS_ENDPOINT_URL_S3: ""
      }
      yield* provoke(
        status(`file://${at("store")}/none`),
        status(`file://${at("store")}/page`),
        status(`file://${at("missing")}/log`),
        statusWith("s3://bucket/log", aws),
        statusWith("s3://bucket/log", { ...aws, AWS_ENDPOINT_URL: "nowhere" }),
        record("a\n", "--dir", at("log"), "--archive", `file://${at("missing")}/log`)
      )
      assert.strictEqual((yield* here("replay", "--dir", at("log"))).stdout, "a\n")
    }))

  it.live("are said of a log that another process offers, or no longer offers", () =>
    Effect.gen(function*() {
      const at = yield* place
      const offered = Effect.fnUntraced(function*(name: string, ...args: ReadonlyArray<string>) {
        const recorder = yield* start(["record", "--dir", at(name), "--offer", at(`${name}.sock`), ...args])
        yield* recorder.says(/offered at/)
        return recorder
      })
      const append = (address: string, input: string, ...args: ReadonlyArray<string>) =>
        oneProcess.run(["append", "--to", address, ...args], input)
      const followed = Effect.fnUntraced(function*(name: string, ...args: ReadonlyArray<string>) {
        const tail = yield* start(["tail", "--from", at(`${name}.sock`), "--follow", ...args])
        yield* tail.prints(/a/)
        return tail
      })
      const page = createHttpServer((_, answer) => void answer.writeHead(404).end())
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void page.listen(at("page.sock"), () => resume(Effect.void))),
        () => Effect.sync(() => page.close())
      )
      const recorder = yield* offered("log", "--token", "right")
      yield* offered("small", "--segment-bytes", "4KiB")
      yield* provoke(
        append(at("none.sock"), "a\n"),
        append(at("page.sock"), "a\n"),
        append(at("log.sock"), "a\n", "--token", "wrong"),
        append(at("small.sock"), `a\n${"x".repeat(5000)}\n`),
        recordApart("a\n", {}, "--dir", at("other"), "--offer", at("log.sock"))
      )
      const appending = yield* start(["append", "--to", at("log.sock"), "--token", "right", "--acks"])
      appending.write("a\n")
      yield* appending.durable(1)
      const refused = yield* followed("log", "--token", "right")
      yield* recorder.crash
      appending.write("b\n")
      yield* refused.says(/waiting for it/)
      yield* offered("log", "--token", "another")
      const first = yield* offered("lost")
      yield* append(at("lost.sock"), "a\n")
      const behind = yield* followed("lost")
      yield* first.crash
      fs.rmSync(at("lost"), { recursive: true })
      yield* offered("lost")
      yield* provoke(appending.ended, refused.ended, behind.ended)
    }))

  it.live("are said of wrong usage", () =>
    provoke(
      run("replay", "--from", "1"),
      run("record"),
      run("record", "--dir", "D", "--framing", "length-prefixed", "--on-long-line", "skip"),
      run("verify", "--dir", "D", "--nothing"),
      run("rekord"),
      run("replay", "--dir", "D", "--from", "9", "--to", "3"),
      run("verify", "--dir", "D", "--again"),
      run("verify", "--dir", "D", "--repair-from-archive", "file:///a/log", "--incremental"),
      run("dump", "--dir", "D", "--segment", "0", "--block", "0", "--event", "1"),
      run("stats", "--dir", "D", "--json", "--prometheus"),
      run("stats", "--dir", "D", "--watch", "--prometheus"),
      run("stats", "--dir", "D", "--json", "--verbose"),
      run("grep", "--dir", "D", "--json", "--count", "a"),
      run("grep", "--dir", "D", "("),
      run("record", "--dir", "D", "--offer", "http://0.0.0.0:8123"),
      run("schema", "replay"),
      run("grep", "a"),
      run("replay", "--dir", "D", "--since", "1h", "--until", "2h"),
      run("replay", "--dir", "D", "--since", "1h", "--from", "1"),
      run("replay", "--dir", "D", "--until", "1h", "--to", "1"),
      run("dump", "--dir", "D"),
      run("dump", "--dir", "D", "--segment", "0", "--since", "1h")
    ))

  it.live("say of every flag how its value is written", () =>
    Effect.gen(function*() {
      const wrong: ReadonlyArray<readonly [args: ReadonlyArray<string>, says: string]> = [
        [["record", "--commit", "soon"], "every, rotate, or a duration of at least 1ms as in 250ms or 2s"],
        [["record", "--commit", "0ms"], "every, rotate, or a duration of at least 1ms"],
        [["record", "--segment-bytes", "4095"], "a size from 4 KiB to 1 GiB"],
        [["record", "--segment-bytes", "many"], "a size as in 65536, 256KiB or 16MiB"],
        [["record", "--max-segments", "ten"], "a string representing a finite number"],
        [["record", "--threads", "1.5"], "an integer"],
        [["maintain", "--max-compressed-segments", "all"], "a whole number, or unlimited"],
        [["record", "--max-bytes", "much"], "a size as in 500MB or 20GiB"],
        [["record", "--max-age", "old"], "a duration as in 30s, 12h or 7d"],
        [["record", "--min-free", "-1"], "a size as in 500MB or 20GiB"],
        [["record", "--max-held", "all"], "a size as in 500MB or 20GiB"],
        [["maintain", "--drain-max", "1"], "a duration as in 30s, 12h or 7d"],
        [["maintain", "--on-hot-limit", "stop"], "\"wait\" | \"exceed\""],
        [["maintain", "--compression", "zip"], "\"frame\" | \"block\""],
        [["check", "--max-lag", "1y"], "a duration as in 30s, 12h or 7d"],
        [["grep", "a", "--max", "0"], "a number from 1"],
        [["record", "--metrics", "70000"], "a port from 0 to 65535"],
        [["serve", "--port", "70000"], "a port from 0 to 65535"],
        [["serve", "--host", "http://a"], "an address of this machine, as in 127.0.0.1"],
        [["serve", "--token", ""], "a token, as from openssl rand -hex 16"],
        [["record", "--offer", "ftp://host"], "the path of a socket, or an address such as http://127.0.0.1:8123"],
        [["record", "--offer", "http://127.0.0.1/other"], "the path of a socket, or an address such as"],
        [["append", "--to", "http://host/?log"], "the path of a socket, or an address such as http://127.0.0.1:8123"],
        [["tail", "--from", ""], "the path of a socket, or an address such as http://127.0.0.1:8123"],
        [["tail", "--id", "0"], "a number from 1"],
        [["record", "--on-long-line", "cut"], "\"fail\" | \"skip\" | \"split\""],
        [["record", "--on-damaged", "delete"], "\"keep\" | \"quarantine\""],
        [["record", "--framing", "words"], "\"lines\" | \"length-prefixed\""],
        [["record", "--dir", ""], "the path of a directory"],
        [["record", "--archive", "ftp://host/log"], "a URL as in s3://bucket/prefix/log or file:///directory/log"],
        [["verify", "--repair-from-archive", "log"], "a URL as in s3://bucket/prefix/log or file:///directory/log"],
        [["archive verify", "--sample", "-1"], "a number from 0"],
        [["consumers reset", "billing", "--to", "0"], "a number from 1"],
        [["replay", "--from", "0"], "a number from 1"],
        [["replay", "--to", "x"], "a string representing a finite number"],
        [["replay", "--since", "yesterday"], "a time such as 2026-11-29T10:00:00Z, or how long ago, such as 10m"],
        [["dump", "--until", "10"], "a time such as 2026-11-29T10:00:00Z, or how long ago, such as 10m"],
        [["verify", "--rate", "0"], "a size of at least 1 byte, as in 50MiB"],
        [["free", "--before", "0"], "a number from 1"],
        [["dump", "--segment", "-1"], "a number from 0"],
        [["dump", "--segment", "1", "--block", "-1"], "a number from 0"],
        [["dump", "--segment", "1", "--event", "0"], "a number from 1"],
        [["export", "--format", "xml"], "\"ndjson\" | \"length-prefixed\""],
        [["top", "--interval", "1ms"], "a duration of at least 100ms, as in 500ms or 2s"]
      ]
      yield* Effect.forEach(wrong, ([[name = "", ...args], says]) =>
        Effect.gen(function*() {
          const [place, value] = name.startsWith("archive")
            ? ["--archive", "s3://bucket/log"]
            : name === "append"
            ? ["--to", "S"]
            : name === "tail"
            ? ["--from", "S"]
            : ["--dir", "D"]
          const ended = yield* here(...name.split(" "), ...(args.includes(place) ? [] : [place, value]), ...args)
          assert.strictEqual(ended.code, 2, ended.stderr)
          assert.include(ended.stderr, ` value for flag ${args.at(-2)}`)
          assert.include(ended.stderr, says)
          checkLines(ended)
        }))
      const valued = subcommands.flatMap(({ flags }) => flags).filter(({ type }) => type._tag !== "Boolean")
      assert.deepStrictEqual(
        [...new Set(wrong.map(([args]) => args.at(-2)))].sort(),
        [...new Set(valued.map(({ name }) => `--${name}`))].sort()
      )
    }))

  it("are all said: every row of the document, every failure of a command and every error of the library", async () => {
    await Effect.runPromise(oneProcess.end)
    assert.deepStrictEqual([...errors, ...warnings].filter((row) => !said.has(row)), [], "rows that nothing says")
    // Whoever appends one event after the other gets a `RecorderError`; `record` keeps from it what would make one. And
    // no command knows a schema of events, reads as a consumer, asks another process, runs a
    // state machine, or has many logs or a cluster of them.
    const unreached = unreachedPlaces(coverage).filter((name) =>
      !/^src\/(?:recorder\/(?:RecorderError|EventUndecodable|consumer\/ConsumerTaken)|rpc\/LogRpcs|state\/StateMachineError|cluster\/LogProtocol|many\/(?:Follow|LogKey))\.ts:/
        .test(name)
    )
    assert.deepStrictEqual(unreached, [], "failures that no process came to")
  })
})
