/** The console over HTTP: who may ask, what is answered, and what it costs. What a browser makes of it is in `page/`. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Cells } from "../../src/console/Cells.ts"
import type { Cell } from "../../src/console/Cells.ts"
import * as Console from "../../src/console/index.ts"
import * as Watch from "../../src/console/Watch.ts"
import { Disk } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { SegmentDirectory } from "../../src/disk/SegmentDirectory.ts"
import { Wal } from "../../src/index.ts"
import * as Monitor from "../../src/recorder/monitor/Monitor.ts"
import { pageModule, pageModulePath } from "../../tools/page.ts"
import { damage, makeDamagedLog, makeLog } from "../cli/logs.ts"
import { temporaryDirectory } from "../recorder/fixtures.ts"
import { asks, asksJson, listens, served } from "./serving.ts"

class Events extends Wal.Service<Events>()("test/ConsoleEvents") {}

const token = Redacted.make("a token of this test")

/** A console of a log at rest: three closed segments and an open one, events 1 to 130. */
const atRest = Effect.fnUntraced(function*(options: Console.ConsoleOptions = {}) {
  const directory = yield* temporaryDirectory
  yield* Effect.orDie(makeLog(directory))
  return { directory, port: yield* served(Console.layerDirectory({ directory, ...options })) }
})

const paths = [
  "/",
  "/page.css",
  "/page.mjs",
  "/icon.svg",
  "/api/events",
  "/api/search?text=x",
  "/api/segments/0/blocks"
]

describe("who may ask a console", () => {
  it.live("is told by the host: another name than this machine's is refused", () =>
    Effect.gen(function*() {
      const { port } = yield* atRest()
      for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, "LOCALHOST", "[::1]:80"]) {
        assert.strictEqual((yield* asks(port, "/api/events", { host })).status, 200, host)
      }
      for (const host of ["evil.example", `evil.example:${port}`, "127.0.0.1.evil.example", "localhost."]) {
        const answer = yield* asks(port, "/api/events", { host })
        assert.include([400, 403], answer.status, `"${host}"`)
        assert.notInclude(answer.text, "event 130")
      }
      const named = yield* atRest({ hosts: ["wal.example"] })
      assert.strictEqual((yield* asks(named.port, "/api/events", { host: "wal.example:80" })).status, 200)
      assert.strictEqual((yield* asks(named.port, "/api/events", { host: "other.example" })).status, 403)
    }).pipe(Effect.provide(NodeDisk.layer)))

  it.live("is told by the browser: what another site sends is refused", () =>
    Effect.gen(function*() {
      const { port } = yield* atRest()
      for (const site of ["cross-site", "same-site"]) {
        for (
          const [path, method] of [["/api/events", "GET"], ["/api/live", "GET"], [
            "/api/segments/0/verify",
            "POST"
          ]] as const
        ) {
          assert.strictEqual((yield* asks(port, path, { "sec-fetch-site": site }, method)).status, 403, path)
        }
      }
      assert.strictEqual((yield* asks(port, "/api/events", { "sec-fetch-site": "same-origin" })).status, 200)
    }).pipe(Effect.provide(NodeDisk.layer)))

  it.live("is told by the token, where there is one; the page itself needs none, and has nothing of the log", () =>
    Effect.gen(function*() {
      const { directory, port } = yield* atRest({ token })
      const all = [...paths.filter((path) => path.startsWith("/api/")), "/api/live", "/api/events/1"]
      for (const path of all) {
        for (
          const authorization of [
            undefined,
            "Bearer",
            "Bearer a token of this tes",
            "Basic YTpi",
            "Bearer x".repeat(500)
          ]
        ) {
          const answer = yield* asks(port, path, authorization === undefined ? {} : { authorization })
          assert.strictEqual(answer.status, 401, `${path} ${authorization}`)
          assert.strictEqual(answer.headers["www-authenticate"], "Bearer")
        }
      }
      const authorization = `Bearer ${Redacted.value(token)}`
      assert.strictEqual((yield* asks(port, "/api/events", { authorization })).status, 200)
      // Behind a proxy the name is another one.
      assert.strictEqual((yield* asks(port, "/api/events", { authorization, host: "wal.example" })).status, 200)
      for (const path of paths.slice(0, 4)) {
        const { status, text } = yield* asks(port, path)
        assert.strictEqual(status, 200, path)
        assert.notInclude(text, directory)
      }
    }).pipe(Effect.provide(NodeDisk.layer)))

  it.live("gets nothing foreign and nothing inline from any answer, refusals included", () =>
    Effect.gen(function*() {
      const { port } = yield* atRest()
      const refused = yield* asks(port, "/api/events", { host: "evil.example" })
      const wrong = yield* asks(port, "/api/events?from=x")
      const answers = yield* Effect.forEach(paths, (path) => asks(port, path))
      for (const { headers } of [...answers, refused, wrong]) {
        const policy = headers["content-security-policy"] ?? ""
        for (
          const rule of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "trusted-types 'none'"]
        ) {
          assert.include(policy, rule)
        }
        assert.notMatch(String(policy), /unsafe|\*|https?:/)
        assert.strictEqual(headers["x-content-type-options"], "nosniff")
        assert.strictEqual(headers["cache-control"], "no-store")
        assert.isUndefined(headers["access-control-allow-origin"])
      }
    }).pipe(Effect.provide(NodeDisk.layer)))

  it.effect("is not left to wrong options: they are a defect that names them", () =>
    Effect.gen(function*() {
      const wrong: ReadonlyArray<readonly [object, RegExp]> = [
        [{ path: "wal" }, /options\.path is 'wal', expected a path/],
        [{ path: "/wal/" }, /options\.path/],
        [{ token: "plain" }, /options\.token/],
        [{ token: Redacted.make("") }, /options\.token/],
        [{ hosts: "localhost" }, /options\.hosts/],
        [{ prot: 1 }, /options\.prot/]
      ]
      for (const [options, message] of wrong) {
        const exit = yield* Effect.exit(
          Effect.scoped(served(Console.layerDirectory({ directory: "/tmp", ...options })))
        )
        assert.strictEqual(exit._tag, "Failure")
        assert.match(String(exit), message)
      }
    }).pipe(Effect.provide(NodeDisk.layer)))
})

describe("what a console answers", () => {
  it.live("is a page of events, from an id, a time, or up to the newest", () =>
    Effect.gen(function*() {
      const { port } = yield* atRest()
      const newest = yield* asksJson(port, "/api/events?count=3")
      assert.deepStrictEqual(newest.events.map(({ id }: { id: number }) => id), [128, 129, 130])
      assert.deepInclude(newest.events[2], { text: "event 130", base64: null, bytes: 9, isCut: false })
      const middle = yield* asksJson(port, "/api/events?from=39&count=3")
      assert.deepStrictEqual(middle.events.map(({ text }: { text: string }) => text), [
        "event 39",
        "event 40",
        "event 41"
      ])
      const timed = yield* asksJson(port, `/api/events?time=${middle.events[0].time}&count=1`)
      assert.strictEqual(timed.events[0].time, middle.events[0].time)
      for (
        const query of [
          "from=0",
          "from=-1",
          "from=1e3",
          "count=0",
          "count=501",
          "time=yesterday",
          "from=99999999999999999999"
        ]
      ) {
        assert.strictEqual((yield* asks(port, `/api/events?${query}`)).status, 400, query)
      }
      assert.strictEqual((yield* asksJson(port, "/api/events/7")).text, "event 7")
      assert.strictEqual((yield* asks(port, "/api/events/131")).status, 404)
    }).pipe(Effect.provide(NodeDisk.layer)))

  it.live("is what is there when events are damaged, and why there is no more", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* Effect.orDie(makeDamagedLog(directory))
      const port = yield* served(Console.layerDirectory({ directory }))
      const page = yield* asksJson(port, "/api/events?from=40&count=100")
      assert.strictEqual(page.events[0].id, 40)
      assert.isBelow(page.events.length, 41)
      assert.match(page.fault, /FS\.00000001\.wal/)
      const { blocks, isMore } = yield* asksJson(port, "/api/segments/1/blocks")
      assert.isFalse(isMore)
      assert.deepStrictEqual(
        blocks.map((block: { readonly isHeaderIntact: boolean; readonly isPayloadIntact: boolean }) =>
          block.isHeaderIntact && block.isPayloadIntact
        ),
        [
          ...blocks.slice(1).map(() => true),
          false
        ]
      )
      assert.strictEqual((yield* asks(port, "/api/segments/99/blocks")).status, 404)
    }).pipe(Effect.provide(NodeDisk.layer)))

  it.live("is the log beside its recorder, below any path: events as they were recorded, whatever they are", () =>
    Effect.gen(function*() {
      const hostile = "<script>alert(1)</script>\u001b[31m"
      const long = `{"text":"${"ä".repeat(500_000)}"}`
      const port = yield* served(Layer.provide(Console.layer({ path: "/wal" }), Events.parts)).pipe(
        Effect.tap(() =>
          Events.use((log) =>
            Effect.andThen(
              log.appendAll([Buffer.from(hostile), Buffer.from(long), Uint8Array.of(0xff, 0x00)]),
              log.commit
            )
          )
        )
      )
      const { events } = yield* asksJson(port, "/wal/api/events?from=1")
      assert.strictEqual(events[0].text, hostile)
      assert.deepInclude(events[1], { bytes: Buffer.byteLength(long), isCut: true })
      assert.isTrue(long.startsWith(events[1].text), "it is cut between two characters")
      assert.deepInclude(events[2], { text: null, base64: "/wA=" })
      assert.strictEqual((yield* asksJson(port, "/wal/api/events/2")).text, long)
      assert.include((yield* asks(port, "/wal/")).text, "\"/wal/page.mjs\"")
      assert.strictEqual((yield* asks(port, "/wal")).status, 200)
      const [look] = yield* listens(port, "/wal/api/live", () => true)
      assert.strictEqual(look.stats.report.positions.durable, 3)
      assert.strictEqual(look.health.severity, "ok")
      assert.strictEqual(look.cells[0].state, "open")
    }).pipe(
      Effect.provide(
        Layer.provideMerge(
          Layer.unwrap(Effect.map(temporaryDirectory, (directory) => Events.layer({ directory }))),
          NodeDisk.layer
        )
      )
    ))
})

describe("a search", () => {
  it.live("goes from the newest segment back, tells how far it is, and passes what is damaged", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* Effect.orDie(makeDamagedLog(directory))
      const port = yield* served(Console.layerDirectory({ directory }))
      const messages = yield* listens(port, "/api/search?text=VENT%201&case=ignore", () => false)
      const found = messages.flatMap((message) => message._tag === "Found" ? message.events : [])
      const ids: ReadonlyArray<number> = found.map(({ id }) => id)
      assert.deepStrictEqual(ids, ids.toSorted((a, b) => b - a))
      // 1, 10 to 19, 100 to 130; the damaged segment has 41 to 80, of which none matches.
      assert.deepStrictEqual(ids.length, 1 + 10 + 31)
      const progress = messages.filter(({ _tag }) => _tag === "Progress")
      assert.strictEqual(progress.at(-1).readBytes, progress.at(-1).totalBytes)
      assert.isAbove(progress.length, 4)
      assert.deepStrictEqual(
        messages.filter(({ _tag }) => _tag === "Damaged").map(({ segmentIndex }) => segmentIndex),
        [1]
      )
      assert.deepStrictEqual(messages.at(-1), { _tag: "Ended", isMore: false })
      const few = yield* listens(port, "/api/search?text=event&max=7", () => false)
      assert.deepStrictEqual(
        few.flatMap((message) => message._tag === "Found" ? message.events : []).map(({ id }) => id),
        [
          130,
          129,
          128,
          127,
          126,
          125,
          124
        ]
      )
      assert.deepStrictEqual(few.at(-1), { _tag: "Ended", isMore: true })
      for (const query of ["text=", "kind=path&text=customer", "kind=path&text=%24.a%20~%201", "text=x&max=0"]) {
        assert.strictEqual((yield* asks(port, `/api/search?${query}`)).status, 400, query)
      }
    }).pipe(Effect.provide(NodeDisk.layer)))

  it.live("that nobody waits for any more reads no further", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* Effect.orDie(makeLog(directory))
      const opened: Array<string> = []
      const waits = yield* Deferred.make<void>()
      const gone = yield* Deferred.make<void>()
      const disk = yield* Disk
      const slow = Disk.of({
        ...disk,
        open: (path, mode) =>
          Effect.map(disk.open(path, mode), (file) => {
            opened.push(path)
            // Of the third segment nothing is ever read: the search waits there until it is ended.
            const read = () =>
              Effect.andThen(
                Deferred.succeed(waits, undefined),
                Effect.onInterrupt(Effect.never, () => Deferred.succeed(gone, undefined))
              )
            return opened.length < 3 ? file : { ...file, read }
          })
      })
      const port = yield* Effect.provideService(served(Console.layerDirectory({ directory })), Disk, slow)
      const viewer = yield* Effect.forkChild(listens(port, "/api/search?text=event", () => false))
      yield* Deferred.await(waits)
      yield* Fiber.interrupt(viewer)
      yield* Deferred.await(gone)
      assert.strictEqual(opened.length, 3)
    }).pipe(Effect.provide(NodeDisk.layer)))
})

describe("a watch", () => {
  /** A log at rest, and how often its directory was listed. */
  const watched = Effect.gen(function*() {
    const path = yield* temporaryDirectory
    yield* Effect.orDie(makeLog(path))
    const disk = yield* Disk
    let lists = 0
    const counting = Disk.of({
      ...disk,
      list: (path) => Effect.tap(disk.list(path), () => Effect.sync(() => void (lists += 1)))
    })
    const directory = new SegmentDirectory(path)
    const looks = yield* Effect.provideService(
      Watch.make({ directory, cells: new Cells(directory), report: Monitor.read(path) }),
      Disk,
      counting
    )
    return { looks: Stream.provideService(looks, Disk, counting), lists: () => lists }
  })

  it.effect("is shared by all viewers, and without one nothing runs", () =>
    Effect.gen(function*() {
      const { lists, looks } = yield* watched
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(lists(), 0)
      const seen = [0, 0, 0]
      const viewers = yield* Effect.forEach(seen, (_, viewer) =>
        Effect.forkChild(Stream.runForEach(looks, () => Effect.sync(() => void (seen[viewer]! += 1)))))
      const until = (isSo: () => boolean): Effect.Effect<void> =>
        Effect.suspend(() =>
          isSo() ? Effect.void : Effect.andThen(TestClock.withLive(Effect.sleep(1)), until(isSo))
        )
      yield* until(() => seen.every((count) => count === 1))
      assert.strictEqual(lists(), 1)
      yield* TestClock.adjust("1 second")
      yield* until(() => seen.every((count) => count === 2))
      assert.strictEqual(lists(), 2)
      yield* Fiber.interruptAll(viewers)
      yield* TestClock.adjust("10 seconds")
      const after = lists()
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(lists(), after)
    }).pipe(Effect.provide(NodeDisk.layer)))

  it.effect("tells a new viewer everything, and then only what has changed", () =>
    Effect.gen(function*() {
      const { looks } = yield* watched
      const first = yield* Effect.map(
        Stream.runHead(looks),
        (head) => head._tag === "Some" ? head.value : assert.fail()
      )
      assert.deepStrictEqual(first.cells.map(({ state }) => state), ["hot", "hot", "hot", "open"])
      assert.deepStrictEqual(first.health.severity, "ok")
      const two = yield* Effect.forkChild(Stream.runCollect(Stream.take(looks, 2)))
      yield* Effect.forEach(
        [1, 2, 3],
        () => Effect.andThen(TestClock.adjust("1 second"), TestClock.withLive(Effect.sleep(20)))
      )
      const [again, later] = yield* Fiber.join(two)
      assert.strictEqual(again?.cells.length, 4)
      assert.deepStrictEqual(later?.cells, [])
    }).pipe(Effect.provide(NodeDisk.layer)))
})

describe("a segment of the river", () => {
  const statesOf = (cells: ReadonlyArray<Cell>): ReadonlyArray<string> => cells.map(({ state }) => state)

  it.live("is damaged from the look on that finds its closed file changed, and whole again when that is", () =>
    Effect.gen(function*() {
      const path = yield* temporaryDirectory
      yield* Effect.orDie(makeLog(path))
      const cells = new Cells(new SegmentDirectory(path))
      assert.deepStrictEqual(statesOf(yield* cells.look(false)), ["hot", "hot", "hot", "open"])
      const file = join(path, "FS.00000001.wal")
      const whole = readFileSync(file)
      damage(file)
      const [, changed] = yield* cells.look(false)
      assert.strictEqual(changed?.state, "damaged")
      assert.match(changed?.detail ?? "", /FS\.00000001\.wal/)
      writeFileSync(file, whole)
      assert.deepStrictEqual(statesOf(yield* cells.look(false)), ["hot", "hot", "hot", "open"])
    }).pipe(Effect.provide(NodeDisk.layer)))

  it.live("is damaged when a viewer has it verified, for every viewer", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* Effect.orDie(makeDamagedLog(directory))
      const port = yield* served(Console.layerDirectory({ directory }))
      const isFirst = () => true
      const [before] = yield* listens(port, "/api/live", isFirst)
      assert.deepStrictEqual(statesOf(before.cells), ["hot", "hot", "hot", "open"])
      assert.strictEqual((yield* asksJson(port, "/api/segments/0/verify", "POST")).state, "hot")
      assert.strictEqual((yield* asksJson(port, "/api/segments/1/verify", "POST")).state, "damaged")
      const told = yield* listens(port, "/api/live", (message) => JSON.stringify(message).includes("\"critical\""))
      assert.deepStrictEqual(told.at(-1).health.texts, ["damaged segments: 1"])
    }).pipe(Effect.provide(NodeDisk.layer)))
})

describe("the page", () => {
  it("is in the package as it is in `page/`; `npm run page` puts it there", () => {
    assert.strictEqual(readFileSync(pageModulePath, "utf8"), pageModule())
  })

  it("makes text of what was recorded, never markup or code", () => {
    const script = readFileSync(join(import.meta.dirname, "../../page/page.mjs"), "utf8")
    const ways =
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|createContextualFragment|srcdoc|setAttribute\("(on|style)/
    assert.notMatch(script, ways)
    assert.match(`${script}\nelement.innerHTML = text`, ways)
    const html = readFileSync(join(import.meta.dirname, "../../page/page.html"), "utf8")
    assert.notMatch(html, /<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=|https?:\/\//)
  })
})
