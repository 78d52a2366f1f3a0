/** The doctor: what it leaves behind, what it makes of figures, and that it does not disturb a recorder. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { mkdirSync, readdirSync } from "node:fs"
import { pathToFileURL } from "node:url"
import { probe, timesOf } from "../../../src/cli/doctor/DiskProbe.ts"
import { adviseCommit, adviseSegments, findings } from "../../../src/cli/doctor/DoctorAdvice.ts"
import type { Found } from "../../../src/cli/doctor/DoctorAdvice.ts"
import { fileSystemOf, openFilesOf } from "../../../src/cli/doctor/HostFacts.ts"
import { probeStore } from "../../../src/cli/doctor/StoreProbe.ts"
import { Disk } from "../../../src/disk/Disk.ts"
import { probeNames } from "../../../src/disk/FileNames.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import * as SimulatedStore from "../../../src/testing/SimulatedStore.ts"
import { effectWal, here, place, start } from "../commandLine.ts"

const mebibyte = 1024 * 1024

const times = (micros: number, p99Micros = micros) => ({
  count: 100,
  p50Nanos: micros * 1000,
  p99Nanos: p99Micros * 1000,
  maxNanos: p99Micros * 1000
})

const writing = (mebibytesPerSecond: number) => ({
  bytes: 256 * mebibyte,
  nanos: 256 / mebibytesPerSecond * 1e9,
  bytesPerSecond: mebibytesPerSecond * mebibyte
})

describe("timesOf", () => {
  it("takes percentiles by rank", () => {
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index)
    assert.deepStrictEqual(timesOf(hundred), { count: 100, p50Nanos: 50, p99Nanos: 99, maxNanos: 100 })
    assert.deepStrictEqual(timesOf([7, 3]), { count: 2, p50Nanos: 3, p99Nanos: 7, maxNanos: 7 })
  })
})

describe("the advice", () => {
  it("takes the smallest segment whose rotation costs at most 1 %, and 64 MiB when none does", () => {
    // At 100 MiB/s 16 MiB take 160 ms: a rotation may take 1.6 ms.
    assert.strictEqual(adviseSegments({ write: writing(100), rotation: times(1_600) }).segmentBytes, 16 * mebibyte)
    assert.strictEqual(adviseSegments({ write: writing(100), rotation: times(1_700) }).segmentBytes, 32 * mebibyte)
    assert.strictEqual(adviseSegments({ write: writing(100), rotation: times(5_000) }).segmentBytes, 64 * mebibyte)
    const { rotationShare, segmentBytes } = adviseSegments({ write: writing(1000), rotation: times(16_000) })
    assert.strictEqual(segmentBytes, 64 * mebibyte)
    assert.closeTo(rotationShare, 0.2, 0.001)
  })

  it("commits at once while a sync is quick, else as rarely as keeps syncs to 5 % of the time", () => {
    assert.deepStrictEqual(adviseCommit(times(100)), { commit: "every", commitsPerSecond: 10_000 })
    assert.strictEqual(adviseCommit(times(10_000)).commit, "every")
    assert.strictEqual(adviseCommit(times(12_000)).commit, "250ms")
    assert.strictEqual(adviseCommit(times(30_000)).commit, "1000ms")
    assert.strictEqual(adviseCommit(times(900_000)).commit, "10000ms")
  })
})

const healthy: Found = {
  host: {
    nodeVersion: "v24",
    cpus: 2,
    openFilesMax: 1024,
    clockStepNanos: 50,
    fileSystem: { type: "ext4", device: "/dev/sda1", mountPoint: "/" }
  },
  freeBytes: 100 * 1024 * mebibyte,
  measures: { write: writing(500), sync: times(100, 300), rotation: times(100) },
  clockJumpMillis: 1
}

const onFileSystem = (type: string): Found => ({
  ...healthy,
  host: { ...healthy.host, fileSystem: { type, device: "x", mountPoint: "/x" } }
})

describe("the findings", () => {
  it("are none on a machine that is fit", () => {
    assert.deepStrictEqual(findings(healthy, { segmentBytes: 16 * mebibyte, rotationShare: 0.005 }), [])
  })

  it("warn of what does not hold a log, and of what will run out", () => {
    const warnings: ReadonlyArray<readonly [found: Found, says: RegExp]> = [
      [onFileSystem("tmpfs"), /^tmpfs is memory/],
      [onFileSystem("nfs4"), /^nfs4 is a network file system/],
      [onFileSystem("fuse.sshfs"), /^fuse\.sshfs is a network/],
      [{ ...healthy, freeBytes: 1024 * mebibyte }, /1\.00 GiB are free, and segments of 16 MiB .* may take 1\.14 GiB/],
      [{ ...healthy, host: { ...healthy.host, openFilesMax: 64 } }, /only 64 files may be open/],
      [{ ...healthy, clockJumpMillis: -3_600_000 }, /was set by -3600000 ms/]
    ]
    for (const [found, says] of warnings) {
      const [finding, ...others] = findings(found, { segmentBytes: 16 * mebibyte, rotationShare: 0.005 })
      assert.deepStrictEqual(others, [])
      assert.strictEqual(finding?.level, "warning")
      assert.match(finding?.text ?? "", says)
    }
  })

  it("note what is worth knowing and stops nobody", () => {
    const sluggish = { ...healthy, measures: { ...healthy.measures!, sync: times(100, 5_000) } }
    const found = [
      ...findings(onFileSystem("overlay"), undefined),
      ...findings(sluggish, { segmentBytes: 64 * mebibyte, rotationShare: 0.2 })
    ]
    assert.deepStrictEqual(found.map(({ level }) => level), ["note", "note", "note"])
    assert.match(found[1]?.text ?? "", /rotations take 20 % .* even with 64 MiB/)
    assert.match(found[2]?.text ?? "", /takes 5\.00 ms or more, against 100 µs/)
  })
})

describe("what the kernel tells", () => {
  it("is the file system with the longest mount point above, the last of several there", () => {
    const mounts = [
      "22 1 254:0 / / rw - ext4 /dev/vda rw",
      "23 22 0:21 / /data rw,relatime shared:1 - xfs /dev/vdb rw",
      "24 22 0:22 / /data\\040of\\040mine rw - nfs4 host:/export rw",
      "25 22 0:23 / /database rw - tmpfs tmpfs rw",
      "26 23 0:24 / /data rw - btrfs /dev/vdc rw"
    ].join("\n")
    assert.deepStrictEqual(fileSystemOf(mounts, "/data/log"), {
      type: "btrfs",
      device: "/dev/vdc",
      mountPoint: "/data"
    })
    assert.strictEqual(fileSystemOf(mounts, "/data of mine/log")?.type, "nfs4")
    assert.strictEqual(fileSystemOf(mounts, "/dat")?.type, "ext4")
    assert.isNull(fileSystemOf("", "/"))
  })

  it("is the soft limit of open files", () => {
    assert.strictEqual(
      openFilesOf("Limit  Soft  Hard\nMax open files            1024                 4096  files\n"),
      1024
    )
    assert.isNull(openFilesOf("Max open files            unlimited            unlimited            files\n"))
  })
})

describe("the measuring", () => {
  const directory = "/log"
  const left = Effect.map(Disk.use((disk) => disk.list(directory)), (entries) => entries.map(({ name }) => name))
  const onDisk = <A, E>(work: Effect.Effect<A, E, Disk | SimulatedDisk.SimulatedDisk>) =>
    Effect.andThen(Disk.use((disk) => disk.makeDirectory(directory)), work).pipe(
      Effect.provide(SimulatedDisk.layer({ seed: 1, capacityBytes: 128 * mebibyte }))
    )

  it.live("gives figures, and leaves nothing behind; what a kill has left goes too", () =>
    onDisk(Effect.gen(function*() {
      const disk = yield* Disk
      for (const name of probeNames) yield* (yield* disk.open(`${directory}/${name}`, "create")).close
      const measures = yield* probe(directory)
      assert.isAtLeast(measures.write.bytes, 16 * mebibyte)
      assert.isAtMost(measures.write.bytes, 32 * mebibyte, "at most a quarter of what is free")
      assert.isAbove(measures.write.bytesPerSecond, 0)
      assert.isAtLeast(measures.rotation.count, 1)
      assert.isAtLeast(measures.sync.p99Nanos, measures.sync.p50Nanos)
      assert.deepStrictEqual(yield* left, [])
    })))

  it.live("leaves nothing behind when the disk fails or it is interrupted, in each of its phases", () =>
    onDisk(Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.SimulatedDisk
      for (
        const [operation, path] of [["sync", /dat$/], ["write", /dat$/], ["rename", /tmp$/], ["write", /meta/]] as const
      ) {
        yield* simulated.failNext(operation, "Io", path)
        const error = yield* Effect.flip(probe(directory))
        assert.strictEqual(error.reason._tag, "Io")
        assert.deepStrictEqual(yield* left, [])
      }
      yield* simulated.setFaults({ slowRate: 1, slowMax: 20 })
      const running = yield* Effect.forkChild(probe(directory))
      while (!(yield* left).includes("wal_doctor.dat")) yield* Effect.yieldNow
      yield* Fiber.interrupt(running)
      yield* simulated.setFaults({})
      assert.deepStrictEqual(yield* left, [])
    })))
})

describe("the measuring of a store", () => {
  const keys = Effect.gen(function*() {
    return [...(yield* (yield* SimulatedStore.SimulatedStore).contents).keys()]
  })

  it.live("gives figures, and leaves no object behind, also when the store fails in any phase", () =>
    Effect.gen(function*() {
      const store = yield* SimulatedStore.SimulatedStore
      const { checksMd5, getBytesPerSecond, put, putBytesPerSecond, range } = yield* probeStore
      assert.isTrue(checksMd5)
      assert.isAbove(Math.min(put.count, range.count, putBytesPerSecond, getBytesPerSecond), 0)
      assert.deepStrictEqual(yield* keys, [])
      for (const [operation, key] of [["put", /-0$/], ["put", /-1$/], ["get", /-\d+$/]] as const) {
        yield* store.failNext(operation, "denied", key)
        assert.strictEqual((yield* Effect.flip(probeStore)).reason._tag, "Denied", String(key))
        assert.deepStrictEqual(yield* keys, [], String(key))
      }
    }).pipe(Effect.provide(SimulatedStore.layer({ seed: 1 }))))

  it.live("is a part of the report; a store that cannot be used is a warning", () =>
    Effect.gen(function*() {
      const at = yield* place
      mkdirSync(at("log"))
      mkdirSync(at("store"))
      const url = `${pathToFileURL(at("store")).href}/app`
      const text = yield* here("doctor", "--dir", at("log"), "--archive", url)
      assert.match(text.stdout, /^archive +file:\S+; conditions are kept$/m, text.stderr)
      assert.match(text.stdout, /^ {2}put +p50 .* 4 KiB each; .*\/s in 8 MiB$/m)
      assert.match(text.stdout, /^ {2}get +p50 .* 1 MiB each; .*\/s in 8 MiB$/m)
      assert.deepStrictEqual(
        readdirSync(at("store"), { recursive: true }).filter((name) => /\d$/.test(String(name))),
        []
      )
      const missing = yield* here(
        "doctor",
        "--dir",
        at("log"),
        "--archive",
        `${pathToFileURL(at("none")).href}/app`,
        "--json"
      )
      const { archive, findings } = JSON.parse(missing.stdout)
      assert.deepStrictEqual([missing.code, archive], [1, null])
      assert.match(JSON.stringify(findings), /the archive file:\S+ cannot be used: /)
    }))
})

describe("effect-wal doctor", () => {
  it.live("measures a directory, advises, and goes without a trace, also when a signal ends it", () =>
    Effect.gen(function*() {
      const directory = (yield* place)("log")
      mkdirSync(directory)
      const interrupted = Effect.fnUntraced(function*(signal: "SIGINT" | "SIGTERM") {
        const running = yield* start(["doctor", "--dir", directory])
        const isMeasuring = Effect.sync(() => readdirSync(directory).includes("wal_doctor.dat"))
        yield* Effect.raceFirst(
          Effect.repeat(Effect.delay(isMeasuring, 10), { until: (is) => is }),
          Effect.flatMap(running.ended, ({ stderr }) => Effect.die(new Error(`it ended before it measured: ${stderr}`)))
        )
        running.child.kill(signal)
        const { code, stderr, stdout } = yield* running.ended
        assert.deepStrictEqual([stderr, stdout], ["", ""])
        assert.deepStrictEqual(readdirSync(directory), [])
        return code
      })
      assert.strictEqual(yield* interrupted("SIGINT"), 130)
      assert.strictEqual(yield* interrupted("SIGTERM"), 143)

      const { code, stderr, stdout } = yield* effectWal(["doctor", "--dir", directory, "--json"])
      const diagnosis = JSON.parse(stdout)
      const isWarned = diagnosis.findings.some(({ level }: { readonly level: string }) => level === "warning")
      assert.strictEqual(code, isWarned ? 1 : 0, stderr)
      assert.isAbove(diagnosis.measures.write.bytesPerSecond, 0)
      assert.include([16, 32, 64], diagnosis.advice.segmentBytes / mebibyte)
      assert.strictEqual(diagnosis.nodeVersion, process.version)
      assert.deepStrictEqual(readdirSync(directory), [])
    }))

  it.live("does not disturb a recorder, and shows what that has measured", () =>
    Effect.gen(function*() {
      const directory = (yield* place)("log")
      const recorder = yield* start(["record", "--dir", directory, "--acks"])
      recorder.write("a\n")
      yield* recorder.durable(1)
      const { code, stdout } = yield* effectWal(["doctor", "--dir", directory])
      assert.match(
        stdout,
        new RegExp(`^note: nothing was measured: .*${recorder.child.pid}.* holds the directory$`, "m")
      )
      assert.match(stdout, /^recorder's syncs +p50 .*, \d+ times, since its start$/m)
      assert.notMatch(stdout, /^(sequential write|advice)/m)
      assert.strictEqual(code, /^warning: /m.test(stdout) ? 1 : 0)
      assert.strictEqual((yield* recorder.end("b\n")).code, 0)
    }))
})
