/** One more than the highest SRTP packet index, ROC ‖ sequence number (RFC 3711 §3.3.1). */
export const INDEX_LIMIT = 2 ** 48;
/** One more than the highest SRTCP index (RFC 3711 §3.4). */
export const RTCP_INDEX_LIMIT = 2 ** 31;

/** ROC ‖ sequence number as one integer. */
export function packetIndex(roc: number, sequence: number): number {
  return roc * 0x10000 + sequence;
}

export function rocOf(index: number): number {
  return Math.floor(index / 0x10000);
}

/**
 * RFC 3711 §3.3.1 and appendix A: the index that `sequence` most likely has, given the highest index so far. Undefined where
 * the guess lies outside the 48 bits (before the stream's first cycle or after its last).
 */
export function estimateIndex(highest: number, sequence: number): number | undefined {
  const roc = rocOf(highest);
  const last = highest % 0x10000;
  let guess = roc;
  if (last < 0x8000) {
    if (sequence - last > 0x8000) guess = roc - 1;
  } else if (last - 0x8000 > sequence) {
    guess = roc + 1;
  }
  return guess < 0 || guess > 0xffffffff ? undefined : packetIndex(guess, sequence);
}
