/** Failures that a test has told to happen, once or always, to operations on what a pattern matches. */

interface Told<Operation, Failure> {
  readonly operation: Operation
  readonly failure: Failure
  /** Matches the paths or keys that are meant; all when it is not given. */
  readonly pattern: RegExp | undefined
  readonly isForEver: boolean
}

/** What was told, in the order in which it was told. */
export class ToldFailures<Operation, Failure> {
  #told: Array<Told<Operation, Failure>> = []

  /** Adds a failure, after those that were told before. */
  tell(told: Told<Operation, Failure>): void {
    this.#told.push(told)
  }

  forget(): void {
    this.#told = []
  }

  /** Gives the first failure that is meant for an operation; uses it up if it was told for one time. */
  next(operation: Operation, subject: string): Failure | undefined {
    const index = this.#told.findIndex((told) =>
      told.operation === operation && (told.pattern === undefined || subject.search(told.pattern) !== -1)
    )
    const told = this.#told[index]
    if (told?.isForEver === false) this.#told.splice(index, 1)
    return told?.failure
  }
}
