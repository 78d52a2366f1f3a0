/**
 * A state that is folded from the events of a log. Imported from `effect-wal/state`.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category state */
export * as StateMachine from "./StateMachine.ts"
