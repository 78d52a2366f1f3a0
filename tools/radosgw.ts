/**
 * Runs a command beside a real object store: the S3 gateway of Ceph, on the loopback address alone, in a temporary
 * directory that is gone afterwards.
 *
 *     node tools/radosgw.ts npx vitest run test/store
 *
 * The command gets an empty bucket in `EFFECT_WAL_S3_URL`, and what AWS's tools would read in `AWS_…`. Needs root and
 * Debian's packages ceph-mon, ceph-osd, radosgw and ceph-common. Where something is missing, it says so, and runs nothing.
 */
import { AwsClient } from "aws4fetch"
import { execFileSync, spawnSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"

const needed = ["monmaptool", "ceph-mon", "ceph", "ceph-osd", "radosgw", "radosgw-admin"]
const user = { accessKeyId: "wal", secretAccessKey: "walwalwal" }
const bucket = "wal"

/** How long each part may take to answer. */
const patienceMillis = 180_000

const isMissing = (name: string): boolean => spawnSync("sh", ["-c", `command -v ${name}`]).status !== 0

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

/** Tries again until it succeeds. */
const patiently = async <A>(what: string, attempt: () => A | Promise<A>): Promise<A> => {
  const begun = Date.now()
  for (;;) {
    try {
      return await attempt()
    } catch (cause) {
      if (Date.now() - begun > patienceMillis) throw new Error(`${what} does not start`, { cause })
      await setTimeout(500)
    }
  }
}

/** Starts the gateway in an empty directory, and gives its URL. */
const startGateway = async (root: string): Promise<string> => {
  const [monitorPort, port] = [await freePort(), await freePort()]
  const [cluster, device] = [randomUUID(), randomUUID()]
  for (const name of ["mon", "osd", "run", "log", "rgw"]) mkdirSync(join(root, name))
  const configuration = join(root, "ceph.conf")
  writeFileSync(
    configuration,
    [
      "[global]",
      `fsid = ${cluster}`,
      `mon host = v1:127.0.0.1:${monitorPort}`,
      "mon initial members = a",
      "public addr = 127.0.0.1",
      "cluster addr = 127.0.0.1",
      "ms bind msgr2 = false",
      "auth cluster required = none",
      "auth service required = none",
      "auth client required = none",
      // One device, one copy.
      "osd pool default size = 1",
      "osd pool default min size = 1",
      "osd pool default pg num = 4",
      "osd pool default pg autoscale mode = off",
      "osd crush chooseleaf type = 0",
      "mon allow pool size one = true",
      "mon max pg per osd = 2000",
      "osd objectstore = bluestore",
      "bluestore block size = 8589934592",
      "osd memory target = 1073741824",
      "rgw rados pool pg num min = 4",
      `rgw frontends = beast endpoint=127.0.0.1:${port}`,
      `run dir = ${root}/run`,
      `admin socket = ${root}/run/$name.asok`,
      `pid file = ${root}/run/$name.pid`,
      `log file = ${root}/log/$name.log`,
      `mon data = ${root}/mon`,
      `osd data = ${root}/osd`,
      `rgw data = ${root}/rgw`,
      "[client]",
      "keyring = /dev/null",
      ""
    ].join("\n")
  )
  const run = (command: string, ...args: ReadonlyArray<string>): string =>
    execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: patienceMillis })
  const ceph = (command: string, ...args: ReadonlyArray<string>) => run(command, "-c", configuration, ...args)

  const map = join(root, "monmap")
  run("monmaptool", "--create", "--clobber", "--addv", "a", `v1:127.0.0.1:${monitorPort}`, "--fsid", cluster, map)
  ceph("ceph-mon", "--mkfs", "-i", "a", "--monmap", map, "--keyring", "/dev/null")
  ceph("ceph-mon", "-i", "a")
  const id = ceph("ceph", "osd", "new", device).trim()
  ceph("ceph-osd", "-i", id, "--mkfs", "--osd-uuid", device, "--no-mon-config")
  // It may come before it knows the monitor.
  await patiently("the device", () => ceph("ceph-osd", "-i", id))
  ceph("radosgw", "-n", "client.rgw")
  const key = ["--access-key", user.accessKeyId, "--secret-key", user.secretAccessKey]
  ceph("radosgw-admin", "user", "create", "--uid=wal", "--display-name=wal", ...key)
  const url = `http://127.0.0.1:${port}`
  const client = new AwsClient({ ...user, service: "s3", region: "us-east-1", retries: 0 })
  await patiently("the gateway", async () => {
    const answer = await client.fetch(`${url}/${bucket}`, { method: "PUT" })
    if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`)
  })
  return url
}

const stopGateway = (root: string): void => {
  for (const name of ["client.rgw", "osd.0", "mon.a"]) {
    const file = join(root, "run", `${name}.pid`)
    try {
      if (existsSync(file)) process.kill(Number(readFileSync(file, "utf8")), "SIGKILL")
    } catch {
      // It has ended by itself.
    }
  }
}

const [command = "true", ...args] = process.argv.slice(2)
const missing = [...needed.filter(isMissing), ...(process.getuid?.() === 0 ? [] : ["root"])]
if (missing.length > 0) process.stdout.write(`SKIPPED: a real object store needs ${missing.join(", ")}\n`)
else {
  const root = mkdtempSync(join(tmpdir(), "effect-wal-radosgw-"))
  try {
    const begun = Date.now()
    const endpoint = await startGateway(root)
    process.stdout.write(`radosgw answers at ${endpoint}, after ${((Date.now() - begun) / 1000).toFixed(0)} s\n`)
    const env = {
      ...process.env,
      EFFECT_WAL_S3_URL: `s3://${bucket}/tests`,
      AWS_ENDPOINT_URL: endpoint,
      AWS_REGION: "us-east-1",
      AWS_ACCESS_KEY_ID: user.accessKeyId,
      AWS_SECRET_ACCESS_KEY: user.secretAccessKey
    }
    process.exitCode = spawnSync(command, args, { env, stdio: "inherit" }).status ?? 1
  } finally {
    stopGateway(root)
    rmSync(root, { recursive: true, force: true })
  }
}
