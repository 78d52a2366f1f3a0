/**
 * The state of the simulated disk: a tree of directories, its files, the space that they use, and the effect of a crash
 * on all of it. It is synchronous and uses no Effect. A method that can fail as on a real disk returns the reason.
 *
 * Changes to directories are kept in one list, in the order in which they were made, until a sync of their directory
 * makes them durable. At a crash each of them survives or not, under one rule: a change survives only if all earlier
 * unsynced changes to the same names survived. So a name never loses its file to a change that, on a real disk, could
 * only follow a lost one. And a rename, which is one change to two names, happens completely or not at all. A failed
 * sync of the directory draws the same for its changes, and forgets those that did not survive.
 */
import type { DirectoryEntry, OpenMode } from "../disk/Disk.ts"
import type { DiskReason } from "../disk/DiskReason.ts"
import { invariant } from "../internal/invariant.ts"
import type { SeededRandom } from "./SeededRandom.ts"
import { SimulatedFile } from "./SimulatedFile.ts"

/** A directory: the names that readers see, and those that are stored. */
class SimulatedDirectory {
  readonly kind = "directory"
  readonly number: number
  modifiedMillis: number
  /** Counts the syncs of the directory that failed. */
  failedSyncs = 0
  visible = new Map<string, SimulatedNode>()
  readonly stored = new Map<string, SimulatedNode>()

  constructor(number: number, modifiedMillis: number) {
    this.number = number
    this.modifiedMillis = modifiedMillis
  }
}

/** The file or directory to which a name refers. */
export type SimulatedNode = SimulatedFile | SimulatedDirectory

interface Place {
  readonly directory: SimulatedDirectory
  readonly name: string
}

/** The names as one create, unlink, makeDirectory, removeDirectory (one name) or rename (two names) leaves them. */
type NameChange = ReadonlyArray<Place & { readonly node: SimulatedNode | undefined }>

/** The tree of directories and files, with the changes that a crash may lose. */
export class SimulatedStorage {
  capacityBytes: number
  usedBytes = 0
  readonly #random: SeededRandom
  readonly #root = new SimulatedDirectory(1, 0)
  #nodes = 1
  #unsynced: Array<NameChange> = []
  /** Where each node is stored: under one name. */
  readonly #storedAt = new Map<SimulatedNode, Place>()

  constructor(random: SeededRandom, capacityBytes: number) {
    this.#random = random
    this.capacityBytes = capacityBytes
  }

  get freeBytes(): number {
    return Math.max(0, this.capacityBytes - this.usedBytes)
  }

  find(path: string): SimulatedNode | DiskReason["_tag"] {
    let node: SimulatedNode = this.#root
    for (const name of namesOf(path)) {
      if (node.kind === "file") return "NotDirectory"
      const next: SimulatedNode | undefined = node.visible.get(name)
      if (next === undefined) return "NotFound"
      node = next
    }
    return node
  }

  open(path: string, mode: OpenMode, nowMillis: number): SimulatedFile | DiskReason["_tag"] {
    const place = this.#placeOf(path)
    if (typeof place === "string") return place
    let node = place.directory.visible.get(place.name)
    if (mode === "create") {
      if (node !== undefined) return "Exists"
      if (this.freeBytes === 0) return "Full"
      node = new SimulatedFile(++this.#nodes, nowMillis)
      this.#change([{ ...place, node }], nowMillis)
    }
    if (node === undefined) return "NotFound"
    if (node.kind === "directory") return "IsDirectory"
    node.openHandles++
    return node
  }

  close(file: SimulatedFile): void {
    file.openHandles--
    this.#giveBack(file)
  }

  /** Writes, and returns the number of bytes written: fewer than `bytesMax` if the space ends. */
  write(
    file: SimulatedFile,
    chunks: ReadonlyArray<Uint8Array>,
    offset: number,
    bytesMax: number,
    nowMillis: number
  ): number | DiskReason["_tag"] {
    const usedBefore = file.usedBytes
    const room = usedBefore + this.freeBytes - offset
    if (room < 1) return "Full"
    const bytes = Math.min(bytesMax, room)
    file.write(chunks, offset, bytes)
    file.modifiedMillis = nowMillis
    this.usedBytes += file.usedBytes - usedBefore
    return bytes
  }

  truncate(file: SimulatedFile, length: number, nowMillis: number): void {
    const usedBefore = file.usedBytes
    file.truncate(length)
    file.modifiedMillis = nowMillis
    this.usedBytes += file.usedBytes - usedBefore
  }

  /** Lists the names, in any order. */
  list(path: string): Array<DirectoryEntry> | DiskReason["_tag"] {
    const directory = this.#directoryOf(path)
    if (typeof directory === "string") return directory
    const entries = Array.from(directory.visible, ([name, node]): DirectoryEntry => ({ name, kind: node.kind }))
    return this.#random.shuffle(entries)
  }

  rename(from: string, to: string, nowMillis: number): undefined | DiskReason["_tag"] {
    const source = this.#placeOf(from)
    if (typeof source === "string") return source
    const target = this.#placeOf(to)
    if (typeof target === "string") return target
    const node = source.directory.visible.get(source.name)
    if (node === undefined) return "NotFound"
    const replaced = target.directory.visible.get(target.name)
    if (replaced === node) return undefined
    if (replaced !== undefined) {
      if (node.kind === "file" && replaced.kind === "directory") return "IsDirectory"
      if (node.kind === "directory" && replaced.kind === "file") return "NotDirectory"
      if (replaced.kind === "directory" && replaced.visible.size > 0) return "Exists"
    }
    if (node.kind === "directory" && this.#isWithin(target.directory, node)) return "Io"
    this.#change([{ ...source, node: undefined }, { ...target, node }], nowMillis)
    if (replaced?.kind === "file") this.#unname(replaced)
    return undefined
  }

  unlink(path: string, nowMillis: number): undefined | DiskReason["_tag"] {
    const place = this.#placeOf(path)
    if (typeof place === "string") return place
    const node = place.directory.visible.get(place.name)
    if (node === undefined) return "NotFound"
    if (node.kind === "directory") return "IsDirectory"
    this.#change([{ ...place, node: undefined }], nowMillis)
    this.#unname(node)
    return undefined
  }

  makeDirectory(path: string, nowMillis: number): undefined | DiskReason["_tag"] {
    let directory = this.#root
    for (const name of namesOf(path)) {
      let next = directory.visible.get(name)
      if (next === undefined) {
        if (this.freeBytes === 0) return "Full"
        next = new SimulatedDirectory(++this.#nodes, nowMillis)
        this.#change([{ directory, name, node: next }], nowMillis)
      }
      if (next.kind === "file") return "NotDirectory"
      directory = next
    }
    return undefined
  }

  removeDirectory(path: string, nowMillis: number): undefined | DiskReason["_tag"] {
    const place = this.#placeOf(path)
    if (typeof place === "string") return place
    const node = place.directory.visible.get(place.name)
    if (node === undefined) return "NotFound"
    if (node.kind === "file") return "NotDirectory"
    if (node.visible.size > 0) return "Exists"
    this.#change([{ ...place, node: undefined }], nowMillis)
    return undefined
  }

  /** Counts the syncs of this directory that have failed; undefined if there is no such directory. */
  failedSyncs(path: string): number | undefined {
    const directory = this.#directoryOf(path)
    return typeof directory === "string" ? undefined : directory.failedSyncs
  }

  /**
   * Makes the changes of a directory durable. A rename between two directories becomes durable with either of them,
   * together with the earlier changes on which it depends. If other syncs have failed than the `failedBefore` that were
   * known when the directory was opened, this one fails, too.
   */
  syncDirectory(path: string, failedBefore: number | undefined): undefined | DiskReason["_tag"] {
    const directory = this.#directoryOf(path)
    if (typeof directory === "string") return directory
    if (directory.failedSyncs !== failedBefore) return "Io"
    const durable = this.#changesOf(directory)
    for (const change of this.#unsynced) if (durable.has(change)) this.#store(change)
    this.#unsynced = this.#unsynced.filter((change) => !durable.has(change))
    return undefined
  }

  /**
   * Applies a failed sync of a directory: some of its changes may have reached the device, the others never will. All
   * are marked clean: readers still see them until the crash, and the next sync skips them.
   */
  loseUnsynced(path: string): void {
    const directory = this.#directoryOf(path)
    if (typeof directory === "string") return
    directory.failedSyncs++
    const clean = this.#changesOf(directory)
    this.#storeSome(this.#unsynced.filter((change) => clean.has(change)))
    this.#unsynced = this.#unsynced.filter((change) => !clean.has(change))
  }

  /** The unsynced changes of a directory, and the earlier ones on which they depend. */
  #changesOf(directory: SimulatedDirectory): ReadonlySet<NameChange> {
    const needed = new Names()
    const durable = new Set<NameChange>()
    for (const change of this.#unsynced.toReversed()) {
      if (change.some((part) => part.directory === directory) || needed.hasAnyOf(change)) {
        needed.add(change)
        durable.add(change)
      }
    }
    return durable
  }

  /** Stores some of these changes: each with those on which it depends, or not at all. */
  #storeSome(changes: ReadonlyArray<NameChange>): void {
    const fate = this.#random.below(4)
    const lost = new Names()
    for (const change of changes) {
      const survives = fate === 0 || (fate !== 1 && this.#random.chance(0.5))
      if (survives && !lost.hasAnyOf(change)) this.#store(change)
      else lost.add(change)
    }
  }

  /** A file or directory that gets a name on the device loses the one that it had there. */
  #store(change: NameChange): void {
    for (const { directory, name, node } of change) {
      if (node !== undefined) {
        const before = this.#storedAt.get(node)
        if (before !== undefined && before.directory.stored.get(before.name) === node) {
          before.directory.stored.delete(before.name)
        }
        this.#storedAt.set(node, { directory, name })
      }
      assign(directory.stored, name, node)
    }
  }

  /** Turns the power off and on: only what the device has is left. */
  crash(): void {
    this.#storeSome(this.#unsynced)
    this.#unsynced = []
    this.usedBytes = 0
    this.#recover(this.#root, new Set())
  }

  #recover(directory: SimulatedDirectory, seen: Set<SimulatedNode>): void {
    directory.visible = new Map(directory.stored)
    for (const node of directory.stored.values()) {
      invariant(!seen.has(node), "one name stands for a file after a crash")
      seen.add(node)
      if (node.kind === "directory") this.#recover(node, seen)
      else {
        node.crash(this.#random)
        this.usedBytes += node.usedBytes
      }
    }
  }

  /** Gives every file with the bytes that a reader would see now. */
  files(): ReadonlyMap<string, Uint8Array> {
    const found = new Map<string, Uint8Array>()
    const visit = (directory: SimulatedDirectory, path: string) => {
      for (const [name, node] of directory.visible) {
        if (node.kind === "directory") visit(node, `${path}/${name}`)
        else found.set(`${path}/${name}`, node.visible.view.slice())
      }
    }
    visit(this.#root, "")
    return found
  }

  #directoryOf(path: string): SimulatedDirectory | DiskReason["_tag"] {
    const node = this.find(path)
    return typeof node === "string" ? node : node.kind === "directory" ? node : "NotDirectory"
  }

  #placeOf(path: string): Place | DiskReason["_tag"] {
    const names = namesOf(path)
    const name = names.pop()
    if (name === undefined) return "IsDirectory"
    let directory: SimulatedNode = this.#root
    for (const part of names) {
      const next: SimulatedNode | undefined = directory.visible.get(part)
      if (next === undefined) return "NotFound"
      if (next.kind === "file") return "NotDirectory"
      directory = next
    }
    return { directory, name }
  }

  #change(change: NameChange, nowMillis: number): void {
    for (const { directory, name, node } of change) {
      assign(directory.visible, name, node)
      directory.modifiedMillis = nowMillis
    }
    this.#unsynced.push(change)
  }

  #unname(file: SimulatedFile): void {
    file.isNamed = false
    this.#giveBack(file)
  }

  /** Frees the space of a file that has no name and no open handle any more. */
  #giveBack(file: SimulatedFile): void {
    if (file.isNamed || file.openHandles > 0) return
    this.usedBytes -= file.usedBytes
  }

  #isWithin(directory: SimulatedDirectory, outer: SimulatedDirectory): boolean {
    if (directory === outer) return true
    for (const node of outer.visible.values()) {
      if (node.kind === "directory" && this.#isWithin(directory, node)) return true
    }
    return false
  }
}

/** A set of names in their directories. */
class Names {
  readonly #names = new Set<string>()
  hasAnyOf(change: NameChange): boolean {
    return change.some(({ directory, name }) => this.#names.has(`${directory.number}/${name}`))
  }
  add(change: NameChange): void {
    for (const { directory, name } of change) this.#names.add(`${directory.number}/${name}`)
  }
}

const assign = (names: Map<string, SimulatedNode>, name: string, node: SimulatedNode | undefined): void => {
  if (node === undefined) names.delete(name)
  else names.set(name, node)
}

/** Splits a path into the names from the root; a relative path starts at the root, too. */
const namesOf = (path: string): Array<string> => {
  const names: Array<string> = []
  for (const name of path.split("/")) {
    if (name === "..") names.pop()
    else if (name !== "" && name !== ".") names.push(name)
  }
  return names
}
