/**
 * A write-ahead-log recorder for Effect. Start with {@link Wal}: one layer from one set of options. {@link Recorder}
 * appends and commits, {@link Replay} reads back, {@link SegmentMaintainer} does the slow work in the background. Tests
 * of an application find a simulated disk in `effect-wal/testing`.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category recording */
export * as Log from "./recorder/Log.ts"
/** @since 0.1.0 @category recording */
export * as Recorder from "./recorder/Recorder.ts"
/** @since 0.1.0 @category recording */
export * as RecorderError from "./recorder/RecorderError.ts"
/** @since 0.1.0 @category recording */
export * as SegmentWriter from "./recorder/SegmentWriter.ts"
/** @since 0.1.0 @category recording */
export * as ThreadAppender from "./recorder/ThreadAppender.ts"
/** @since 0.1.0 @category recording */
export * as Monitor from "./recorder/monitor/Monitor.ts"
/** @since 0.1.0 @category recording */
export * as MonitorError from "./recorder/monitor/MonitorError.ts"
/** @since 0.1.0 @category recording */
export * as MonitorReport from "./recorder/monitor/MonitorReport.ts"
/** @since 0.1.0 @category recording */
export * as Follow from "./recorder/Follow.ts"
/** @since 0.1.0 @category recording */
export * as Wal from "./recorder/Wal.ts"
/** @since 0.1.0 @category recording */
export * as WalConfig from "./recorder/WalConfig.ts"

/** @since 0.1.0 @category reading */
export * as BlockEvents from "./reading/segment/BlockEvents.ts"
/** @since 0.1.0 @category reading */
export * as Backup from "./reading/recovery/Backup.ts"
/** @since 0.1.0 @category reading */
export * as Recovery from "./reading/recovery/Recovery.ts"
/** @since 0.1.0 @category reading */
export * as Repair from "./reading/recovery/Repair.ts"
/** @since 0.1.0 @category reading */
export * as Replay from "./reading/Replay.ts"
/** @since 0.1.0 @category reading */
export * as ReplayError from "./reading/ReplayError.ts"
/** @since 0.1.0 @category reading */
export * as SegmentCorrupt from "./reading/segment/SegmentCorrupt.ts"
/** @since 0.1.0 @category reading */
export * as Verify from "./reading/recovery/Verify.ts"

/** @since 0.1.0 @category maintenance */
export * as StepOutcome from "./maintainer/steps/StepOutcome.ts"
/** @since 0.1.0 @category maintenance */
export * as MaintainerOptions from "./maintainer/MaintainerOptions.ts"
/** @since 0.1.0 @category maintenance */
export * as Retention from "./maintainer/retention/Retention.ts"
/** @since 0.1.0 @category maintenance */
export * as SegmentMaintainer from "./maintainer/SegmentMaintainer.ts"
/** @since 0.1.0 @category maintenance */
export * as SegmentMaintainerWorker from "./maintainer/SegmentMaintainerWorker.ts"
/** @since 0.1.0 @category maintenance */
export * as MaintainerSchedule from "./maintainer/executor/MaintainerSchedule.ts"
/** @since 0.1.0 @category maintenance */
export * as Compressor from "./maintainer/Compressor.ts"
/** @since 0.1.0 @category maintenance */
export * as SegmentWatcher from "./maintainer/SegmentWatcher.ts"
/** @since 0.1.0 @category maintenance */
export * as SegmentProof from "./maintainer/steps/SegmentProof.ts"
/** @since 0.1.0 @category maintenance */
export * as StepError from "./maintainer/steps/StepError.ts"

/** @since 0.1.0 @category telemetry */
export * as Telemetry from "./telemetry/Telemetry.ts"
/** @since 0.1.0 @category telemetry */
export * as TelemetryDump from "./telemetry/TelemetryDump.ts"
/** @since 0.1.0 @category telemetry */
export * as TelemetryExport from "./telemetry/TelemetryExport.ts"
/** @since 0.1.0 @category telemetry */
export * as TelemetrySnapshot from "./telemetry/TelemetrySnapshot.ts"

/** @since 0.1.0 @category shared memory */
export * as SegmentArena from "./shared/SegmentArena.ts"
/** @since 0.1.0 @category shared memory */
export * as SegmentQueues from "./shared/SegmentQueues.ts"
/** @since 0.1.0 @category shared memory */
export * as TaskQueue from "./shared/TaskQueue.ts"

/** @since 0.1.0 @category disk */
export * as Disk from "./disk/Disk.ts"
/** @since 0.1.0 @category disk */
export * as NodeDisk from "./disk/NodeDisk.ts"
/** @since 0.1.0 @category disk */
export * as ReadRate from "./disk/ReadRate.ts"

/** @since 0.1.0 @category format */
export * as EventCodec from "./format/EventCodec.ts"
/** @since 0.1.0 @category format */
export * as SegmentFault from "./format/SegmentFault.ts"
/** @since 0.1.0 @category format */
export * as SegmentName from "./format/SegmentName.ts"
