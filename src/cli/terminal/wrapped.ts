/** Breaks lines for a terminal, which would break them anywhere itself. */

/** How many characters a terminal shows: what switches colours takes no room. */
const shownLength = (text: string): number => plainOf(text).length

// oxlint-disable-next-line no-control-regex -- that is what switches colours
const plainOf = (text: string): string => text.replaceAll(/\u001b\[[\d;]*m/g, "")

/** What a line begins with: its indent, and a label with the gap after it. */
const labelOf = (line: string): { readonly indent: string; readonly label: string } => {
  const [label = "", indent = ""] = /^( *)\S(?:.*?\S)? {2,}(?=\S)/.exec(line) ?? []
  return { indent, label }
}

/**
 * Breaks a line at its spaces into lines of at most so many characters, so that no number and no word is cut. What is
 * longer than a line has no place to break, and stays whole. A continued line begins below what its line says; after a
 * label that takes most of the width it begins a new line.
 */
export const wrapped = (line: string, columns: number): ReadonlyArray<string> => {
  if (shownLength(line) <= columns) return [line]
  const { indent: before, label } = labelOf(line)
  const isLong = shownLength(label) > columns / 2
  const indent = " ".repeat(label === "" || isLong ? before.length + 2 : shownLength(label))
  const lines: Array<string> = isLong ? [label.trimEnd()] : []
  let rest = isLong ? indent + line.slice(label.length) : line
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
