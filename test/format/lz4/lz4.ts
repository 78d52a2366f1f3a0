import { compress } from "lz4-napi"
import { blockChunks } from "../../../src/format/lz4/Lz4Frame.ts"

/** One block of our frames, as a freeze makes it. */
export const compressPiece = async (piece: Uint8Array): Promise<ReadonlyArray<Uint8Array>> =>
  blockChunks(piece, await compress(piece))
