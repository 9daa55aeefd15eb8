/** Small parts of a channel of the endpoint. */

import type { Media } from '../base/ids.js';
import { ok, type Result, refuse } from '../base/result.js';
import type { GroupSet } from '../srtp/group-set.js';
import { parseMultiplexWord } from '../wire/csrc.js';
import type { DropName } from '../wire/drop.js';
import type { RtcpPacket } from '../wire/rtcp.js';
import { parseRtp } from '../wire/rtp.js';
import type { Suite } from '../wire/tip.js';
import type { ChannelOutput, OutgoingStream, ReceivedMedia } from './channel-types.js';

const SUITES: readonly Suite[] = [
  { suite: 1, cipher: 1 },
  { suite: 17, cipher: 3 },
];

export function wipeSet(set: GroupSet): void {
  set.kek.wipe();
  set.masterSalt.wipe();
}

/** What we can do; a KEK of 32 bytes is taken over a channel of AES-256-GCM only (WIRE.md 4.3). */
export function suitesOver(profile: number | undefined): readonly Suite[] {
  return profile === 0x0008 ? [...SUITES, { suite: 18, cipher: 4 }] : SUITES;
}

export function popCount(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}

/**
 * Receiver reports, and PLI and FIR (RFC 4585 §6.3.1, RFC 5104 §4.3.1) from a switch that asks without TIP: what is about our
 * own streams. On a bundle every line hears what is told to any.
 */
export function toldBy(packet: RtcpPacket, streams: readonly OutgoingStream[]): ChannelOutput[] {
  const own = (ssrc: number): boolean => streams.some((stream) => stream.ssrc === ssrc);
  const reports = packet.type === 'rr' ? packet.reports.filter((block) => own(block.ssrc)) : [];
  const wanted =
    packet.type === 'pli' ? [packet.media] : packet.type === 'fir' ? packet.requests.map((r) => r.ssrc) : [];
  const refreshed = streams.filter(({ ssrc }) => wanted.includes(ssrc));
  return [
    ...(reports.length === 0 ? [] : [{ type: 'reported' as const, reports }]),
    ...refreshed.map(({ position }) => ({ type: 'refresh-requested' as const, position })),
  ];
}

/** Where a standard endpoint shows whatever comes. */
const CENTER = { source: 1, sink: 1 };

/**
 * An RTP packet without EKT, decrypted where it was encrypted. Until TIP is negotiated the switch takes us for a standard
 * endpoint; what it sends then is for none of our places.
 */
export function receivedInClear(packet: Uint8Array, media: Media, standard: boolean): Result<ReceivedMedia, DropName> {
  const parsed = parseRtp(packet);
  if (!parsed.ok) return refuse('malformed');
  const { header, payload } = parsed.value;
  const [word] = header.csrcs;
  if (word === undefined && !standard) return refuse('no_multiplex_word');
  const { source, sink } = standard || word === undefined ? CENTER : parseMultiplexWord(word);
  const { ssrc, sequence, payloadType, marker, timestamp, csrcs } = header;
  const fields = { ssrc, sequence, index: sequence, payloadType, marker, timestamp, csrcs, header, payload };
  return ok({ ...fields, media, source, sink });
}
