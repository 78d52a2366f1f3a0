/** Breaks lines for a terminal, which would break them anywhere itself. */

/** How many characters a terminal shows: what switches colours takes no room. */
const shownLength = (text: string): number => plainOf(text).length

// oxlint-disable-next-line no-control-regex -- that is what switches colours
const plainOf = (text: string): string => text.replaceAll(/\u001b\[[\d;]*m/g, "")

/** A continued line begins below what its line says, unless its label takes most of the width. */
const indentOf = (line: string, columns: number): number => {
  const [label = "", before = ""] = /^( *)\S(?:.*?\S)? {2,}(?=\S)/.exec(plainOf(line)) ?? []
  return label.length > 0 && label.length <= columns / 2 ? label.length : before.length + 2
}

/**
 * Breaks a line at its spaces into lines of at most so many characters, so that no number and no word is cut. What is
 * longer than a line has no place to break, and stays whole.
 */
export const wrapped = (line: string, columns: number): ReadonlyArray<string> => {
  if (shownLength(line) <= columns) return [line]
  const indent = " ".repeat(indentOf(line, columns))
  const lines: Array<string> = []
  let rest = line
  while (shownLength(rest) > columns) {
    const at = breakOf(rest, columns)
    if (at === rest.length) break
    lines.push(rest.slice(0, at).trimEnd())
    rest = indent + rest.slice(at).trimStart()
  }
  return [...lines, rest]
}

/** Where a line breaks: at the last space that fits, otherwise at the first; not between a number and its unit. */
const breakOf = (line: string, columns: number): number => {
  const places = [...line.matchAll(/(?<!\d) +(?=\S)|(?<=\d) +(?![\p{L}%]|\d)/gu)].map(({ index }) => index)
    .filter((at) => plainOf(line.slice(0, at)).trim() !== "")
  return places.findLast((at) => shownLength(line.slice(0, at)) <= columns) ?? places[0] ?? line.length
}
