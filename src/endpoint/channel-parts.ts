/** Small parts of a channel of the endpoint. */

import type { Media } from '../base/ids.js';
import type { GroupSet } from '../srtp/group-set.js';
import { parseMultiplexWord } from '../wire/csrc.js';
import { parseRtp } from '../wire/rtp.js';
import type { Suite } from '../wire/tip.js';
import type { ReceivedMedia } from './channel-types.js';

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

/** Where a standard endpoint shows whatever comes. */
const CENTER = { source: 1, sink: 1 };

/** An RTP packet without EKT, decrypted where it was encrypted; undefined: it is none. */
export function receivedInClear(packet: Uint8Array, media: Media, standard: boolean): ReceivedMedia | undefined {
  const parsed = parseRtp(packet);
  if (!parsed.ok) return undefined;
  const { header, payload } = parsed.value;
  const { source, sink } = standard ? CENTER : parseMultiplexWord(header.csrcs[0] ?? 0);
  const { ssrc, sequence, payloadType, marker, timestamp, csrcs } = header;
  const fields = { ssrc, sequence, index: sequence, payloadType, marker, timestamp, csrcs, header, payload };
  return { ...fields, media, source, sink };
}
