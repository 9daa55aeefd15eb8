export type Protocol = 'dtls' | 'rtp' | 'rtcp' | 'other';

/**
 * What a datagram on a channel's port is, from its first byte (RFC 7983 §7) and, for RTP against RTCP, its second
 * (RFC 5761 §4: 192-223 is RTCP; RTP payload types 64-95 are not used beside it).
 */
export function classify(datagram: Uint8Array): Protocol {
  const first = datagram[0];
  if (first === undefined) return 'other';
  if (first >= 20 && first <= 63) return 'dtls';
  if (first < 128 || first > 191) return 'other';
  const second = datagram[1];
  return second !== undefined && second >= 192 && second <= 223 ? 'rtcp' : 'rtp';
}
