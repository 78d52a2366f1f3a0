/** Values by the event and the primary key of an entry. */
export class KeyIndex<A> {
  readonly #byEvent = new Map<string, Map<string, Array<A>>>()

  add(event: string, primaryKey: string, value: A): void {
    let byKey = this.#byEvent.get(event)
    if (byKey === undefined) this.#byEvent.set(event, byKey = new Map())
    const values = byKey.get(primaryKey)
    if (values === undefined) byKey.set(primaryKey, [value])
    else values.push(value)
  }

  /** The values of each event and primary key among these, each group once. */
  all(keys: Iterable<{ readonly event: string; readonly primaryKey: string }>): ReadonlyArray<ReadonlyArray<A>> {
    const found = new Set<ReadonlyArray<A>>()
    for (const { event, primaryKey } of keys) {
      const values = this.#byEvent.get(event)?.get(primaryKey)
      if (values !== undefined) found.add(values)
    }
    return [...found]
  }

  clear(): void {
    this.#byEvent.clear()
  }
}
