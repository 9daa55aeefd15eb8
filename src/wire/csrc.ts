/** The multiplex word: the first CSRC of every RTP packet on a TIP channel (WIRE.md 8). */
export interface MultiplexWord {
  /** Sampling clock id, 20 bits. */
  readonly clock: number;
  /** 4 bits each. */
  readonly output: number;
  readonly source: number;
  readonly sink: number;
}

/** Offset of the first CSRC in an RTP header (RFC 3550 §5.1). */
export const FIRST_CSRC_AT = 12;
/** Offset of the byte that holds the source (high nibble) and sink (low nibble) position. */
export const POSITIONS_AT = FIRST_CSRC_AT + 3;

export function parseMultiplexWord(csrc: number): MultiplexWord {
  return { clock: csrc >>> 12, output: (csrc >>> 8) & 0xf, source: (csrc >>> 4) & 0xf, sink: csrc & 0xf };
}

/** Each part is cut to its width. */
export function composeMultiplexWord(word: MultiplexWord): number {
  return (
    (((word.clock & 0xfffff) << 12) | ((word.output & 0xf) << 8) | ((word.source & 0xf) << 4) | (word.sink & 0xf)) >>> 0
  );
}

/** The same word shown at another place; all that the switch changes in a CSRC at `end-to-end`. */
export function withSink(csrc: number, sink: number): number {
  return ((csrc & ~0xf) | (sink & 0xf)) >>> 0;
}
