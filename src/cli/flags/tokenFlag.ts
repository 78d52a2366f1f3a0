/** `--token TOKEN`, or `EFFECT_WAL_TOKEN`: what is asked of those who look at a log or use it from another process. */
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Redacted from "effect/Redacted"

/** Makes the flag; the description says who must bring the token. */
export const tokenFlag = (description: string) =>
  Flag.Redacted("token").pipe(
    Flag.withMetavar("TOKEN"),
    Flag.withDescription(`${description}; EFFECT_WAL_TOKEN keeps it out of the list of processes`),
    Flag.withFallbackConfig(Config.Redacted("EFFECT_WAL_TOKEN")),
    Flag.filter((token) => Redacted.value(token) !== "", () => "a token, as from openssl rand -hex 16"),
    Flag.optional
  )
