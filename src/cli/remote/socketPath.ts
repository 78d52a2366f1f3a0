/** What is wrong with the path of a Unix socket before anybody uses it. */

/** The longest path that a socket can have on every system: macOS has room for 103 bytes, Linux for 107. */
const pathBytesMax = 103

/** Tells that the path is too long for a socket; `undefined` when it is not. Longer ones would be cut off. */
export const socketPathFault = (path: string): string | undefined => {
  const bytes = Buffer.byteLength(path)
  return bytes <= pathBytesMax
    ? undefined
    : `its path has ${bytes} bytes, and that of a socket has ${pathBytesMax} at most`
}
