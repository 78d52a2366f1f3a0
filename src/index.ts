/**
 * A write-ahead-log recorder for Effect. Start with {@link Wal}: one layer from one set of options. {@link Recorder}
 * appends and commits, {@link Replay} reads back, {@link SegmentMaintainer} does the slow work in the background. Tests
 * of an application find a simulated disk in `effect-wal/testing`.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category recording */
export * as Wal from "./Wal.ts"
/** @since 0.1.0 @category recording */
export * as WalConfig from "./WalConfig.ts"
/** @since 0.1.0 @category recording */
export * as Recorder from "./Recorder.ts"
/** @since 0.1.0 @category recording */
export * as SegmentWriter from "./SegmentWriter.ts"
/** @since 0.1.0 @category recording */
export * as ThreadAppender from "./ThreadAppender.ts"
/** @since 0.1.0 @category recording */
export * as Monitor from "./Monitor.ts"

/** @since 0.1.0 @category reading */
export * as Replay from "./Replay.ts"
/** @since 0.1.0 @category reading */
export * as Verify from "./Verify.ts"
/** @since 0.1.0 @category reading */
export * as Repair from "./Repair.ts"
/** @since 0.1.0 @category reading */
export * as Backup from "./Backup.ts"

/** @since 0.1.0 @category maintenance */
export * as SegmentMaintainer from "./SegmentMaintainer.ts"
/** @since 0.1.0 @category maintenance */
export * as SegmentMaintainerWorker from "./SegmentMaintainerWorker.ts"
/** @since 0.1.0 @category maintenance */
export * as Retention from "./Retention.ts"
/** @since 0.1.0 @category maintenance */
export * as Compressor from "./Compressor.ts"
/** @since 0.1.0 @category maintenance */
export * as SegmentProof from "./SegmentProof.ts"

/** @since 0.1.0 @category telemetry */
export * as Telemetry from "./Telemetry.ts"
/** @since 0.1.0 @category telemetry */
export * as TelemetryExport from "./TelemetryExport.ts"

/** @since 0.1.0 @category shared memory */
export * as SegmentArena from "./SegmentArena.ts"
/** @since 0.1.0 @category shared memory */
export * as SegmentQueues from "./SegmentQueues.ts"
/** @since 0.1.0 @category shared memory */
export * as TaskQueue from "./TaskQueue.ts"

/** @since 0.1.0 @category disk */
export * as Disk from "./Disk.ts"
/** @since 0.1.0 @category disk */
export * as NodeDisk from "./NodeDisk.ts"

/** @since 0.1.0 @category format */
export * as EventCodec from "./EventCodec.ts"
/** @since 0.1.0 @category format */
export * as SegmentName from "./SegmentName.ts"
