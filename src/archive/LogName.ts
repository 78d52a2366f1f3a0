/** The name of a log in a store: its objects have keys that begin with it. */
import { matching } from "../internal/options.ts"

/** The field of options. */
export const logName = matching(
  /^[A-Za-z0-9][\w.=-]*(\/[A-Za-z0-9][\w.=-]*)*$/,
  "names of letters, digits and . _ = -, with / between"
)
