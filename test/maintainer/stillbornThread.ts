/** A maintainer thread that dies before it does anything. */
throw new Error("stillborn")
