/** The usual length of segments. Apart from the other options, because the help of the command names it. */

/** The payload of a segment: 16 MiB. */
export const segmentBytesDefault = 16 * 1024 * 1024
