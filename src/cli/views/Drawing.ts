/** Small drawings of characters: how full something is, and how something was in the last minute. */

const heights = "▁▂▃▄▅▆▇█"

/** Draws values as columns, the newest on the right, as high as they are compared with the highest. */
export const sparkline = (values: ReadonlyArray<number>): string => {
  const highest = Math.max(...values, 0)
  return values.map((value) => {
    const height = highest === 0 ? 0 : Math.ceil(value / highest * heights.length) - 1
    return heights[Math.max(0, height)] ?? ""
  }).join("")
}

/** Draws how full something is: `███░░░░░`. More than full is full, and what is not empty shows. */
export const bar = (part: number, whole: number, width = 10): string => {
  const full = whole <= 0 ? 0 : Math.min(width, Math.max(part > 0 ? 1 : 0, Math.round(part / whole * width)))
  return "█".repeat(full) + "░".repeat(width - full)
}
