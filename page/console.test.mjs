/**
 * The console's page in a browser: `npm run test:console`. Each ruling looks at what a person sees, of a log that the
 * command line has recorded and serves.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, openSync, readdirSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { chromium } from "playwright-core"
import { afterAll, assert, beforeAll, describe, it } from "vitest"

const main = join(import.meta.dirname, "../src/cli/main.ts")
const folder = mkdtempSync(join(tmpdir(), "effect-wal-console-"))
const pictures = process.env.EFFECT_WAL_PICTURES

/** @type {Array<import("node:child_process").ChildProcess>} */
const children = []

/** @param {ReadonlyArray<string>} args */
const start = (...args) => {
  const child = spawn(process.execPath, [main, ...args], { stdio: ["pipe", "pipe", "pipe"] })
  children.push(child)
  child.stdout.resume()
  return child
}

/** Serves a directory; gives the address. @param {string} directory @param {ReadonlyArray<string>} args */
const serve = async (directory, ...args) => {
  const child = start("serve", "--dir", directory, ...args)
  let said = ""
  for await (const part of child.stderr) {
    said += part
    const found = /console at (\S+)/.exec(said)
    if (found !== null) {
      child.stderr.resume()
      return found[1]
    }
  }
  throw new Error(said)
}

const hostile = "<script>window.pwned=1</script><img src=x onerror=window.pwned=2> \u001b[31mred \u202eevil"
const longest = 1024 * 1024 - 100

/** @param {number} n */
const order = (n) => JSON.stringify({ n, customer: n === 4242 ? "grace" : "ada", note: "x".repeat(200) })

/** Records lines to their end. @param {string} directory @param {Iterable<string>} lines */
const record = async (directory, lines) => {
  const child = start("record", "--dir", directory, "--segment-bytes", "4MiB", "--max-segments", "4")
  child.stderr.resume()
  for (const line of lines) if (!child.stdin.write(`${line}\n`)) await once(child.stdin, "drain")
  child.stdin.end()
  await once(child, "exit")
}

/** @type {import("playwright-core").Browser} */
let browser
const atRest = join(folder, "at rest")
const recorded = join(folder, "recorded")
let restAddress = ""

beforeAll(async () => {
  browser = await chromium.launch({
    executablePath: process.env.EFFECT_WAL_CHROMIUM,
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : []
  })
  const lines = function*() {
    yield hostile
    yield "y".repeat(longest)
    for (let n = 0; n < 100_000; n++) yield order(n)
  }
  await record(atRest, lines())
  restAddress = await serve(atRest)
})

afterAll(async () => {
  await browser?.close()
  for (const child of children) child.kill()
  rmSync(folder, { recursive: true, force: true })
})

/** Opens the page; everything that it asks for, and everything that it complains of, is kept. */
const open = async (address = restAddress, options = {}) => {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options })
  const requests = []
  const complaints = []
  page.on("request", (request) => requests.push(request.url()))
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()))
  page.on("pageerror", (error) => complaints.push(error.message))
  page.on("dialog", (dialog) => complaints.push(`dialog: ${dialog.message()}`))
  await page.goto(address)
  await page.waitForSelector("#connection[data-state=live]")
  return { page, requests, complaints }
}

/** Where the cells of the river are, and what they are. */
const river = () =>
  [...document.querySelectorAll("#river .cell:not(.gone)")].map((cell) =>
    [cell.id, cell.className, cell.style.left, cell.style.width, cell.firstChild.style.width].join(" ")
  ).join("\n")

describe("the river", () => {
  it("moves while a recorder records", async () => {
    const recorder = start("record", "--dir", recorded, "--segment-bytes", "64KiB", "--max-segments", "2", "--acks")
    recorder.stderr.resume()
    let n = 0
    const writing = setInterval(() => {
      for (let i = 0; i < 200; i++) recorder.stdin.write(`${order(n++)}\n`)
    }, 50)
    try {
      await once(recorder.stdout, "data")
      const { complaints, page } = await open(await serve(recorded))
      await page.waitForSelector("#river .cell")
      const before = await page.evaluate(river)
      while (await page.evaluate(river) === before) await page.waitForTimeout(100)
      await page.waitForSelector("#river .cell.cold")
      assert.match(await page.textContent("#carets"), /durable [\d,]+/)
      assert.deepStrictEqual(complaints, [])
      await page.close()
    } finally {
      clearInterval(writing)
      recorder.stdin.end()
    }
  })

  it("shows a segment red as soon as its file is damaged, and says so in words", async () => {
    const directory = join(folder, "damaged")
    await record(directory, Array.from({ length: 40_000 }, (_, n) => order(n)))
    const { page } = await open(await serve(directory))
    assert.strictEqual(await page.locator("#river .cell.damaged").count(), 0)
    const name = readdirSync(directory).find((name) => /^FS\.0+\.wal/.test(name)) ?? ""
    writeSync(openSync(join(directory, name), "r+"), Buffer.from("damage"), 0, 6, 100_000)
    const cell = page.locator("#river .cell.damaged")
    await cell.waitFor()
    const shown = await cell.evaluate((element) => getComputedStyle(element).backgroundColor)
    await page.waitForFunction(() => {
      const [red = 0, green = 0, blue = 0] = getComputedStyle(document.querySelector("#river .cell.damaged"))
        .backgroundColor.match(/\d+/g).map(Number)
      return red > 150 && green < 120 && blue < 130
    })
    assert.match(shown, /^rgb/)
    assert.match(await cell.getAttribute("aria-label"), /^segment 0, damaged/)
    assert.match(await page.textContent("#health"), /damaged segments: 0/)
    assert.strictEqual(await page.getAttribute("#health", "data-severity"), "critical")
    await page.close()
  })

  it("is walked with the keyboard, and each segment has a name for a screen reader", async () => {
    const { page } = await open()
    await page.waitForSelector("#river .cell")
    await page.focus("#river")
    await page.keyboard.press("Home")
    await page.keyboard.press("ArrowRight")
    const chosen = page.locator("#river .cell[aria-selected=true]")
    assert.match(await chosen.getAttribute("aria-label"), /^segment 1, /)
    assert.strictEqual(await page.getAttribute("#river", "aria-activedescendant"), await chosen.getAttribute("id"))
    assert.include(await page.textContent("#segment"), "Segment 1")
    await page.click("#segment >> text=Verify every byte")
    await page.waitForSelector("#toast:has-text('every byte is as it was written')")
    await page.close()
  })
})

describe("the explorer", () => {
  it("finds an event, and tells how far the search is", async () => {
    const { page } = await open()
    await page.selectOption("#search-kind", "path")
    await page.fill("#search-text", "$.customer == \"grace\"")
    await page.click("#search button[type=submit]")
    await page.waitForSelector("#progress-text:has-text('done')")
    assert.match(await page.textContent("#progress-text"), /^[\d.]+ MiB of [\d.]+ MiB read, 1 found · done$/)
    assert.include(await page.textContent("#events .event pre"), "\"n\": 4242")
    await page.close()
  })

  it("ends a search that is cancelled, before it has read everything", async () => {
    const { page } = await open()
    await page.selectOption("#search-kind", "path")
    await page.fill("#search-text", "$.nowhere == 1")
    await page.evaluate(() => {
      const bar = document.querySelector("#progress-bar")
      new MutationObserver((_, observer) => {
        if (bar.value === 0 || bar.value === 1) return
        observer.disconnect()
        document.querySelector("#search-cancel").click()
      }).observe(document.querySelector("#progress-text"), { childList: true })
    })
    await page.click("#search button[type=submit]")
    await page.waitForSelector("#progress-text:has-text('cancelled')")
    const text = await page.textContent("#progress-text")
    await page.waitForTimeout(500)
    assert.strictEqual(await page.textContent("#progress-text"), text)
    assert.isBelow(await page.evaluate(() => document.querySelector("#progress-bar").value), 1)
    assert.isTrue(await page.locator("#search-cancel").isHidden())
    await page.close()
  })

  it("shows what is hostile as text, whatever its length, and asks nobody else for anything", async () => {
    const { complaints, page, requests } = await open()
    await page.fill("#jump-text", "1")
    await page.click("#jump button[type=submit]")
    const first = page.locator(".event[data-id='1'] pre")
    await first.waitFor()
    const shown = await first.textContent()
    assert.strictEqual(shown.trim(), hostile.replace("\u001b", "\\u001b").replace("\u202e", "\\u202e"))
    assert.strictEqual(await page.locator("#events script, #events img").count(), 0)
    await page.click(".event[data-id='2'] >> text=Show all")
    await page.waitForFunction(
      (length) => document.querySelector(".event[data-id='2'] pre").textContent.length >= length,
      longest
    )
    await page.click(".event[data-id='1'] >> text=Hex")
    assert.match(await first.textContent(), /^00000000 {2}3c 73 63 72 69 70 74 3e/)
    assert.strictEqual(await page.evaluate(() => window.pwned), undefined)
    assert.deepStrictEqual(complaints, [])
    assert.isAbove(requests.length, 4)
    assert.deepStrictEqual(requests.filter((url) => !url.startsWith(restAddress)), [])
    await page.close()
  })
})

describe("the page", () => {
  it("asks for the token where there is one, and takes it from the address that is printed", async () => {
    const address = await serve(atRest, "--token", "of this test")
    const page = await browser.newPage()
    await page.goto(address.replace(/#.*/, ""))
    await page.waitForSelector("#token:not([hidden])")
    await page.fill("#token-text", "wrong")
    await page.click("#token button")
    await page.waitForSelector("#token-error:has-text('not the right one')")
    await page.fill("#token-text", "of this test")
    await page.click("#token button")
    await page.waitForSelector("#connection[data-state=live]")
    await page.close()
    const printed = await open(address)
    assert.notInclude(printed.page.url(), "token")
    assert.deepStrictEqual(printed.requests.filter((url) => url.includes("of%20this")), [])
    await printed.page.close()
  })

  for (const width of [360, 1280, 3840]) {
    for (const colorScheme of ["dark", "light"]) {
      it(`fits into ${width} px, ${colorScheme}`, async () => {
        const { page } = await open(restAddress, {
          viewport: { width, height: width === 3840 ? 2160 : 900 },
          colorScheme
        })
        await page.waitForSelector("#events .event")
        assert.isAtMost(await page.evaluate(() => document.documentElement.scrollWidth), width)
        const [back, ink] = await page.evaluate(() => {
          const { backgroundColor, color } = getComputedStyle(document.body)
          return [backgroundColor, color].map((text) => Math.max(...text.match(/\d+/g).map(Number)))
        })
        assert.isTrue(colorScheme === "dark" ? back < 60 && ink > 180 : back > 200 && ink < 80)
        if (pictures !== undefined) {
          await page.screenshot({ path: join(pictures, `console-${width}-${colorScheme}.png`) })
        }
        await page.close()
      })
    }
  }
})
