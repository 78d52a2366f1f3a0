/**
 * Defines everything that is counted, as data. From this one table follow the layout, the merging of writers, the dump,
 * and the exported names with their help texts.
 */

/** The unit of a value. `ns` and `ms` become seconds for monitoring systems, which expect base units. */
export type Unit = "" | "ns" | "ms" | "bytes" | "percent"

/**
 * How the values of several writers are merged: `sum` for counters, and for gauges of which every writer has its own
 * part; `min` and `max` for extremes; `max` also for gauges that any writer may set for all writers.
 */
export type Merge = "sum" | "min" | "max"

/** A field of a group, before it has a place. */
interface FieldDefinition {
  /** The last part of the exported name, after the group's `exported`. */
  readonly exported: string
  readonly unit: Unit
  readonly merge: Merge
  readonly help: string
  /** 8 by default. */
  readonly bytes?: 4
  /** Labels in addition to the group's. */
  readonly labels?: Readonly<Record<string, string>>
}

const lifecycleFields = {
  cycles: { exported: "cycles", unit: "", merge: "sum", help: "Cycles of the maintainer's loop." },
  didWork: { exported: "did_work_total", unit: "", merge: "sum", help: "Cycles that found something to do." },
  cycleNanos: {
    exported: "total_cycle_time_ns",
    unit: "ns",
    merge: "sum",
    help: "Time spent in cycles, sleep included."
  },
  activeNanos: {
    exported: "total_active_time_ns",
    unit: "ns",
    merge: "sum",
    help: "Time spent in cycles that did work, sleep excluded."
  },
  lastSleepMillis: {
    exported: "last_sleep_ms",
    unit: "ms",
    merge: "max",
    help: "The sleep at the end of the last cycle.",
    bytes: 4
  }
} as const satisfies Record<string, FieldDefinition>

const operationFields = {
  totalNanos: { exported: "total_ns", unit: "ns", merge: "sum", help: "time spent, failures included." },
  samples: { exported: "samples_total", unit: "", merge: "sum", help: "times it ran." },
  success: { exported: "success_total", unit: "", merge: "sum", help: "times it succeeded." },
  minNanos: { exported: "min_ns", unit: "ns", merge: "min", help: "the shortest run." },
  maxNanos: { exported: "max_ns", unit: "ns", merge: "max", help: "the longest run." }
} as const satisfies Record<string, FieldDefinition>

/**
 * The definition of an operation: the beginning of its exported names, the part of the recorder that runs it, and the
 * beginning of its fields' help texts.
 */
interface OperationDefinition {
  readonly exported: string
  readonly subsystem: Subsystem
  readonly help: string
  /** The group whose sequence word guards this one, if one call changes both. By default each group has its own. */
  readonly guardedBy?: "lifecycle"
}

/** The value of the label `subsystem`: the maintainer's worker or the recorder that the application calls. */
export type Subsystem = "wal_persistence_worker" | "wal_recorder"

/** Lists the timed operations, in the order of the layout. Each has five totals and a latency histogram. */
export const operations = {
  retention: {
    exported: "maintenance_retention",
    subsystem: "wal_persistence_worker",
    help: "Freezing a hot segment (flush, compression and removal)"
  },
  compression: {
    exported: "maintenance_compression",
    subsystem: "wal_persistence_worker",
    help: "Compressing a hot segment"
  },
  deletion: {
    exported: "maintenance_deletion",
    subsystem: "wal_persistence_worker",
    help: "Freeing a cold segment"
  },
  iteration: {
    exported: "persistence_iteration",
    subsystem: "wal_persistence_worker",
    help: "A cycle of the maintainer's loop without its sleep",
    guardedBy: "lifecycle"
  },
  persist: {
    exported: "persistence_persist",
    subsystem: "wal_persistence_worker",
    help: "Persisting a rotated segment"
  },
  flush: {
    exported: "persistence_flush",
    subsystem: "wal_persistence_worker",
    help: "Making events durable (write and fdatasync)"
  },
  sync: { exported: "persistence_sync", subsystem: "wal_persistence_worker", help: "fdatasync alone" },
  append: { exported: "recorder_append", subsystem: "wal_recorder", help: "Appending an event (a sample of them)" },
  rotation: { exported: "recorder_rotation", subsystem: "wal_recorder", help: "Rotating to the next segment" },
  commit: {
    exported: "recorder_commit",
    subsystem: "wal_recorder",
    help: "Waiting until appended events are durable"
  },
  archival: {
    exported: "maintenance_archival",
    subsystem: "wal_persistence_worker",
    help: "Archiving a closed segment (upload and proof)"
  }
} as const satisfies Record<string, OperationDefinition>

/** The name of a timed operation. */
export type OperationName = keyof typeof operations

const limitFields = {
  maxHotSegments: {
    exported: "max_hot_segments",
    unit: "",
    merge: "max",
    help: "Configured limit of hot segments."
  },
  maxColdSegments: {
    exported: "max_cold_segments",
    unit: "",
    merge: "max",
    help: "Configured limit of cold segments."
  }
} as const satisfies Record<string, FieldDefinition>

const trafficFields = {
  bytesWritten: {
    exported: "written_bytes_total",
    unit: "bytes",
    merge: "sum",
    help: "Bytes written to hot segments, headers and padding included."
  },
  eventsWritten: { exported: "written_events_total", unit: "", merge: "sum", help: "Events written to hot segments." },
  eventsDropped: {
    exported: "dropped_events_total",
    unit: "",
    merge: "sum",
    help: "New events dropped because no slot was free; their appends failed."
  },
  eventsRefused: {
    exported: "refused_events_total",
    unit: "",
    merge: "sum",
    help: "Appends that failed for another reason; nothing was written."
  },
  compressionBytesIn: {
    exported: "compression_input_bytes_total",
    unit: "bytes",
    merge: "sum",
    help: "Bytes of hot segments that were compressed."
  },
  compressionBytesOut: {
    exported: "compression_output_bytes_total",
    unit: "bytes",
    merge: "sum",
    help: "Bytes of the cold segments they became."
  },
  restarts: { exported: "restarts_total", unit: "", merge: "sum", help: "Times the maintainer was started again." },
  clockJumps: { exported: "clock_jumps_total", unit: "", merge: "sum", help: "Times the wall clock was set." },
  segmentsQuarantined: {
    exported: "quarantined_segments_total",
    unit: "",
    merge: "sum",
    help: "Damaged segments that were moved to quarantine."
  }
} as const satisfies Record<string, FieldDefinition>

const storeRequests = (op: string): FieldDefinition => ({
  exported: "requests_total",
  unit: "",
  merge: "sum",
  help: "Requests to the object store, failed ones too.",
  labels: { op }
})

const storeFields = {
  storePuts: storeRequests("put"),
  storeGets: storeRequests("get"),
  storeHeads: storeRequests("head"),
  storeRemovals: storeRequests("remove"),
  storeBytesSent: {
    exported: "sent_bytes_total",
    unit: "bytes",
    merge: "sum",
    help: "Bytes of objects that were sent to the object store."
  },
  storeBytesReceived: {
    exported: "received_bytes_total",
    unit: "bytes",
    merge: "sum",
    help: "Bytes of objects that were received from the object store."
  },
  segmentsFreedUnarchived: {
    exported: "freed_unarchived_segments_total",
    unit: "",
    merge: "sum",
    help: "Segments that were deleted although they were not archived."
  }
} as const satisfies Record<string, FieldDefinition>

const missedFields = {
  consumerSegmentsMissed: {
    exported: "consumer_missed_segments_total",
    unit: "",
    merge: "sum",
    help: "Segments that were deleted before a consumer had read them."
  }
} as const satisfies Record<string, FieldDefinition>

/** The name of a counter, a value that only grows. */
export type CounterName = keyof typeof trafficFields | keyof typeof storeFields | keyof typeof missedFields

/** Lists the reasons why an operation of the maintainer or the recorder fails. */
export const failureReasons = [
  "NotFound",
  "DiskFull",
  "Denied",
  "SyncFailed",
  "WriteFailed",
  "ReadFailed",
  "NameFailed",
  "CompressFailed",
  "VerifyFailed",
  "Corrupt",
  "Io"
] as const

/** One of {@link failureReasons}. */
export type FailureReason = typeof failureReasons[number]

const failureFields = Object.fromEntries(failureReasons.map((reason) => [reason, {
  exported: "failures_total",
  unit: "",
  merge: "sum",
  help: "Failures by reason.",
  labels: { reason }
}])) as unknown as Readonly<Record<FailureReason, FieldDefinition>>

const pendingTasks = (ring: string): FieldDefinition => ({
  exported: "pending_tasks",
  unit: "",
  merge: "sum",
  help: "Tasks waiting in a ring.",
  labels: { ring }
})
const pendingBytes = (ring: string): FieldDefinition => ({
  exported: "pending_bytes",
  unit: "bytes",
  merge: "sum",
  help: "Bytes of the segments that wait in a ring.",
  labels: { ring }
})
const oldestPendingMillis = (ring: string): FieldDefinition => ({
  exported: "oldest_pending_age_ms",
  unit: "ms",
  merge: "max",
  help: "Age of the oldest task that waits in a ring.",
  labels: { ring }
})

const ringFields = {
  persistPendingTasks: pendingTasks("persist"),
  persistPendingBytes: pendingBytes("persist"),
  persistOldestPendingMillis: oldestPendingMillis("persist"),
  freezePendingTasks: pendingTasks("freeze"),
  freezePendingBytes: pendingBytes("freeze"),
  freezeOldestPendingMillis: oldestPendingMillis("freeze"),
  freePendingTasks: pendingTasks("free"),
  freePendingBytes: pendingBytes("free"),
  freeOldestPendingMillis: oldestPendingMillis("free")
} as const satisfies Record<string, FieldDefinition>

const durabilityFields = {
  durableLagEvents: {
    exported: "durable_lag_events",
    unit: "",
    merge: "max",
    help: "Events that are appended but not durable."
  },
  durableLagMillis: {
    exported: "durable_lag_ms",
    unit: "ms",
    merge: "max",
    help: "Age of the oldest event that is not durable."
  },
  heldBackMillis: {
    exported: "held_back_ms",
    unit: "ms",
    merge: "max",
    help: "How long appended events could not be made durable; 0 when they can."
  },
  nextTryMillis: {
    exported: "next_try_ms",
    unit: "ms",
    merge: "max",
    help: "Time until it is tried again to make events durable; 0 when it waits for something else, or for nothing."
  }
} as const satisfies Record<string, FieldDefinition>

const damageFields = {
  damagedSegments: {
    exported: "damaged_segments",
    unit: "",
    merge: "max",
    help: "Damaged hot segments that still stand; nothing newer is deleted."
  },
  acknowledgedHoles: {
    exported: "acknowledged_holes",
    unit: "",
    merge: "max",
    help: "Places in the log where events are lost, which is acknowledged."
  }
} as const satisfies Record<string, FieldDefinition>

const segmentFields = {
  hotSegments: { exported: "hot_segments", unit: "", merge: "max", help: "Hot segments on disk." },
  hotBytes: { exported: "hot_bytes", unit: "bytes", merge: "max", help: "Bytes of the hot segments on disk." },
  coldSegments: { exported: "cold_segments", unit: "", merge: "max", help: "Cold segments on disk." },
  coldBytes: { exported: "cold_bytes", unit: "bytes", merge: "max", help: "Bytes of the cold segments on disk." },
  diskFreeBytes: {
    exported: "disk_free_bytes",
    unit: "bytes",
    merge: "max",
    help: "Bytes still free on the file system of the recorder's directory."
  }
} as const satisfies Record<string, FieldDefinition>

const archiveFields = {
  archiveBehindSegments: {
    exported: "behind_segments",
    unit: "",
    merge: "max",
    help: "Closed segments that are not archived."
  },
  archiveBehindBytes: {
    exported: "behind_bytes",
    unit: "bytes",
    merge: "max",
    help: "Bytes of the closed segments that are not archived."
  },
  archiveBehindMillis: {
    exported: "behind_ms",
    unit: "ms",
    merge: "max",
    help: "Age of the oldest closed segment that is not archived."
  }
} as const satisfies Record<string, FieldDefinition>

const consumerFields = {
  consumers: {
    exported: "consumers",
    unit: "",
    merge: "max",
    help: "Consumers with a position, whether they read or not."
  },
  consumerLagEvents: {
    exported: "consumer_lag_events",
    unit: "",
    merge: "max",
    help: "Durable events that the consumer furthest behind has not done."
  },
  consumerLagBytes: {
    exported: "consumer_lag_bytes",
    unit: "bytes",
    merge: "max",
    help: "Bytes of the closed segments that are kept for the consumer furthest behind."
  },
  consumerLagMillis: {
    exported: "consumer_lag_ms",
    unit: "ms",
    merge: "max",
    help: "Age of the oldest durable event that a consumer has not done."
  }
} as const satisfies Record<string, FieldDefinition>

/** The name of a gauge, a value that is set and stays until it is set again. */
export type GaugeName =
  | keyof typeof limitFields
  | keyof typeof ringFields
  | keyof typeof durabilityFields
  | keyof typeof damageFields
  | keyof typeof segmentFields
  | keyof typeof archiveFields
  | keyof typeof consumerFields

/** The name of a field of the loop's lifecycle. */
export type LifecycleName = keyof typeof lifecycleFields

/** The kind of a group's fields. */
export type GroupKind = "lifecycle" | "operation" | "counters" | "failures" | "gauges"

const worker: Subsystem = "wal_persistence_worker"
/** Lists the names of the operations, in the order of the layout. */
export const operationNames = Object.keys(operations) as ReadonlyArray<OperationName>

const operationGroup = (name: OperationName): GroupDefinition => {
  const { exported, guardedBy, help, subsystem }: OperationDefinition = operations[name]
  const fields: Record<string, FieldDefinition> = {}
  for (const [field, definition] of Object.entries(operationFields)) {
    fields[field] = { ...definition, help: `${help}: ${definition.help}` }
  }
  return { name, kind: "operation", subsystem, exported: `${exported}_`, fields, guardedBy }
}

/** A group of fields that are changed and read together, before it has a place. */
export interface GroupDefinition {
  readonly name: string
  readonly kind: GroupKind
  readonly subsystem: Subsystem
  /** The beginning of the exported name of each field. */
  readonly exported: string
  readonly fields: Readonly<Record<string, FieldDefinition>>
  readonly guardedBy?: "lifecycle" | undefined
}

/** The first three operations are those of maintenance. The limits follow them, and then all other groups. */
const maintenanceOperations = 3

/** Lists every group, in the order of the layout. */
export const definitions: ReadonlyArray<GroupDefinition> = [
  {
    name: "lifecycle",
    kind: "lifecycle",
    subsystem: worker,
    exported: "persistence_lifecycle_",
    fields: lifecycleFields
  },
  ...operationNames.slice(0, maintenanceOperations).map(operationGroup),
  { name: "limits", kind: "gauges", subsystem: worker, exported: "persistence_", fields: limitFields },
  ...operationNames.slice(maintenanceOperations).map(operationGroup),
  { name: "traffic", kind: "counters", subsystem: worker, exported: "", fields: trafficFields },
  { name: "failures", kind: "failures", subsystem: worker, exported: "", fields: failureFields },
  { name: "rings", kind: "gauges", subsystem: worker, exported: "", fields: ringFields },
  { name: "durability", kind: "gauges", subsystem: worker, exported: "", fields: durabilityFields },
  { name: "damage", kind: "gauges", subsystem: worker, exported: "", fields: damageFields },
  { name: "segments", kind: "gauges", subsystem: worker, exported: "", fields: segmentFields },
  { name: "store", kind: "counters", subsystem: worker, exported: "archive_", fields: storeFields },
  { name: "archive", kind: "gauges", subsystem: worker, exported: "archive_", fields: archiveFields },
  { name: "missed", kind: "counters", subsystem: worker, exported: "", fields: missedFields },
  { name: "consumers", kind: "gauges", subsystem: worker, exported: "", fields: consumerFields }
]
