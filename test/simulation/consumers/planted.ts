/** Bugs of consumers that somebody could write, each put in from outside through a seam. */
import * as Effect from "effect/Effect"
import type { Seams } from "../Process.ts"
import type { ConsumerSeams } from "./ConsumedLife.ts"
import type { ConsumedRunOptions } from "./ConsumedSimulation.ts"

interface PlantedConsumerBug {
  readonly name: string
  /** It is found within so many seeds. */
  readonly seedsMax: number
  readonly seedFirst?: number
  readonly plant: () => Seams & ConsumerSeams
}

/** How a run with a seed is told of the bug. */
export const consumedOptionsOf = ({ plant }: PlantedConsumerBug, seed: number): ConsumedRunOptions => ({
  seed,
  seams: plant()
})

const isPosition = (path: string): boolean => path.includes("/wal_position_")

export const plantedConsumerBugs: ReadonlyArray<PlantedConsumerBug> = [
  {
    name: "a position is written before its event is processed",
    seedsMax: 20,
    plant: () => ({
      work: (work, consumer) => (event) => Effect.andThen(Effect.ignore(consumer.acknowledge(event.id)), work(event))
    })
  },
  {
    name: "retention passes a position after a start, until its consumer is back",
    seedsMax: 100,
    seedFirst: 12,
    plant: () => ({
      disk: (disk) => ({
        ...disk,
        list: (path) =>
          Effect.map(disk.list(path), (entries) => entries.filter(({ name }) => !name.startsWith("wal_position_")))
      })
    })
  },
  {
    name: "retention passes a position that is moved before its events are done",
    seedsMax: 100,
    seedFirst: 3,
    plant: () => ({
      maintainer: (maintainer) => ({
        ...maintainer,
        holdDurably: (options) => maintainer.holdDurably({ ...options, maxLag: { bytes: 0 } })
      })
    })
  },
  {
    name: "an acknowledgement is given before the position is durable",
    seedsMax: 100,
    seedFirst: 41,
    plant: () => ({
      consumer: (consumer) => ({
        ...consumer,
        acknowledge: (eventId) => Effect.asVoid(Effect.forkDetach(Effect.ignore(consumer.acknowledge(eventId))))
      })
    })
  },
  {
    name: "the name of a position is not made durable",
    seedsMax: 200,
    seedFirst: 14,
    plant: () => {
      let isOfPosition = false
      return {
        disk: (disk) => ({
          ...disk,
          rename: (from, to) => {
            isOfPosition = isPosition(to)
            return disk.rename(from, to)
          },
          changeNames: (directory, change) =>
            Effect.flatMap(
              change,
              (value) => isOfPosition ? Effect.succeed(value) : disk.changeNames(directory, Effect.succeed(value))
            )
        })
      }
    }
  }
]
