/** Seeded random numbers, so that a failure can be repeated. */
export interface Random {
  /** A whole number from 0 to below `limit`. */
  below(limit: number): number;
  bytes(length: number): Uint8Array;
  chance(probability: number): boolean;
}

export function seeded(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    let x = state;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32;
  };
  return {
    below: (limit) => Math.floor(next() * limit),
    bytes: (length) => Uint8Array.from({ length }, () => Math.floor(next() * 256)),
    chance: (probability) => next() < probability,
  };
}

/** A copy with some bytes changed, cut, doubled or put in. */
export function mutate(random: Random, bytes: Uint8Array): Uint8Array {
  let out = Uint8Array.from(bytes);
  for (let n = random.below(6) + 1; n > 0; n--) {
    const at = random.below(out.length + 1);
    const kind = random.below(4);
    if (kind === 0 && at < out.length) out[at] = random.below(256);
    else if (kind === 1) out = out.subarray(0, at);
    else if (kind === 2)
      out = Uint8Array.from([...out.subarray(0, at), ...random.bytes(random.below(8)), ...out.subarray(at)]);
    else if (at < out.length) out[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)]!;
  }
  return out;
}

/** Equality of lists of byte strings; far quicker than a deep comparison of large arrays. */
export function sameParts(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && a.every((part, i) => Buffer.compare(part, b[i]!) === 0);
}
