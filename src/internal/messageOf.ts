/** The one line in which anything that was thrown tells what happened. */
import { types } from "node:util"

/** The message of an error; what is none as text. */
export const messageOf = (thrown: unknown): string => types.isNativeError(thrown) ? thrown.message : String(thrown)
