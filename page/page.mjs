/**
 * The console's page: draws what the server tells of a log, and asks for events. Everything that was recorded becomes
 * the text of a node and never markup, so an event cannot do more than be read.
 */

/**
 * @typedef {{
 *   segmentIndex: number, file: string, state: "open" | "hot" | "cold" | "damaged", isFreezing: boolean, events: number,
 *   firstEventId: number, lastEventId: number, bytes: number, ratio: number, created: string, closed: string,
 *   detail: string
 * }} Cell
 * @typedef {ReadonlyArray<readonly [power: number, count: number]>} PowerCounts
 * @typedef {{
 *   atMillis: number, seconds: number, commit: PowerCounts, sync: PowerCounts, freeze: PowerCounts, events: number,
 *   bytes: number, rotations: number, freezes: number, deletions: number, restarts: number, failures: number,
 *   messages: ReadonlyArray<string>
 * }} Column
 * @typedef {{ name: string, fromSegmentIndex: number, isExceeded: boolean, eventId?: number }} Hold
 * @typedef {{
 *   id: number, time: string | null, bytes: number, offset: number, text: string | null, base64: string | null,
 *   isCut: boolean
 * }} EventView
 * @typedef {{ label: string, x: number, kind: string }} Caret
 * @typedef {"commit" | "sync" | "freeze"} Operation
 */

/**
 * @param {string} id
 * @returns {any}
 */
const byId = (id) => document.getElementById(id)

const base = document.documentElement.dataset.base ?? ""

/**
 * Makes an element. Children are elements, or text that stays text.
 *
 * @param {string} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string)} children
 * @returns {any}
 */
const make = (tag, properties = {}, ...children) => {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (name === "onclick") element.addEventListener("click", value)
    else if (name in element && !name.startsWith("aria")) Reflect.set(element, name, value)
    else element.setAttribute(name, value)
  }
  element.append(...children)
  return element
}

// What controls a terminal or turns the direction of text is shown in the notation of JSON.
// oxlint-disable-next-line no-control-regex -- finding them is the purpose
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/** @param {string} text */
const visible = (text) =>
  text.replace(controls, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)

const numbers = new Intl.NumberFormat("en-US")
/** @param {number} value */
const count = (value) => numbers.format(Math.round(value))

/** @param {number} bytes */
const size = (bytes) => {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

/** @param {number} nanos */
const time = (nanos) => {
  /** @type {ReadonlyArray<readonly [string, number]>} */
  const units = [["h", 3.6e12], ["min", 6e10], ["s", 1e9], ["ms", 1e6], ["µs", 1e3]]
  const [unit, length] = units.find(([, length]) => nanos >= length) ?? ["ns", 1]
  const value = nanos / length
  return `${value >= 100 || length === 1 ? Math.round(value) : value.toFixed(1)} ${unit}`
}

/** @param {number} millis */
const clock = (millis) => new Date(millis).toISOString().slice(11, 19)

/** @param {string} text */
const quoted = (text) => /^[\w./:=@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`

/** @param {number} bytes */
const plural = (bytes) => bytes === 1 ? "1 byte" : `${count(bytes)} bytes`

// Asking the server

const tokenKey = `effect-wal token ${base}`
let token = sessionStorage.getItem(tokenKey) ?? ""
const given = /^#token=(.+)$/.exec(location.hash)
if (given !== null) {
  token = decodeURIComponent(given[1] ?? "")
  sessionStorage.setItem(tokenKey, token)
  // So that it is not in the history, or in a picture of the screen.
  history.replaceState(null, "", location.pathname)
}

class Refused extends Error {}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 */
const ask = async (path, options = {}) => {
  const headers = token === "" ? {} : { authorization: `Bearer ${token}` }
  const response = await fetch(`${base}/api/${path}`, { ...options, headers })
  if (response.ok) return response
  if (response.status === 401) {
    showTokenForm(token !== "")
    throw new Refused("the token is missing or wrong")
  }
  const body = await response.json().catch(() => ({ error: `the server answers with ${response.status}` }))
  throw new Error(body.error)
}

/** @param {boolean} isWrong */
const showTokenForm = (isWrong) => {
  byId("token").hidden = false
  byId("main").hidden = true
  byId("token-error").textContent = isWrong ? "This token is not the right one." : ""
  byId("token-text").focus()
}

/**
 * Reads server-sent events until their end. `EventSource` cannot send a token.
 *
 * @param {Response} response
 * @param {(name: string, value: any) => void} onMessage
 */
const readEvents = async (response, onMessage) => {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ""
  while (true) {
    const { done = true, value } = await reader?.read() ?? {}
    if (done) return
    rest += value
    const parts = rest.split("\n\n")
    rest = parts.pop() ?? ""
    for (const part of parts) {
      const found = /^event: (\w+)\ndata: (.*)$/.exec(part)
      if (found !== null) onMessage(found[1] ?? "", JSON.parse(found[2] ?? "null"))
    }
  }
}

// What is known of the log

const columnsMax = 600

const log = {
  directory: "",
  /** @type {Map<number, Cell>} */
  cells: new Map(),
  /** @type {Array<Column>} */
  columns: [],
  /** @type {any} */
  stats: null,
  isNew: true
}

/** @returns {ReadonlyArray<Cell>} */
const segments = () => [...log.cells.values()].sort((a, b) => a.segmentIndex - b.segmentIndex)

/** @returns {any} */
const recorder = () => log.stats?.source === "recorder" ? log.stats.report : undefined

/** @param {any} message */
const take = (message) => {
  if (log.isNew) {
    log.cells.clear()
    log.columns = []
    log.isNew = false
  }
  log.directory = message.directory
  log.stats = message.stats
  for (const cell of message.cells) log.cells.set(cell.segmentIndex, cell)
  for (const index of message.gone) log.cells.delete(index)
  log.columns.push(...message.columns)
  log.columns.splice(0, log.columns.length - columnsMax)
  drawHealth(message.health)
  drawFigures()
  drawRiver()
  drawHeat()
}

/** @param {"live" | "lost" | "connecting"} state */
const showConnection = (state) => {
  byId("connection").dataset.state = state
  byId("connection").textContent = state === "live"
    ? "live"
    : state === "lost"
    ? "connection lost, trying again"
    : state
}

const retryMillisMax = 8000

const live = async () => {
  let retryMillis = 500
  while (true) {
    try {
      const response = await ask("live")
      log.isNew = true
      await readEvents(response, (name, value) => {
        if (name !== "message") return
        showConnection("live")
        retryMillis = 500
        take(value)
      })
    } catch (error) {
      if (error instanceof Refused) return
    }
    showConnection("lost")
    await new Promise((resolve) => setTimeout(resolve, retryMillis))
    retryMillis = Math.min(retryMillisMax, retryMillis * 2)
  }
}

// Health and figures

/** @param {{ severity: string, texts: ReadonlyArray<string> }} health */
const drawHealth = ({ severity, texts }) => {
  const line = byId("health")
  const text = visible(texts.join(" · ")) + fullWhen()
  // A status that says the same again would be read aloud again.
  if (line.textContent !== text) line.textContent = text
  line.dataset.severity = severity
  byId("directory").textContent = visible(log.directory)
  document.title = `${severity === "ok" ? "" : `${severity}: `}${visible(log.directory)} · effect-wal`
}

/** When the disk is full, if the segments go on to grow as in the last minutes. */
const fullWhen = () => {
  const report = recorder()
  if (report === undefined) return ""
  const { coldBytes, diskFreeBytes, hotBytes } = report.telemetry.gauges
  grown.push([report.uptimeMillis, hotBytes + coldBytes])
  if (grown.length > columnsMax) grown.shift()
  const [fromMillis, fromBytes] = grown[0] ?? [0, 0]
  const millis = report.uptimeMillis - fromMillis
  const bytes = hotBytes + coldBytes - fromBytes
  if (millis < 60_000 || bytes <= 0) return ""
  return ` · full in ${time(diskFreeBytes / (bytes / millis) * 1e6)} at this rate`
}

/** @type {Array<readonly [number, number]>} */
const grown = []

const drawFigures = () => {
  const report = recorder()
  const column = log.columns.at(-1)
  const rate = (/** @type {number} */ value) => column === undefined ? 0 : value / column.seconds
  /** @type {ReadonlyArray<readonly [string, string]>} */
  const figures = report !== undefined
    ? [
      ["events a second", count(rate(column?.events ?? 0))],
      ["written a second", size(rate(column?.bytes ?? 0))],
      ["durable up to", count(report.positions.durable)],
      ["not durable yet", count(report.telemetry.gauges.durableLagEvents)],
      ["hot segments", ofMost(report.telemetry.gauges.hotSegments, report.telemetry.gauges.maxHotSegments)],
      ["cold segments", ofMost(report.telemetry.gauges.coldSegments, report.telemetry.gauges.maxColdSegments)],
      ["on disk", size(report.telemetry.gauges.hotBytes + report.telemetry.gauges.coldBytes)],
      ["disk free", size(report.telemetry.gauges.diskFreeBytes)],
      ["recorder", `process ${report.pid}, up ${time(report.uptimeMillis * 1e6)}`],
      ...(report.maintainer.archive === null ? [] : [
        /** @type {const} */ ([
          "archive",
          `${count(report.maintainer.archive.behindSegments)} segments behind`
        ])
      ])
    ]
    : log.stats === null
    ? []
    : [
      ["recorder", log.stats.report.heldBy === null ? "none" : visible(log.stats.report.heldBy)],
      ["events", `${count(log.stats.report.firstEventId)} to ${count(log.stats.report.lastEventId)}`],
      ["hot segments", count(log.stats.report.hotSegments)],
      ["cold segments", count(log.stats.report.coldSegments)],
      ["on disk", size(log.stats.report.hotBytes + log.stats.report.coldBytes)],
      ["disk free", size(log.stats.report.diskFreeBytes)]
    ]
  byId("figures").replaceChildren(
    ...figures.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))
  )
}

/**
 * @param {number} value
 * @param {number} most
 */
const ofMost = (value, most) => most === 0 ? count(value) : `${count(value)} of ${count(most)}`

// The river

/** Narrower cells are drawn together with their neighbours. */
const narrowest = 3

/** @type {Map<string, any>} */
const drawn = new Map()

/** @type {number | undefined} */
let selected

/** Those that read now, and consumers, read or not: each keeps what it has not read. @returns {ReadonlyArray<Hold>} */
const holds = () => {
  const { durableHolds = [], holds = [] } = recorder()?.maintainer ?? {}
  return [...holds, ...durableHolds.filter((/** @type {Hold} */ { name }) => !name.startsWith("_"))]
}

/** @param {Cell} cell */
const holdersOf = ({ segmentIndex }) =>
  holds().filter((/** @type {Hold} */ hold) => !hold.isExceeded && hold.fromSegmentIndex <= segmentIndex).map((
    /** @type {Hold} */ { name }
  ) => name)

/** The names of the states that a segment is in; the first one is its colour. @param {Cell} cell */
const statesOf = (cell) => {
  const report = recorder()
  const isKnownDamaged = report?.maintainer.damagedSegments.includes(cell.segmentIndex) === true
  const states = cell.state === "damaged" || isKnownDamaged ? ["damaged"] : [cell.isFreezing ? "freezing" : cell.state]
  if (cell.segmentIndex < (report?.maintainer.archive?.archivedBefore ?? 0)) states.push("archived")
  if (holdersOf(cell).length > 0) states.push("held")
  if (cell.segmentIndex < deletingBefore()) states.push("deleting")
  return states
}

/** The oldest segments are deleted first, as many as wait for that. */
const deletingBefore = () => {
  const waiting = recorder()?.telemetry.gauges.freePendingTasks ?? 0
  return waiting === 0 ? -1 : segments()[waiting]?.segmentIndex ?? -1
}

/** The last id of a segment: a recorder tells that of the open one. @param {Cell} cell */
const lastIdOf = (cell) => cell.lastEventId > 0 ? cell.lastEventId : recorder()?.positions.durable ?? 0

/** @param {Cell} cell */
const describe = (cell) => {
  const holders = holdersOf(cell)
  const words = statesOf(cell).map((state) => state === "held" ? `held by ${holders.map(visible).join(", ")}` : state)
  const events = cell.firstEventId === 0
    ? ""
    : `, events ${count(cell.firstEventId)} to ${count(lastIdOf(cell))}`
  return `segment ${cell.segmentIndex}, ${words.join(", ")}, ${size(cell.bytes)}${events}`
}

/**
 * Cells with their places, as shares of the width. Neighbours that are too narrow to be seen become one.
 *
 * @param {ReadonlyArray<Cell>} all
 * @param {number} width
 */
const places = (all, width) => {
  const total = all.reduce((sum, { bytes }) => sum + Math.max(1, bytes), 0)
  /** @type {Array<{ cells: Array<Cell>, from: number, to: number, states: string }>} */
  const found = []
  let done = 0
  for (const cell of all) {
    const from = done / total
    done += Math.max(1, cell.bytes)
    const to = done / total
    const states = statesOf(cell).join(" ")
    const last = found.at(-1)
    if (last !== undefined && last.states === states && (last.to - last.from) * width < narrowest) {
      last.cells.push(cell)
      last.to = to
    } else found.push({ cells: [cell], from, to, states })
  }
  return found
}

const drawRiver = () => {
  const river = byId("river")
  const all = segments()
  const width = river.clientWidth || 1
  const placed = places(all, width)
  const keys = new Set()
  for (const { cells, from, states, to } of placed) {
    const [first] = cells
    if (first === undefined) continue
    const key = String(first.segmentIndex)
    keys.add(key)
    let element = drawn.get(key)
    if (element === undefined) {
      element = make("div", { id: `segment-${key}`, role: "option" }, make("i", { className: "fill" }))
      drawn.set(key, element)
      river.append(element)
    }
    element.className = `cell ${states}`
    element.dataset.index = key
    element.style.left = `${from * 100}%`
    element.style.width = `${(to - from) * 100}%`
    const text = cells.length === 1
      ? describe(first)
      : `segments ${first.segmentIndex} to ${cells.at(-1)?.segmentIndex}, ${states.replaceAll(" ", ", ")}, ${
        size(cells.reduce((sum, { bytes }) => sum + bytes, 0))
      }`
    if (element.title !== text) {
      element.title = text
      element.setAttribute("aria-label", text)
    }
    const isSelected = cells.some(({ segmentIndex }) => segmentIndex === selected)
    element.setAttribute("aria-selected", String(isSelected))
    if (isSelected) river.setAttribute("aria-activedescendant", element.id)
    element.firstChild.style.width = first.state === "open" ? `${filled() * 100}%` : "0"
  }
  for (const [key, element] of drawn) {
    if (keys.has(key)) continue
    drawn.delete(key)
    element.classList.add("gone")
    element.removeAttribute("id")
    element.setAttribute("aria-hidden", "true")
    setTimeout(() => element.remove(), 900)
  }
  drawCarets(placed, width)
  if (selected !== undefined) drawSegment()
}

/** How full the open segment is. */
const filled = () => {
  const arena = recorder()?.arena
  return arena === undefined ? 0.5 : Math.min(1, arena.activeBytes / Math.max(1, arena.slotBytes))
}

/**
 * @param {ReturnType<typeof places>} placed
 * @param {number} width
 */
const drawCarets = (placed, width) => {
  const report = recorder()
  /** @param {number} id */
  const placeOf = (id) => {
    let x = 0
    for (const { cells, from, to } of placed) {
      const first = cells[0]?.firstEventId ?? 0
      const last = cells.at(-1)
      if (first === 0 || last === undefined || id < first) continue
      const end = lastIdOf(last)
      const part = cells.length === 1 && cells[0]?.state === "open" ? filled() : 1
      x = from + (to - from) * part * (id >= end ? 1 : (id - first + 1) / Math.max(1, end - first + 1))
    }
    return x
  }
  /** @param {number} index */
  const startOf = (index) => placed.find(({ cells }) => (cells.at(-1)?.segmentIndex ?? -1) >= index)?.from ?? 1
  /** @type {Array<Caret>} */
  const carets = report === undefined ? [] : [
    { label: `deleted before ${count(report.positions.deletedBefore)}`, x: 0, kind: "deleted" },
    {
      label: `compressed ${count(report.positions.compressed)}`,
      x: placeOf(report.positions.compressed),
      kind: "compressed"
    },
    { label: `durable ${count(report.positions.durable)}`, x: placeOf(report.positions.durable), kind: "durable" },
    ...holds().map(({ eventId, fromSegmentIndex, isExceeded, name }) => ({
      label: `${visible(name)}${eventId === undefined ? "" : ` ${count(eventId)}`}${
        isExceeded ? " (misses events that were deleted)" : ""
      }`,
      x: eventId === undefined ? startOf(fromSegmentIndex) : placeOf(eventId),
      kind: "reader"
    }))
  ]
  const box = byId("carets")
  const rowHeight = 1.15 * Number.parseFloat(getComputedStyle(document.documentElement).fontSize)
  box.style.height = `${(carets.length * rowHeight) + 4}px`
  while (box.children.length > carets.length) box.lastChild.remove()
  carets.forEach(({ kind, label, x }, row) => {
    const caret = box.children[row] ?? box.appendChild(make("div", {}, make("i"), make("span")))
    caret.className = `caret ${kind}${x > 0.6 ? " left" : ""}`
    caret.style.left = `${Math.min(x * 100, 100 - 200 / width)}%`
    caret.style.top = `${row * rowHeight}px`
    caret.children[0].style.height = `${(carets.length - row) * rowHeight + 4}px`
    caret.children[1].textContent = label
  })
}

/** @param {number | undefined} index */
const select = (index) => {
  selected = index
  shownBlocks = undefined
  drawRiver()
}

byId("river").addEventListener("click", (/** @type {any} */ event) => {
  const index = event.target.closest?.(".cell")?.dataset.index
  if (index !== undefined) select(Number(index))
})

byId("river").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  const all = segments()
  const at = all.findIndex(({ segmentIndex }) => segmentIndex === selected)
  const to = {
    ArrowLeft: Math.max(0, at < 0 ? all.length - 1 : at - 1),
    ArrowRight: at + 1,
    Home: 0,
    End: all.length - 1
  }[event.key]
  const cell = to === undefined ? undefined : all[Math.min(to, all.length - 1)]
  if (event.key === "Enter" && selected !== undefined) {
    const id = log.cells.get(selected)?.firstEventId ?? 0
    if (id > 0) showPage(`from=${id}`)
    event.preventDefault()
  }
  if (cell === undefined) return
  event.preventDefault()
  select(cell.segmentIndex)
})

/** @type {{ index: number, blocks: Array<any>, isMore: boolean } | undefined} */
let shownBlocks

/** The text of what was last drawn, so that nothing changes under the keyboard of a person who reads it. */
let segmentDrawn = ""

const drawSegment = () => {
  const box = byId("segment")
  const cell = selected === undefined ? undefined : log.cells.get(selected)
  box.hidden = selected === undefined
  if (cell === undefined) {
    segmentDrawn = ""
    box.replaceChildren(make("p", {}, `Segment ${selected} was deleted, as the limits demand.`))
    return
  }
  const text = JSON.stringify([cell, statesOf(cell), holdersOf(cell), shownBlocks?.blocks.length])
  if (text === segmentDrawn) return
  segmentDrawn = text
  /** @type {ReadonlyArray<readonly [string, string]>} */
  const facts = [
    ["file", visible(cell.file)],
    ["state", statesOf(cell).join(", ")],
    ["size", `${plural(cell.bytes)}`],
    ...(cell.ratio > 1 ? [/** @type {const} */ (["compressed", `${cell.ratio.toFixed(2)} to 1`])] : []),
    ["events", cell.events === 0 ? "-" : count(cell.events)],
    ["ids", cell.firstEventId === 0 ? "-" : `${cell.firstEventId} to ${cell.lastEventId || "…"}`],
    ["created", cell.created || "-"],
    ["closed", cell.closed || "-"],
    ...(holdersOf(cell).length === 0 ? [] : [/** @type {const} */ (["held by", visible(holdersOf(cell).join(", "))])])
  ]
  box.replaceChildren(
    make("h3", {}, `Segment ${cell.segmentIndex}`),
    ...(cell.detail === "" ? [] : [make("p", { className: "fault" }, visible(cell.detail))]),
    make("dl", {}, ...facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))),
    make(
      "div",
      { className: "buttons" },
      make("button", { type: "button", onclick: () => verify(cell.segmentIndex) }, "Verify every byte"),
      make(
        "button",
        { type: "button", onclick: () => moreBlocks(cell.segmentIndex) },
        shownBlocks ? "More blocks" : "Blocks and checksums"
      ),
      ...(cell.firstEventId === 0
        ? []
        : [make("button", { type: "button", onclick: () => showPage(`from=${cell.firstEventId}`) }, "Its events")]),
      copyButton(() => `effect-wal dump --dir ${quoted(log.directory)} --segment ${cell.segmentIndex}`)
    ),
    ...(shownBlocks === undefined ? [] : [blockTable(shownBlocks.blocks)])
  )
}

/** @param {number} index */
const verify = async (index) => {
  toast(`verifying segment ${index}`)
  try {
    const cell = await (await ask(`segments/${index}/verify`, { method: "POST" })).json()
    log.cells.set(index, cell)
    toast(
      cell.state === "damaged" ? `segment ${index} is damaged` : `segment ${index}: every byte is as it was written`
    )
    drawRiver()
  } catch (error) {
    toast(messageOf(error))
  }
}

/** @param {number} index */
const moreBlocks = async (index) => {
  try {
    const before = shownBlocks?.index === index ? shownBlocks.blocks : []
    const found = await (await ask(`segments/${index}/blocks?from=${before.length}&count=100`)).json()
    shownBlocks = { index, blocks: [...before, ...found.blocks], isMore: found.isMore }
    if (before.length > 0 && found.blocks.length === 0) toast("these are all")
    drawSegment()
  } catch (error) {
    toast(messageOf(error))
  }
}

/** @param {ReadonlyArray<any>} blocks */
const blockTable = (blocks) => {
  const names = ["block", "offset", "events", "ids", "bytes", "written", "checksum", "header", "payload"]
  return make(
    "div",
    { className: "scroll", tabIndex: 0, role: "region", "aria-label": "blocks" },
    make(
      "table",
      {},
      make("thead", {}, make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)))),
      make(
        "tbody",
        {},
        ...blocks.map((block) =>
          make(
            "tr",
            { className: block.isHeaderIntact && block.isPayloadIntact ? "" : "bad" },
            ...[
              block.index,
              block.offset,
              block.events,
              `${block.firstEventId} to ${block.lastEventId}`,
              block.payloadBytes,
              block.written ?? "-",
              block.checksum,
              block.isHeaderIntact ? "intact" : "DAMAGED",
              block.isPayloadIntact ? "intact" : "DAMAGED"
            ].map((value) => make("td", {}, String(value)))
          )
        )
      )
    )
  )
}

// The heat maps

/** @type {ReadonlyArray<Operation>} */
const operations = ["commit", "sync", "freeze"]

/** @type {number | undefined} */
let readMillis

const marksHeight = 16

/** Room for the labels of the rows, in sizes of the font. */
const leftOfFont = 5

/** @param {number} height */
const fontSizeOf = (height) => Math.max(10, Math.min(16, height / 16))

/** The whole width is a minute at first, and ten minutes in the end. @param {number} width */
const columnWidthOf = (width) => {
  const seconds = ((log.columns.at(-1)?.atMillis ?? 0) - (log.columns[0]?.atMillis ?? 0)) / 1000
  return Math.max(2, width / ([60, 120, 300].find((span) => seconds < span) ?? columnsMax))
}

/** @param {string} name */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

const drawHeat = () => {
  for (const operation of operations) drawHeatOf(operation)
  byId("failures").replaceChildren(
    ...log.columns.flatMap(({ atMillis, messages }) =>
      messages.map((message) => make("li", {}, `${clock(atMillis)}  ${visible(message)}`))
    ).slice(-5)
  )
  drawReading()
}

/** @param {Operation} operation */
const drawHeatOf = (operation) => {
  const canvas = byId(`heat-${operation}`)
  const { clientHeight: height, clientWidth: width } = canvas
  const scale = globalThis.devicePixelRatio || 1
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale)
    canvas.height = Math.round(height * scale)
  }
  const context = canvas.getContext("2d")
  context.setTransform(scale, 0, 0, scale, 0, 0)
  context.clearRect(0, 0, width, height)
  const fontSize = fontSizeOf(height)
  context.font = `${fontSize}px sans-serif`
  const left = fontSize * leftOfFont
  const bottom = height - marksHeight - fontSize * 1.4
  const columnWidth = columnWidthOf(width - left)
  const shown = log.columns.slice(-Math.floor((width - left) / columnWidth))
  const powers = shown.flatMap((column) => column[operation].map(([power]) => power))
  const low = Math.max(0, Math.min(...powers, 14) - 1)
  const high = Math.max(...powers, 24) + 1
  const rowHeight = bottom / (high - low + 1)
  const most = Math.max(1, ...shown.flatMap((column) => column[operation].map(([, count]) => count)))
  const newest = shown.at(-1)?.atMillis ?? 0
  const heat = colour("--heat")
  /** @param {Column} column */
  const xOf = ({ atMillis }) => width - columnWidth * (1 + Math.round((newest - atMillis) / 1000))

  context.strokeStyle = colour("--line")
  context.strokeRect(left, 0.5, width - left, bottom)
  for (const column of shown) {
    const x = xOf(column)
    if (x < left) continue
    for (const [power, count] of column[operation]) {
      context.fillStyle = `rgba(${heat}, ${0.15 + 0.85 * Math.log1p(count) / Math.log1p(most)})`
      context.fillRect(x, bottom - (power - low + 1) * rowHeight, columnWidth - 0.3, rowHeight - 0.3)
    }
    drawMarks(context, column, x + columnWidth / 2, bottom)
    if (column.atMillis === readMillis) {
      context.strokeStyle = colour("--ink")
      context.strokeRect(x - 0.5, 0.5, columnWidth + 1, bottom)
    }
  }
  context.fillStyle = colour("--soft")
  context.textAlign = "right"
  const every = Math.max(1, Math.ceil(fontSize * 1.3 / rowHeight))
  for (let power = low; power <= high; power += every) {
    context.fillText(time(2 ** power), left - 4, bottom - (power - low) * rowHeight - 2)
  }
  context.textAlign = "left"
  if (shown[0] !== undefined) {
    context.fillText(clock(Math.max(shown[0].atMillis, newest - (width - left) / columnWidth * 1000)), left, height - 3)
  }
  context.textAlign = "right"
  if (newest > 0) context.fillText(`${clock(newest)} UTC`, width - 2, height - 3)
  if (shown.every((column) => column[operation].length === 0)) {
    context.textAlign = "center"
    context.fillText(
      recorder() === undefined ? "no recorder answers" : "none yet",
      left + (width - left) / 2,
      bottom / 2
    )
  }
  canvas.setAttribute("aria-label", `${operation}: ${summary(operation, shown.slice(-60))}, in the last minute`)
}

/**
 * @param {any} context
 * @param {Column} column
 * @param {number} x
 * @param {number} y
 */
const drawMarks = (context, { failures, freezes, rotations }, x, y) => {
  if (rotations > 0) {
    context.fillStyle = colour("--hot")
    context.beginPath()
    context.moveTo(x, y + 1)
    context.lineTo(x + 3, y + 6)
    context.lineTo(x - 3, y + 6)
    context.fill()
  }
  if (freezes > 0) {
    context.fillStyle = colour("--cold")
    context.beginPath()
    context.arc(x, y + 9, 2.5, 0, 7)
    context.fill()
  }
  if (failures > 0) {
    context.fillStyle = colour("--critical")
    context.fillRect(x - 2.5, y + 12, 5, 5)
  }
}

/**
 * @param {Operation} operation
 * @param {ReadonlyArray<Column>} columns
 */
const summary = (operation, columns) => {
  /** @type {Map<number, number>} */
  const counts = new Map()
  for (const column of columns) {
    for (const [power, count] of column[operation]) counts.set(power, (counts.get(power) ?? 0) + count)
  }
  const sorted = [...counts].sort(([a], [b]) => a - b)
  const total = sorted.reduce((sum, [, count]) => sum + count, 0)
  if (total === 0) return "none"
  /** @param {number} share */
  const below = (share) => {
    let seen = 0
    for (const [power, count] of sorted) {
      seen += count
      if (seen >= total * share) return `below ${time(2 ** (power + 1))}`
    }
    return ""
  }
  return `${count(total)} times, half ${below(0.5)}, 99 of 100 ${below(0.99)}`
}

const drawReading = () => {
  const column = log.columns.find(({ atMillis }) => atMillis === readMillis)
  byId("heat-read").textContent = column === undefined ? "" : [
    clock(column.atMillis),
    ...operations.map((operation) => `${operation} ${summary(operation, [column])}`),
    `${count(column.rotations)} rotations`,
    `${count(column.freezes)} freezes`,
    `${count(column.failures)} failures`
  ].join(" · ")
}

byId("heat").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
  if (event.key === "Escape") readMillis = undefined
  else if (step === undefined || log.columns.length === 0) return
  else {
    const at = log.columns.findIndex(({ atMillis }) => atMillis === readMillis)
    const to = at < 0 ? log.columns.length - 1 : at + step
    readMillis = log.columns[Math.max(0, Math.min(log.columns.length - 1, to))]?.atMillis
  }
  event.preventDefault()
  drawHeat()
})

byId("heat").addEventListener("pointermove", (/** @type {any} */ event) => {
  if (event.target.tagName !== "CANVAS") return
  const { clientHeight, clientWidth: width } = event.target
  const left = fontSizeOf(clientHeight) * leftOfFont
  const columnWidth = columnWidthOf(width - left)
  const newest = log.columns.at(-1)?.atMillis ?? 0
  const wanted = newest - 1000 * ((width - event.offsetX) / columnWidth - 0.5)
  const found = log.columns.find(({ atMillis }) => Math.abs(atMillis - wanted) <= 500 + 500 / columnWidth)
  if (found?.atMillis === readMillis) return
  readMillis = found?.atMillis
  drawHeat()
})

byId("heat").addEventListener("pointerleave", () => {
  readMillis = undefined
  drawHeat()
})

// The explorer

const pageCount = 50

/** @type {ReadonlyArray<EventView>} */
let shownEvents = []

/** @param {string} query */
const showPage = async (query) => {
  cancelSearch()
  byId("progress").hidden = true
  byId("copy-search").hidden = true
  note("reading")
  try {
    const page = await (await ask(`events?${query}&count=${pageCount}`)).json()
    shownEvents = page.events
    byId("events").replaceChildren(...page.events.map(eventItem))
    const [first] = page.events
    const text = first === undefined
      ? "no events here"
      : `events ${count(first.id)} to ${count(page.events.at(-1).id)}`
    note(page.fault === null ? text : `${text}: ${visible(page.fault)}`, page.fault !== null)
    if (page.continueAt !== null) {
      byId("events-note").append(
        " ",
        make(
          "button",
          { type: "button", onclick: () => showPage(`from=${page.continueAt}`) },
          `Continue at ${page.continueAt}`
        )
      )
    }
  } catch (error) {
    note(messageOf(error), true)
  }
}

/**
 * @param {string} text
 * @param {boolean} [isFault]
 */
const note = (text, isFault = false) => {
  byId("events-note").textContent = text
  byId("events-note").className = isFault ? "fault" : ""
}

/** @param {unknown} error */
const messageOf = (error) => visible(error instanceof Error ? error.message : String(error))

/** Longer content is shown in parts as hex. */
const hexMax = 64 * 1024

/** @param {EventView} event */
const bytesOf = ({ base64, text }) =>
  text === null
    ? Uint8Array.from(atob(base64 ?? ""), (character) => character.charCodeAt(0))
    : new TextEncoder().encode(text)

/**
 * @param {Uint8Array} bytes
 * @param {number} offset
 */
const hexOf = (bytes, offset) => {
  const lines = []
  for (let at = 0; at < Math.min(bytes.length, hexMax); at += 16) {
    const row = [...bytes.subarray(at, at + 16)]
    const digits = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ")
    const text = row.map((byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".").join("")
    lines.push(`${(offset + at).toString(16).padStart(8, "0")}  ${digits.padEnd(47)}  |${text}|`)
  }
  if (bytes.length > hexMax) lines.push(`… ${count(bytes.length - hexMax)} more bytes; effect-wal dump shows all`)
  return lines.join("\n")
}

/** @param {string} text */
const prettyOf = (text) => {
  try {
    const value = JSON.parse(text)
    return typeof value === "object" && value !== null ? JSON.stringify(value, null, 2) : undefined
  } catch {
    return undefined
  }
}

/** @param {EventView} event */
const eventItem = (event) => {
  let shown = event
  /** @type {"pretty" | "text" | "hex"} */
  let form = event.text === null ? "hex" : "pretty"
  const content = make("pre", { tabIndex: 0, "aria-label": `content of event ${event.id}` })
  const draw = () => {
    const pretty = shown.text === null || shown.isCut ? undefined : prettyOf(shown.text)
    content.className = form === "hex" ? "hex" : ""
    content.textContent = form === "hex"
      ? hexOf(bytesOf(shown), shown.offset)
      : visible(form === "pretty" ? pretty ?? shown.text ?? "" : shown.text ?? "")
    if (shown.isCut) {
      content.textContent = `${shown.offset > 0 ? "…" : ""}${content.textContent}…`
    }
  }
  const toggle = make("button", {
    type: "button",
    onclick: () => {
      form = form === "hex" ? event.text === null ? "hex" : "pretty" : "hex"
      toggle.textContent = form === "hex" ? "Text" : "Hex"
      draw()
    }
  }, "Hex")
  const whole = make("button", {
    type: "button",
    onclick: async () => {
      try {
        shown = await (await ask(`events/${event.id}`)).json()
        whole.remove()
        draw()
      } catch (error) {
        toast(messageOf(error))
      }
    }
  }, `Show all ${size(event.bytes)}`)
  draw()
  return make(
    "li",
    { className: "event", "data-id": String(event.id) },
    make(
      "div",
      { className: "about" },
      make("b", {}, `event ${event.id}`),
      ...(event.time === null ? [] : [make("time", { dateTime: event.time }, event.time)]),
      make("span", {}, plural(event.bytes)),
      ...(event.text === null ? [] : [toggle]),
      ...(event.isCut ? [whole] : []),
      copyButton(() => `effect-wal replay --dir ${quoted(log.directory)} --from ${event.id} --to ${event.id}`)
    ),
    content
  )
}

/** @param {() => string} command */
const copyButton = (command) => make("button", { type: "button", onclick: () => copy(command()) }, "Copy as command")

/** @param {string} text */
const copy = async (text) => {
  try {
    await navigator.clipboard.writeText(text)
    toast(`copied: ${text}`)
  } catch {
    // Without a secure origin a browser gives no clipboard.
    toast(text)
  }
}

let toasts = 0
/** @param {string} text */
const toast = (text) => {
  const box = byId("toast")
  const own = ++toasts
  box.textContent = visible(text)
  box.hidden = false
  setTimeout(() => {
    if (own === toasts) box.hidden = true
  }, 6000)
}

byId("jump").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault()
  const text = byId("jump-text").value.trim()
  if (text === "") return void showPage("from=newest")
  if (/^\d+$/.test(text)) return void showPage(`from=${text}`)
  const millis = Date.parse(/Z|[+-]\d\d:?\d\d$/.test(text) ? text : `${text.replace(" ", "T")}Z`)
  if (Number.isNaN(millis)) return note("give an event id, or a time such as 2026-11-29T10:00:00Z", true)
  void showPage(`time=${encodeURIComponent(new Date(millis).toISOString())}`)
})

byId("newest").addEventListener("click", () => showPage("from=newest"))
byId("older").addEventListener("click", () => {
  const first = shownEvents[0]?.id
  void showPage(first === undefined ? "from=newest" : `from=${Math.max(1, first - pageCount)}`)
})
byId("newer").addEventListener("click", () => {
  const last = shownEvents.at(-1)?.id
  void showPage(last === undefined ? "from=newest" : `from=${last + 1}`)
})
byId("copy-page").addEventListener("click", () => {
  const range = shownEvents.length === 0 ? "" : ` --from ${shownEvents[0]?.id} --to ${shownEvents.at(-1)?.id}`
  void copy(`effect-wal replay --dir ${quoted(log.directory)}${range}`)
})

// Searching

/** @type {AbortController | undefined} */
let searching

const cancelSearch = () => {
  searching?.abort()
  searching = undefined
  byId("search-cancel").hidden = true
}

byId("search-cancel").addEventListener("click", () => {
  if (searching === undefined) return
  cancelSearch()
  byId("progress-text").textContent += " · cancelled"
})

byId("search").addEventListener("submit", async (/** @type {Event} */ event) => {
  event.preventDefault()
  cancelSearch()
  const own = new AbortController()
  searching = own
  const query = new URLSearchParams({
    text: byId("search-text").value,
    kind: byId("search-kind").value,
    ...(byId("search-case").checked ? { case: "ignore" } : {})
  })
  const list = byId("events")
  list.replaceChildren()
  shownEvents = []
  let found = 0
  note("")
  byId("search-cancel").hidden = false
  byId("copy-search").hidden = byId("search-kind").value !== "text"
  byId("progress").hidden = false
  byId("progress-bar").value = 0
  byId("progress-text").textContent = "searching"
  let progress = { readBytes: 0, totalBytes: 0 }
  const tell = (/** @type {string} */ end) => {
    byId("progress-bar").value = progress.totalBytes === 0 ? 1 : progress.readBytes / progress.totalBytes
    byId("progress-text").textContent = `${size(progress.readBytes)} of ${size(progress.totalBytes)} read, ${
      count(found)
    } found${end}`
  }
  try {
    await readEvents(await ask(`search?${query}`, { signal: own.signal }), (name, message) => {
      if (own.signal.aborted) return
      if (name === "failed") note(visible(message.error), true)
      else if (message._tag === "Progress") {
        progress = message
        tell("")
      } else if (message._tag === "Found") {
        found += message.events.length
        list.append(...message.events.map(eventItem))
        shownEvents = [...message.events, ...shownEvents].sort((a, b) => a.id - b.id)
        tell("")
      } else if (message._tag === "Damaged") {
        note(`segment ${message.segmentIndex} cannot be searched to its end: ${visible(message.message)}`, true)
      } else tell(message.isMore ? " · there may be more; narrow the search" : " · done")
    })
  } catch (error) {
    if (!own.signal.aborted) note(messageOf(error), true)
  }
  if (searching === own) cancelSearch()
})

byId("copy-search").addEventListener("click", () => {
  const text = byId("search-text").value
  void copy(
    `effect-wal grep --dir ${quoted(log.directory)} --fixed${byId("search-case").checked ? " --ignore-case" : ""} -- ${
      quoted(text)
    }`
  )
})

// The theme, the token, the start

const themes = ["system", "dark", "light"]
const isDark = matchMedia("(prefers-color-scheme: dark)")
let theme = localStorage.getItem("effect-wal theme") ?? "system"

const showTheme = () => {
  document.documentElement.dataset.theme = theme === "system" ? isDark.matches ? "dark" : "light" : theme
  byId("theme").textContent = `Theme: ${theme}`
  if (!log.isNew) drawHeat()
}

byId("theme").addEventListener("click", () => {
  theme = themes[(themes.indexOf(theme) + 1) % themes.length] ?? "system"
  localStorage.setItem("effect-wal theme", theme)
  showTheme()
})
isDark.addEventListener("change", showTheme)
showTheme()

byId("token").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault()
  token = byId("token-text").value
  sessionStorage.setItem(tokenKey, token)
  byId("token").hidden = true
  byId("main").hidden = false
  begin()
})

let resizing = 0
addEventListener("resize", () => {
  cancelAnimationFrame(resizing)
  resizing = requestAnimationFrame(() => {
    drawRiver()
    drawHeat()
  })
})

const begin = () => {
  void live()
  void showPage("from=newest")
}
begin()
