/** Questions to events that are JSON. */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import { parseQuestion } from "../../src/console/JsonPath.ts"

const value = JSON.parse(`{
  "customer": "ada", "cents": 120, "paid": true, "note": null, "a key": 1, "$x": 2, "__proto__": { "evil": 1 },
  "items": [{ "sku": "a-1", "count": 2 }, { "sku": "b-2", "count": 5 }]
}`)

describe("a question in JSON path", () => {
  const matching = [
    "$",
    "$.customer",
    " $.customer == \"ada\" ",
    "$.cents >= 120",
    "$.cents<121",
    "$.paid == true",
    "$.note == null",
    "$[\"a key\"] == 1",
    "$.$x == 2",
    "$.items[1].sku == \"b-2\"",
    "$.items[*].count > 4",
    "$.*[0].count == 2",
    "$.customer != \"bob\"",
    "$.customer > \"abc\"",
    "$.__proto__.evil == 1"
  ]
  it.for(matching)("matches %s", (text) => {
    assert.isTrue(Result.getOrThrow(parseQuestion(text))(value))
  })

  const others = [
    "$.nobody",
    "$.customer == \"bob\"",
    "$.cents > 120",
    "$.cents == \"120\"",
    "$.items[2]",
    "$.items.length",
    "$.customer[0]",
    "$.toString",
    "$.constructor",
    "$.note.deeper",
    "$.customer < 5"
  ]
  it.for(others)("does not match %s", (text) => {
    assert.isFalse(Result.getOrThrow(parseQuestion(text))(value))
  })

  const wrong = [
    "",
    "customer",
    "$customer",
    "$.",
    "$.items[",
    "$.items[-1]",
    "$.a == ",
    "$.a = 1",
    "$.a == ada",
    "$.a == [1]",
    "$..a",
    "$[\"a]"
  ]
  it.for(wrong)("says what is wrong with %s", (text) => {
    const found = parseQuestion(text)
    assert.isTrue(Result.isFailure(found), text)
  })
})
