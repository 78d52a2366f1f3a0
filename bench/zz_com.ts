import * as Effect from "effect/Effect"
import { closeSync, fdatasyncSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs"
const root = process.argv[2] ?? "/work/main"
const { keepHot, openWal } = await import(root + "/bench/harness/Wal.ts")
const host = process.argv[3] ?? "thread"
const dir = "/tmp/m/comdir"
rmSync(dir, { recursive: true, force: true })
mkdirSync(dir)
const event = new Uint8Array(256).fill(0x61), N = 400
const o = await openWal(host, { directory: dir + "/w", limits: keepHot })
const fd = openSync(dir + "/bare", "w")
const pct = (x: number[], p: number) => {
  x.sort((a, b) => a - b)
  return x[Math.floor(x.length * p)]!
}
const rs: number[] = []
let all: number[] = [], allb: number[] = []
for (let r = 0; r < 9; r++) {
  const b: number[] = []
  for (let i = 0; i < N; i++) {
    const s = performance.now()
    writeSync(fd, event)
    fdatasyncSync(fd)
    b.push((performance.now() - s) * 1e3)
  }
  const a: number[] = []
  await o.run(Effect.gen(function*() {
    for (let i = 0; i < N; i++) {
      const s = performance.now()
      yield* o.recorder.append(event)
      yield* o.recorder.commit
      a.push((performance.now() - s) * 1e3)
    }
  }))
  if (r > 1) {
    rs.push(pct(a, .5) / pct(b, .5))
    all.push(...a)
    allb.push(...b)
  }
}
console.log(
  host,
  "bare p50",
  pct(allb, .5).toFixed(0),
  "ours p50",
  pct(all, .5).toFixed(0),
  "p99",
  pct(all, .99).toFixed(0),
  "ratio",
  pct(rs, .5).toFixed(2)
)
const sn: any = await o.run(o.telemetry.snapshot)
for (const k of ["sync", "flush", "loop"]) {
  const op = sn.operations[k]
  console.log(k, JSON.stringify(op, (kk, v) => kk === "latency" ? undefined : typeof v === "bigint" ? Number(v) : v))
  const l = op?.latency
  if (l) {
    let tot = 0
    for (const x of l) tot += x[1]
    let c = 0
    for (const [b, n] of l) {
      c += n
      if (c >= tot / 2) {
        console.log("p50 bucket", b, n, tot)
        break
      }
    }
  }
}
await o.close()
closeSync(fd)
rmSync(dir, { recursive: true })
