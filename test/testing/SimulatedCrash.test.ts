/**
 * Random work on the simulated disk, then a crash, checked against a model that is independent of the simulation. The
 * model knows, for every byte, length and name, the values that the device may have. A crash may show any of these and
 * no others.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { DiskFile } from "../../src/disk/Disk.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { playSample, samples } from "../samples.ts"

const only = <A>(value: A): Set<A> => new Set([value])

/** What the device may have of one file, and the changes since then that may or may not have reached it. */
class FileModel {
  visible: Array<number> = []
  #bytes: Array<Set<number>> = []
  #lengths = only(0)
  #changes: Array<(length: number) => number> = []
  #touched = new Map<number, Set<number>>()

  write(bytes: Uint8Array, offset: number): void {
    this.#extend(offset)
    bytes.forEach((byte, index) => this.#touch(offset + index, byte))
    this.#changes.push((length) => Math.max(length, offset + bytes.length))
  }

  truncate(length: number): void {
    for (let position = length; position < this.visible.length; position++) this.#touch(position, 0)
    this.visible.length = Math.min(this.visible.length, length)
    this.#extend(length)
    this.#changes.push(() => length)
  }

  synced(): void {
    for (const position of this.#touched.keys()) this.#bytes[position] = only(this.visible[position] ?? 0)
    this.#lengths = new Set(
      [...this.#lengths].map((length) => this.#changes.reduce((now, change) => change(now), length))
    )
    this.#settled()
  }

  syncFailed(): void {
    this.#bytes = this.#bytesPossible()
    this.#lengths = this.#lengthsPossible()
    this.#settled()
  }

  /** Checks what the device shows after a power failure. */
  crashed(content: Uint8Array, words: string): void {
    assert.isTrue(this.#lengthsPossible().has(content.length), `${words}: length ${content.length}`)
    const possible = this.#bytesPossible()
    content.forEach((byte, position) => {
      const values = possible[position] ?? only(0)
      if (!values.has(byte)) assert.fail(`${words}: byte ${position} is ${byte}, not one of ${[...values].join()}`)
    })
    this.visible = [...content]
    this.#bytes = this.visible.map(only)
    this.#lengths = only(content.length)
    this.#settled()
  }

  /** Zeros that were not written: where a failed sync lost a truncation, the device may show older bytes instead. */
  #extend(length: number): void {
    while (this.visible.length < length) this.visible.push(0)
  }

  #touch(position: number, byte: number): void {
    this.visible[position] = byte
    const values = this.#touched.get(position) ?? new Set()
    this.#touched.set(position, values.add(byte))
  }

  #settled(): void {
    this.#changes = []
    this.#touched.clear()
  }

  #bytesPossible(): Array<Set<number>> {
    const possible = this.#bytes.slice()
    for (const [position, values] of this.#touched) {
      // A byte that never reached the device shows as a zero, if the length reached it without the bytes.
      possible[position] = new Set([...possible[position] ?? only(0), ...values])
    }
    return possible
  }

  #lengthsPossible(): Set<number> {
    const possible = new Set(this.#lengths)
    for (const start of this.#lengths) {
      let length = start
      for (const change of this.#changes) possible.add(length = change(length))
    }
    return possible
  }
}

/** The files to which a name may refer: its file at the last sync of the directory, or at any time since. */
class NamesModel {
  readonly now = new Map<string, string>()
  #possible = new Map<string, Set<string | undefined>>()

  set(name: string, identity: string | undefined): void {
    this.#possible.set(name, (this.#possible.get(name) ?? only(this.now.get(name))).add(identity))
    if (identity === undefined) this.now.delete(name)
    else this.now.set(name, identity)
  }

  synced(): void {
    this.#possible.clear()
  }

  crashed(found: ReadonlyMap<string, string>, words: string): void {
    for (const name of new Set([...found.keys(), ...this.now.keys(), ...this.#possible.keys()])) {
      const possible = this.#possible.get(name) ?? only(this.now.get(name))
      assert.isTrue(possible.has(found.get(name)), `${words}: name ${name}`)
    }
    assert.strictEqual(new Set(found.values()).size, found.size, `${words}: one name for each file`)
    this.now.clear()
    for (const [name, identity] of found) this.now.set(name, identity)
    this.#possible.clear()
  }
}

const names = ["a", "b", "c", "d", "e"]

interface Seen {
  lostBytes: number
  lostNames: number
}

/**
 * Runs one life of a disk with several crashes. `seen` counts what the crashes did, so that a test can check that they
 * did something.
 */
const life = Effect.fnUntraced(function*(seed: number, seen: Seen) {
  const random = new SeededRandom(seed)
  const simulated = yield* SimulatedDisk.make({ seed: seed * 7 + 1, logLength: 200 })
  const { disk } = simulated
  const files = new Map<string, FileModel>()
  const directory = new NamesModel()
  let open = new Map<string, DiskFile>()
  let value = 0

  for (let crash = 0; crash < 3; crash++) {
    for (let round = random.below(60); round > 0; round--) {
      const name = names[random.below(names.length)]!
      const path = `/${name}`
      const identity = directory.now.get(name)
      if (identity === undefined) {
        const file = yield* disk.open(path, "create")
        const created = (yield* file.stat).identity
        directory.set(name, created)
        files.set(created, new FileModel())
        open.set(created, file)
        continue
      }
      const model = files.get(identity)!
      const file = open.get(identity) ?? (yield* disk.open(path, "write"))
      open.set(identity, file)
      const action = random.below(12)
      if (action < 5) {
        value = value % 255 + 1
        const bytes = new Uint8Array(1 + random.below(1500)).fill(value)
        const offset = random.below(Math.min(model.visible.length + 200, 3000))
        yield* file.write([bytes], offset)
        model.write(bytes, offset)
      } else if (action === 5) {
        const length = random.below(2000)
        yield* file.truncate(length)
        model.truncate(length)
      } else if (action < 8) {
        if (random.chance(0.3)) yield* simulated.failNext("sync", "Io")
        if (Result.isSuccess(yield* Effect.result(file.sync))) model.synced()
        else model.syncFailed()
      } else if (action === 8) {
        yield* disk.unlink(path)
        directory.set(name, undefined)
      } else if (action < 11) {
        const target = names[random.below(names.length)]!
        yield* disk.rename(path, `/${target}`)
        if (target !== name) {
          directory.set(name, undefined)
          directory.set(target, identity)
        }
      } else {
        yield* disk.syncDirectory("/")
        directory.synced()
      }
      const target = new Uint8Array(5000)
      const count = yield* file.read(target, 0)
      const isSeen = Buffer.from(model.visible).equals(target.subarray(0, count))
      if (!isSeen) assert.fail(`seed ${seed}: a read does not show what was written`)
    }

    const before = new Map(directory.now)
    yield* simulated.crash
    const words = `seed ${seed}, crash ${crash}`
    const found = new Map<string, string>()
    for (const { name } of yield* disk.list("/")) found.set(name, (yield* disk.stat(`/${name}`)).identity)
    directory.crashed(found, words)
    if ([...before].some(([name, identity]) => found.get(name) !== identity)) seen.lostNames++
    const contents = yield* simulated.files
    for (const [name, identity] of found) {
      const content = contents.get(`/${name}`)!
      const model = files.get(identity)!
      if (content.join() !== model.visible.join()) seen.lostBytes++
      model.crashed(content, `${words}, file ${name}`)
    }
    open = new Map()
  }
})

describe("a crash of the simulated disk", () => {
  it("keeps every byte and name that was synced, and invents nothing", async ({ annotate }) => {
    const seen: Seen = { lostBytes: 0, lostNames: 0 }
    const lives = await playSample("simulatedCrashes", annotate, (seed) => Effect.runPromise(life(seed, seen)))
    if (lives < samples.simulatedCrashes.atLeast) return
    assert.isAbove(seen.lostBytes, lives * 0.8)
    assert.isAbove(seen.lostNames, lives * 0.8)
  })
})
