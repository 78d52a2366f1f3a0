/** Formats numbers for people. */

const thousands = new Intl.NumberFormat("en-US")

/** Formats a whole number with separators: `1,234,567`. */
export const count = (value: number): string => thousands.format(value)
