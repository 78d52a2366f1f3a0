/** Reads the XML that S3 servers answer with: errors and listings. */
import * as Effect from "effect/Effect"
import * as Xml from "effect/encoding/Xml"
import * as Stream from "effect/Stream"

/** The elements at a path in a document; none when it is no XML. */
const elementsAt = (text: string, path: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<Xml.Element>> =>
  Stream.make(text).pipe(
    Stream.pipeThroughChannel(Xml.decodeString()),
    Stream.pipeThroughChannel(Xml.elements(path)),
    Stream.runCollect,
    Effect.catch(() => Effect.succeed([]))
  )

/** The text of a child; empty when there is none. */
const textOf = (element: Xml.Element, name: string): string => {
  const child = element.children.find((child) => typeof child !== "string" && child.name === name)
  return typeof child === "object" ? child.children.filter((part) => typeof part === "string").join("") : ""
}

/** What an error's body tells; empty where it tells nothing. */
export const readError = (text: string) =>
  Effect.map(elementsAt(text, ["Error"]), ([error]) => ({
    code: error === undefined ? "" : textOf(error, "Code"),
    message: error === undefined ? "" : textOf(error, "Message"),
    region: error === undefined ? "" : textOf(error, "Region"),
    endpoint: error === undefined ? "" : textOf(error, "Endpoint")
  }))

/** A page of a listing; undefined when the answer is none. */
export const readListing = (text: string) =>
  Effect.map(elementsAt(text, ["ListBucketResult"]), ([listing]) =>
    listing === undefined ? undefined : {
      isTruncated: textOf(listing, "IsTruncated") === "true",
      contents: listing.children.flatMap((child) =>
        typeof child === "string" || child.name !== "Contents" ? [] : [{
          key: textOf(child, "Key"),
          bytes: Number(textOf(child, "Size")),
          modifiedMillis: Date.parse(textOf(child, "LastModified"))
        }]
      )
    })
