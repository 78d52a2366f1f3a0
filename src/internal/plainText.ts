/**
 * The one function through which text from outside (names of files, answers of other processes, messages of the system)
 * goes before it reaches a terminal or a line of a log.
 */

/**
 * What controls a terminal (C0, DEL, C1), begins a line (also U+2028 and U+2029), or changes the direction of text
 * around it.
 */
// oxlint-disable-next-line no-control-regex -- finding them is the purpose
const controls = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/** The text with every character that is not just shown in the notation of JSON: `\u001b`. It stays one line. */
export const plainText = (text: string): string =>
  text.replace(controls, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)
