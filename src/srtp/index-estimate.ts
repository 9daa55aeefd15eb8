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
 * RFC 3711 §3.3.1 and appendix A: the index that `sequence` most likely has, given the highest index so far. It is negative
 * for a packet from before the stream's first cycle, and INDEX_LIMIT or more beyond its last.
 */
export function estimateIndex(highest: number, sequence: number): number {
  const roc = rocOf(highest);
  const last = highest % 0x10000;
  if (last < 0x8000) return packetIndex(sequence - last > 0x8000 ? roc - 1 : roc, sequence);
  return packetIndex(last - 0x8000 > sequence ? roc + 1 : roc, sequence);
}
