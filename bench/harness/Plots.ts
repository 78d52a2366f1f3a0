/** Two kinds of plot, drawn as SVG by hand: bars, and lines over an axis. */
import { formatNumber } from "./Print.ts"

/** effect-wal is always the first of these; limits and peers are the others. */
const own = "#1f5fbf"
const others = "#9aa7b8"
const lineColours = ["#1f5fbf", "#12a2b8", "#111827", "#9a6b00", "#117a3d", "#b3261e", "#7a3fb5", "#6b7280", "#d1568f"]
const width = 760

export const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\"", "&quot;")

const frame = (title: string, height: number, content: string): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" ` +
  `font-family="system-ui, sans-serif" font-size="12"><title>${escape(title)}</title>` +
  `<rect width="${width}" height="${height}" fill="#fff"/>` +
  `<text x="10" y="20" font-size="14" fill="#1c2430">${escape(title)}</text>${content}</svg>\n`

const text = (x: number, y: number, anchor: "start" | "middle" | "end", label: string): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" fill="#1c2430">${escape(label)}</text>`

/** A bar for each name; who failed has a word instead. */
export const barsPlot = (
  title: string,
  bars: ReadonlyArray<{ readonly name: string; readonly value: number; readonly failed: boolean }>
): string => {
  const rowHeight = 22
  const left = 290
  const room = width - left - 80
  const values = bars.filter(({ failed }) => !failed).map(({ value }) => value)
  const most = Math.max(...values)
  const least = Math.min(...values)
  // On a log axis a bar begins a little below the smallest value, so that every bar can be seen.
  const isLog = most / least > 30
  const lengthOf = (value: number): number =>
    isLog ? Math.log(value / least * 1.5) / Math.log(most / least * 1.5) * room : value / most * room
  const rows = bars.map(({ failed, name, value }, i) => {
    const y = 36 + i * rowHeight
    const label = text(left - 8, y + 14, "end", name)
    if (failed) return label + text(left + 4, y + 14, "start", "did not run")
    const length = Math.max(1, lengthOf(value))
    const colour = /^effect-wal|^TaskRing|segments/.test(name) ? own : others
    return `${label}<rect x="${left}" y="${y + 3}" width="${length.toFixed(1)}" height="${
      rowHeight - 6
    }" fill="${colour}"/>` +
      text(left + length + 6, y + 14, "start", formatNumber(value))
  })
  return frame(isLog ? `${title} (log axis)` : title, 46 + bars.length * rowHeight, rows.join(""))
}

export interface Line {
  readonly name: string
  readonly points: ReadonlyArray<{ readonly x: number; readonly y: number }>
}

/** Lines over labelled places of the x axis; the y axis is linear from 0, or goes by powers of ten. */
export const linesPlot = (
  title: string,
  lines: ReadonlyArray<Line>,
  ticks: ReadonlyArray<{ readonly x: number; readonly label: string }>,
  scale: "linear" | "log"
): string => {
  const left = 70
  const right = 210
  const top = 40
  const plotHeight = 280
  const all = lines.flatMap(({ points }) => points).filter(({ y }) => y > 0)
  const mostX = Math.max(...all.map(({ x }) => x), ...ticks.map(({ x }) => x), 1e-9)
  const mostY = Math.max(...all.map(({ y }) => y))
  const leastY = Math.min(...all.map(({ y }) => y))
  const low = scale === "log" ? Math.floor(Math.log10(leastY)) : 0
  const high = scale === "log" ? Math.max(low + 1, Math.ceil(Math.log10(mostY))) : mostY * 1.05
  const xAt = (x: number): number => left + x / mostX * (width - left - right)
  const yAt = (y: number): number =>
    top + plotHeight - ((scale === "log" ? Math.log10(y) : y) - low) / (high - low) * plotHeight
  const marks = scale === "log"
    ? Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i))
    : [0, 0.25, 0.5, 0.75, 1].map((part) => part * mostY)
  const grid = marks.map((y) =>
    `<line x1="${left}" x2="${width - right}" y1="${yAt(y).toFixed(1)}" y2="${yAt(y).toFixed(1)}" stroke="#e3e7ee"/>` +
    text(left - 8, yAt(y) + 4, "end", formatNumber(y))
  )
  const axis = ticks.map(({ label, x }) => text(xAt(x), top + plotHeight + 18, "middle", label))
  const drawn = lines.map(({ name, points }, i) => {
    const colour = lineColours[i % lineColours.length]!
    const path = points.filter(({ y }) => y > 0).map(({ x, y }) => `${xAt(x).toFixed(1)},${yAt(y).toFixed(1)}`).join(
      " "
    )
    const y = top + 10 + i * 18
    return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>` +
      `<rect x="${width - right + 14}" y="${y - 9}" width="10" height="10" fill="${colour}"/>` +
      text(width - right + 30, y, "start", name)
  })
  return frame(title, top + plotHeight + 34, [...grid, ...axis, ...drawn].join(""))
}
