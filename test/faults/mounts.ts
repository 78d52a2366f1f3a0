/**
 * Small file systems of our own to be filled and broken. Each is unmounted and removed when the work is over, also when it
 * fails.
 */
import { execFileSync } from "node:child_process"
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, statfsSync, truncateSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export type FileSystem = "tmpfs" | "ext4"

const command = (program: string, ...args: ReadonlyArray<string>): void => {
  execFileSync(program, args, { stdio: ["ignore", "ignore", "pipe"] })
}

/**
 * Waits until nothing uses the file system any more. A mount namespace that another test made meanwhile has it mounted
 * too, and as long as it does, mounting again gives back the one that was there before.
 */
const awaitDetached = (image: string): void => {
  for (let tries = 0; tries < 200; tries++) {
    if (execFileSync("losetup", ["--associated", image], { encoding: "utf8" }) === "") return
    command("sleep", "0.1")
  }
  throw new Error(`${image} is still mounted in another mount namespace`)
}

/** A file system that is mounted at `path`. */
export interface Mount {
  readonly path: string
  /** `mount -o remount,OPTION`. */
  readonly remount: (option: string) => void
  /** Unmounts, has the file system checked and repaired, and mounts it again: what a restart of the machine does. */
  readonly restart: () => void
}

/** Mounts a fresh file system of 8 MiB (tmpfs) or 16 MiB (ext4 on a loop device), for as long as the work lasts. */
export const withMount = async <A>(kind: FileSystem, work: (mount: Mount) => Promise<A>): Promise<A> => {
  const root = mkdtempSync(join(tmpdir(), `effect-wal-${kind}-`))
  const path = join(root, "mount")
  const image = join(root, "image")
  mkdirSync(path)
  const mountImage = () => command("mount", "-o", "loop", image, path)
  let isMounted = false
  try {
    if (kind === "tmpfs") command("mount", "-t", "tmpfs", "-o", "size=8m", "effect-wal-faults", path)
    else {
      closeSync(openSync(image, "w"))
      truncateSync(image, 16 * 1024 * 1024)
      command("mkfs.ext4", "-q", "-F", "-m", "0", image)
      mountImage()
    }
    isMounted = true
    return await work({
      path,
      remount: (option) => command("mount", "-o", `remount,${option}`, path),
      restart: () => {
        command("umount", path)
        isMounted = false
        awaitDetached(image)
        try {
          command("e2fsck", "-f", "-p", image)
        } catch (error) {
          // 1: errors were found and corrected.
          if (!(error instanceof Error && "status" in error && error.status === 1)) throw error
        }
        mountImage()
        isMounted = true
      }
    })
  } finally {
    if (isMounted) command("umount", "--lazy", path)
    rmSync(root, { recursive: true })
  }
}

/** Why such a file system cannot be mounted here; empty when it can. */
export const mountMissing = async (kind: FileSystem): Promise<string> => {
  if (process.platform !== "linux") return "mounting needs Linux"
  if (process.getuid?.() !== 0) return "mounting needs root"
  try {
    await withMount(kind, () => Promise.resolve())
    return ""
  } catch (error) {
    return `${kind} cannot be mounted here: ${error instanceof Error ? error.message.trim() : String(error)}`
  }
}

/** Writes a file until only so many bytes are free; returns its path. Removing it makes room again. */
export const fillUntil = (mountPath: string, bytesLeft: number): string => {
  const path = join(mountPath, "filler")
  const file = openSync(path, "w")
  const piece = Buffer.alloc(16 * 1024, 1)
  try {
    for (;;) {
      const { bavail, bsize } = statfsSync(mountPath)
      const excess = bavail * bsize - bytesLeft
      if (excess <= 0) return path
      writeSync(file, piece, 0, Math.min(piece.length, excess))
    }
  } finally {
    closeSync(file)
  }
}
