/**
 * The structure of the house: which room may know which, no two files in a circle, nothing exported in vain. Each rule
 * is also seen to fail, on the real sources with one planted mistake.
 */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, normalize, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")

/** Files by their paths from the root of the project on, with their texts. */
type Texts = ReadonlyMap<string, string>

const textsOf = (folders: ReadonlyArray<string>): Texts =>
  new Map(
    folders.flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
        .filter((name) => /\.(ts|mjs)$/.test(name) && !name.includes("node_modules"))
        .map((name) => [`${folder}/${name}`, readFileSync(join(root, folder, name), "utf8")] as const)
    )
  )

const source = textsOf(["src"])
const users = textsOf(["test", "bench", "examples"])

/**
 * The rooms of a floor, each with the files and rooms in it, from the foundation up: a file imports from its own room
 * and from rooms before it. `.` stands for the files that lie in the floor itself and are not named.
 */
const orders: Readonly<Record<string, ReadonlyArray<string>>> = {
  "src": [
    "internal",
    "format",
    "shared",
    "telemetry",
    "disk",
    "store",
    "s3",
    "testing",
    "reading",
    "maintainer",
    "recorder",
    "state",
    "cluster-storage",
    "queue",
    "kvs",
    "buffer",
    "eventlog",
    "many",
    "archive",
    "failover",
    "report",
    "console",
    "rpc",
    "cluster",
    "promise",
    "cli",
    // The modules that users import, one for each subpath of the package.
    ".",
    "index.ts"
  ],
  "src/format": ["lz4", "."],
  "src/reading": ["segment", ".", "recovery"],
  "src/maintainer": [
    "compressor",
    "Compressor.ts",
    "steps",
    "persist",
    "executor",
    "threads",
    "retention",
    "directory",
    "."
  ],
  "src/recorder": ["EventUndecodable.ts", "LogEvent.ts", "consumer", ".", "monitor"],
  "src/archive": ["ArchiveReason.ts", "ArchiveError.ts", "tail", "."],
  "src/cli": [
    "outputs",
    "terminal",
    "flags",
    "stores",
    "views",
    "events",
    "remote",
    "doctor",
    "verifying",
    "running",
    "commands",
    "."
  ]
}

/** The files that note the wall clock's time, for people and for other programs. */
const stampMakers: ReadonlyArray<string> = [
  "src/cli/doctor/HostFacts.ts",
  "src/cli/running/inspect.ts",
  "src/console/Watch.ts",
  "src/disk/LockSocket.ts",
  "src/maintainer/MaintainerService.ts",
  "src/maintainer/StepSpans.ts",
  "src/maintainer/executor/MaintainerExecutor.ts",
  "src/maintainer/persist/Persister.ts",
  "src/maintainer/persist/SegmentFlusher.ts",
  // Where the store's time begins after a restart; it never goes back behind the last event.
  "src/queue/WalQueue.ts",
  "src/reading/recovery/Quarantine.ts",
  "src/reading/recovery/Recovery.ts",
  // Compares a stamp with it: whether a segment is continued. Nothing is deleted for that.
  "src/recorder/ContinuedSegment.ts",
  "src/recorder/Recorder.ts",
  "src/recorder/monitor/MonitorReport.ts",
  "src/report/DirectoryReport.ts",
  // The time in the signature of a request.
  "src/s3/S3Client.ts",
  "src/testing/SimulatedDisk.ts",
  "src/testing/SimulatedStore.ts"
]

/** Without comments: examples in docstrings import too. */
const codeOf = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "")

const specifiersOf = (text: string): Array<string> =>
  [...codeOf(text).matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].flatMap((match) => match[1] ?? [])

/** The files of the project that a file imports, types included. */
const importsOf = (file: string, text: string): Array<string> =>
  specifiersOf(text).filter((name) => name.startsWith(".")).map((name) => normalize(join(dirname(file), name)))

/** The place of a file in the order of a floor. */
const placeOf = (floor: string, order: ReadonlyArray<string>, file: string): number => {
  const [room = ""] = file.slice(floor.length + 1).split("/")
  const named = order.indexOf(room)
  return named >= 0 || !room.endsWith(".ts") ? named : order.indexOf(".")
}

const climbing = (texts: Texts): Array<string> =>
  Object.entries(orders).flatMap(([floor, order]) =>
    [...texts].filter(([file]) => file.startsWith(`${floor}/`)).flatMap(([file, text]) => {
      const from = placeOf(floor, order, file)
      if (from < 0) return [`${file} lies in a room that the order of ${floor} does not name`]
      return importsOf(file, text)
        .filter((target) => target.startsWith(`${floor}/`) && placeOf(floor, order, target) > from)
        .map((target) => `${file} imports ${target}`)
    })
  )

/** Every group of files that can be reached from each other, by Tarjan's algorithm. */
const circles = (texts: Texts): Array<Array<string>> => {
  const found: Array<Array<string>> = []
  const index = new Map<string, number>()
  const low = new Map<string, number>()
  const path: Array<string> = []
  const visit = (file: string): number => {
    const own = index.size
    index.set(file, own)
    path.push(file)
    let least = own
    for (const target of importsOf(file, texts.get(file) ?? "")) {
      if (!texts.has(target)) continue
      if (target === file) found.push([file])
      else if (!index.has(target)) least = Math.min(least, visit(target))
      else if (path.includes(target)) least = Math.min(least, low.get(target) ?? own, index.get(target) ?? own)
      low.set(file, least)
    }
    low.set(file, least)
    if (least === own) {
      const group = path.splice(path.indexOf(file))
      if (group.length > 1) found.push(group.toSorted())
    }
    return least
  }
  for (const file of texts.keys()) if (!index.has(file)) visit(file)
  return found
}

/** The modules that a user can import: those of the entries, and those that an entry exports as a whole. */
const publicModules = (texts: Texts): ReadonlySet<string> => {
  const found = new Set<string>()
  const add = (file: string): void => {
    if (found.has(file)) return
    found.add(file)
    for (const [, imported = ""] of codeOf(texts.get(file) ?? "").matchAll(/^export \* (?:as \w+ )?from "([^"]+)"/gm)) {
      add(normalize(join(dirname(file), imported)))
    }
  }
  for (const file of texts.keys()) if (/(^|\/)index\.ts$/.test(file)) add(file)
  return found
}

/** The names that the modules of a project import from a module, or take from its namespace. */
const usedNames = (all: Texts): ReadonlyMap<string, ReadonlySet<string>> => {
  const used = new Map<string, Set<string>>()
  const use = (module: string, name: string): void => {
    if (!used.has(module)) used.set(module, new Set())
    used.get(module)?.add(name)
  }
  const statements = /(?:import|export) (?:type )?(?:\* as (\w+)|\{([^}]*)\}) from "(\.[^"]+)"/g
  for (const [file, text] of all) {
    const code = codeOf(text)
    for (const [, namespace, names, specifier = ""] of code.matchAll(statements)) {
      const module = normalize(join(dirname(file), specifier))
      for (const name of names?.split(",") ?? []) {
        const [imported = ""] = name.trim().replace(/^type /, "").split(" as ")
        if (imported !== "") use(module, imported)
      }
      if (namespace === undefined) continue
      for (const [, name = ""] of code.matchAll(new RegExp(`\\b${namespace}\\s*\\.(\\w+)`, "g"))) use(module, name)
      // `const program: typeof Program = …` and `const { Output }: typeof StandardStreams = …`, of what is built.
      for (
        const [, variable, names] of code.matchAll(new RegExp(`(?:(\\w+)|\\{([^{}]*)\\}): typeof ${namespace}\\b`, "g"))
      ) {
        for (const name of names?.split(",") ?? []) use(module, name.trim())
        if (variable === undefined) continue
        for (const [, name = ""] of code.matchAll(new RegExp(`\\b${variable}\\.(\\w+)`, "g"))) use(module, name)
      }
    }
    // Of a module that is loaded later, what is used is what its loader names.
    for (const [, specifier = ""] of code.matchAll(/import\("(\.[^"]+)"\)/g)) {
      for (const [name] of code.matchAll(/\w+/g)) use(normalize(join(dirname(file), specifier)), name)
    }
  }
  return used
}

const exportedInVain = (texts: Texts, others: Texts): Array<string> => {
  const open = publicModules(texts)
  const used = usedNames(new Map([...texts, ...others]))
  return [...texts].filter(([file]) => !open.has(file)).flatMap(([file, text]) =>
    [
      ...codeOf(text).matchAll(
        /^export (?:default |declare |abstract |async )*(?:const|function\*?|class|interface|type|enum) (\w+)/gm
      )
    ].flatMap(([, name = ""]) => {
      const names = used.get(file)
      return names?.has(name) === true ? [] : [`${file}: ${name}`]
    })
  )
}

/** The sources with a mistake planted: what is given is added at the end of a file. */
const planted = (file: string, text: string): Texts => {
  assert.isTrue(source.has(file), `${file} is there to be spoilt`)
  return new Map([...source, [file, `${source.get(file)}${text}\n`]])
}

describe("the house", () => {
  it("is walked in one direction: a file imports from its own room and from rooms before it", () => {
    assert.deepStrictEqual(climbing(source), [])
    assert.include(
      climbing(planted("src/maintainer/retention/Retention.ts", "import \"../Drain.ts\"")),
      "src/maintainer/retention/Retention.ts imports src/maintainer/Drain.ts"
    )
    assert.include(
      climbing(planted("src/disk/Disk.ts", "import type { Wal } from \"../recorder/Wal.ts\"")),
      "src/disk/Disk.ts imports src/recorder/Wal.ts"
    )
  })

  it("has no circle of files, types included, in a room either", () => {
    assert.deepStrictEqual(circles(source), [])
    const inOneRoom = planted("src/disk/Disk.ts", "import type { NodeDisk } from \"./NodeDisk.ts\"")
    assert.isTrue(circles(inOneRoom).some((circle) => circle.includes("src/disk/NodeDisk.ts")))
  })

  it("exports nothing that no other file uses, what users can import aside", () => {
    assert.deepStrictEqual(exportedInVain(source, users), [])
    assert.deepStrictEqual(exportedInVain(planted("src/disk/CopyFile.ts", "export const inVain = 1"), users), [
      "src/disk/CopyFile.ts: inVain"
    ])
  })

  it("reaches the file system from src/disk alone; beside it a thread looks up its number in /proc", () => {
    const doors = [...source].filter(([, text]) =>
      specifiersOf(text).some((name) => /^(node:)?fs(\/promises)?$/.test(name))
    )
    assert.deepStrictEqual(doors.map(([file]) => file).filter((file) => !file.startsWith("src/disk/")), [
      "src/maintainer/compressor/threadPriority.ts"
    ])
  })

  it("reads the wall clock only for stamps; what is measured, due or old follows elapsed time", () => {
    const readers = (texts: Texts) =>
      [...texts].filter(([, text]) => /currentTime(Millis|Nanos)|Date\.now|new Date\(\)/.test(codeOf(text)))
        .map(([file]) => file).toSorted()
    assert.deepStrictEqual(readers(source), stampMakers)
    const spoilt = planted("src/maintainer/Drain.ts", "const begun = Date.now()")
    assert.deepStrictEqual(readers(spoilt), ["src/maintainer/Drain.ts", ...stampMakers].toSorted())
  })

  it("has front doors that only re-export, and the command line is behind none of them", () => {
    const entries = [
      "archive/index.ts",
      "buffer/index.ts",
      "cluster-storage/index.ts",
      "cluster/index.ts",
      "console/index.ts",
      "eventlog/index.ts",
      "failover/index.ts",
      "index.ts",
      "kvs/index.ts",
      "many/index.ts",
      "promise/index.ts",
      "queue/index.ts",
      "rpc/index.ts",
      "s3/index.ts",
      "state/index.ts",
      "testing/index.ts"
    ]
    for (const entry of entries.map((entry) => `src/${entry}`)) {
      const code = codeOf(source.get(entry) ?? "")
      assert.isFalse(code.includes("/cli/"))
      const statements = code.replace(/\{[^}]*\}/g, "{}").split("\n").filter((line) => line.trim() !== "")
      assert.isAbove(statements.length, 0, entry)
      assert.deepStrictEqual(statements.filter((line) => !line.startsWith("export ")), [], entry)
    }
  })
})
