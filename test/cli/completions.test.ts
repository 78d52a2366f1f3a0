/** Completions, as the shells themselves complete with them. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { effectWal, place } from "./commandLine.ts"

/** What a shell makes of the last of some words behind `effect-wal`. */
type Complete = (...words: ReadonlyArray<string>) => ReadonlyArray<string>

/** What a shell is told: where the completions are, and the words. */
const runShell = (command: string, args: ReadonlyArray<string>, cwd: string): string => {
  const { status, stderr, stdout } = spawnSync(command, args, { encoding: "utf8", cwd, timeout: 240_000 })
  assert.deepStrictEqual([status, stderr], [0, ""])
  return stdout
}

const linesOf = (text: string): ReadonlyArray<string> => text.split("\n").filter((line) => line !== "").toSorted()

/** As bash calls the function that `complete -p` names. */
const bash = (file: string, cwd: string): Complete => (...words) => {
  const script = `source "$1"; shift
    f=$(complete -p effect-wal | sed -E 's/.*-F ([^ ]+).*/\\1/')
    COMP_WORDS=(effect-wal "$@"); COMP_CWORD=$#; COMP_LINE="\${COMP_WORDS[*]}"; COMP_POINT=\${#COMP_LINE}
    "$f" effect-wal "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD-1]}"
    printf '%s\\n' "\${COMPREPLY[@]}"`
  return linesOf(runShell("bash", ["--norc", "-c", script, "bash", file, ...words], cwd))
}

/**
 * In an interactive zsh at a terminal of its own, which has the file where the document says, as `_effect-wal` in `fpath`. Tab
 * is pressed, and what then stands in the line is reported between two control characters.
 */
const zsh = (file: string, cwd: string): Complete => (...words) => {
  const script = `zmodload zsh/zpty
    zpty shell zsh -f -i
    zpty -w shell "PS1= PROMPT_SP=; unsetopt prompt_sp; fpath=(\${1:h} \\$fpath); autoload -Uz compinit; compinit -u -D"
    zpty -w shell 'press-tab() { zle complete-word; print -rn -- $'"'\\1'"'"$BUFFER"$'"'\\2'"'; BUFFER= }'
    zpty -w shell "zle -N press-tab; bindkey '^T' press-tab; print -rn -- $'\\3'"
    zpty -r shell answer $'*\\3*'
    shift; zpty -w -n shell "effect-wal $*"$'\\x14'
    zpty -r shell answer $'*\\1*\\2'
    zpty -d shell
    print -r -- "\${\${answer##*$'\\1'}%$'\\2'*}"`
  const [line = ""] = linesOf(runShell("zsh", ["-f", "-c", script, "zsh", file, ...words], cwd))
  return [line.trimEnd().split(" ").at(-1) ?? ""]
}

/** `complete -C` answers as Tab does, with a description behind each. */
const fish = (file: string, cwd: string): Complete => (...words) => {
  const script = "source $argv[1]; complete -C (string join -- ' ' effect-wal $argv[2..-1])"
  return linesOf(runShell("fish", ["--no-config", "-c", script, file, ...words], cwd))
    .map((line) => line.split("\t")[0] ?? "")
}

const shells = { bash: [bash, "completions.bash"], zsh: [zsh, "_effect-wal"], fish: [fish, "effect-wal.fish"] } as const

const isInstalled = (shell: string): boolean => spawnSync(shell, ["--version"]).status === 0

describe("completions", () => {
  for (const [shell, [makeComplete, file]] of Object.entries(shells)) {
    it.live.skipIf(!isInstalled(shell))(
      `complete commands, flags, choices and directories in ${shell} (needs the shell)`,
      () =>
        Effect.gen(function*() {
          const at = yield* place
          mkdirSync(at("log-of-today"))
          writeFileSync(at("log-file"), "")
          const { code, stderr, stdout } = yield* effectWal(["--completions", shell])
          assert.deepStrictEqual([code, stderr], [0, ""])
          writeFileSync(at(file), stdout)
          const complete = makeComplete(at(file), at("."))
          assert.deepStrictEqual(complete("ver"), ["verify"])
          assert.deepStrictEqual(complete("verify", "--inc"), ["--incremental"])
          assert.deepStrictEqual(complete("replay", "--framing", "len"), ["length-prefixed"])
          assert.deepStrictEqual(complete("inspect", "--dir", "log-").map((name) => name.replace(/\/$/, "")), [
            "log-of-today"
          ])
        })
    )
  }
})
