/** Small parts of a channel of the endpoint. */

import type { Media } from '../base/ids.js';
import { ok, type Result, refuse } from '../base/result.js';
import type { GroupSet } from '../srtp/group-set.js';
import { parseMultiplexWord } from '../wire/csrc.js';
import type { DropName } from '../wire/drop.js';
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
