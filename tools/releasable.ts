/**
 * Ends with 1 and one line while the package cannot be released: npm signs where a package was built by the address of
 * its repository, and readers of the package's page follow it.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"

const { repository } = JSON.parse(readFileSync(join(import.meta.dirname, "../package.json"), "utf8"))
const address = typeof repository === "string" ? repository : repository?.url
if (typeof address !== "string" || address.trim() === "") {
  process.stderr.write(
    "release: package.json names no repository; set \"repository\" to the address of this one, commit, and start again\n"
  )
  process.exit(1)
}
