/** Loads the server of `record --offer` if the flag is given, as `metricsFlag` does with the one of metrics. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type { LogAddress } from "../flags/addressFlag.ts"
import { isLoopback } from "../flags/isLoopback.ts"
import { UsageFailure } from "../terminal/CliFailure.ts"

/** Fails when other machines could append without a token. */
export const requireToken = (address: LogAddress, token: Option.Option<unknown>): Effect.Effect<void, UsageFailure> =>
  address.kind === "socket" || Option.isSome(token) || isLoopback(address.url.hostname)
    ? Effect.void
    : Effect.fail(
      new UsageFailure({
        message: `--offer ${address.url.origin} lets other machines append; give --token, or set EFFECT_WAL_TOKEN`
      })
    )

/** Loads `OfferServer.ts` and offers the log. */
export const layerOffer = (address: LogAddress, token: Option.Option<Redacted.Redacted<string>>) =>
  Layer.unwrap(Effect.map(Effect.promise(() => import("./OfferServer.ts")), (server) => server.layer(address, token)))
