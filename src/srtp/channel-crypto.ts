import { readU16, readU32 } from '../base/bytes.js';
import { MAX_CHANNEL_KEY_SSRCS, MAX_DATAGRAM_BYTES } from '../base/limits.js';
import { ok, type Result, refuse } from '../base/result.js';
import type { Secret } from '../base/secret.js';
import type { DropName } from '../wire/drop.js';
import { parseRtpHeader } from '../wire/rtp.js';
import { deriveCmSession } from './aes-cm.js';
import { deriveGcmSession } from './aes-gcm.js';
import { estimateIndex, INDEX_LIMIT, packetIndex, RTCP_INDEX_LIMIT } from './index-estimate.js';
import { ReplayWindow } from './replay-window.js';
import { cmTransform, gcmTransform, RTCP_CLEAR_BYTES, type SrtpTransform } from './transform.js';

/** The DTLS-SRTP profiles of WIRE.md 2, as in dtls/association. */
export type ChannelProfile = 0x0001 | 0x0007 | 0x0008;

export interface ChannelKeys {
  readonly profile: ChannelProfile;
  /** Master key ‖ master salt for what this side sends; read once, the caller wipes its own. */
  readonly local: Secret;
  /** For what the peer sends. */
  readonly remote: Secret;
}

const MASTER_KEY_BYTES: Readonly<Record<ChannelProfile, number>> = { 1: 16, 7: 16, 8: 32 };
const MASTER_SALT_BYTES: Readonly<Record<ChannelProfile, number>> = { 1: 14, 7: 12, 8: 12 };

function transformOf(profile: ChannelProfile, secret: Secret): SrtpTransform {
  return secret.use((bytes) => {
    const keyBytes = MASTER_KEY_BYTES[profile];
    if (bytes.length !== keyBytes + MASTER_SALT_BYTES[profile]) throw new RangeError('channel keys of a wrong length');
    const key = bytes.subarray(0, keyBytes);
    const salt = bytes.subarray(keyBytes);
    return profile === 1
      ? cmTransform(deriveCmSession(key, salt, 'rtp'), deriveCmSession(key, salt, 'rtcp'))
      : gcmTransform(deriveGcmSession(key, salt, 'rtp'), deriveGcmSession(key, salt, 'rtcp'));
  });
}

/**
 * SRTCP, and plain SRTP for `hop-by-hop`, under the keys that DTLS-SRTP gave a channel (RFC 3711, RFC 7714). One replay window
 * a (channel keys, SSRC); nothing is remembered of a packet that does not verify. One instance a channel and its keys: a
 * second one would use the same indices again.
 */
export class ChannelCrypto {
  readonly #local: SrtpTransform;
  readonly #remote: SrtpTransform;
  readonly #rtcpReceived = new Map<number, ReplayWindow>();
  readonly #rtpReceived = new Map<number, ReplayWindow>();
  readonly #rtpSent = new Map<number, ReplayWindow>();
  #nextRtcpIndex = 0;
  #wiped = false;

  constructor(keys: ChannelKeys) {
    this.#local = transformOf(keys.profile, keys.local);
    this.#remote = transformOf(keys.profile, keys.remote);
  }

  /**
   * One rising index for all SSRCs: each of them sees it rise (RFC 3711 §3.4).
   * @param compound at least one RTCP packet with its sender's SSRC (8 bytes)
   */
  protectRtcp(compound: Uint8Array): Uint8Array {
    this.#live();
    if (compound.length < RTCP_CLEAR_BYTES) throw new RangeError('an RTCP packet has 8 bytes at least');
    // RFC 3711 §9.2: an index must never be used twice under one key.
    if (this.#nextRtcpIndex >= RTCP_INDEX_LIMIT) throw new Error('SRTCP index exhausted');
    return this.#local.sealRtcp(compound, this.#nextRtcpIndex++);
  }

  /**
   * @param judge refuses a compound for what it says, before anything is remembered of it
   * @returns the plain compound; `malformed` (E = 0 included, WIRE.md 3), `replayed`, `too_old`, `auth_failed`,
   *   what `judge` says, `stream_limit`
   */
  unprotectRtcp(
    datagram: Uint8Array,
    judge?: (compound: Uint8Array) => DropName | undefined,
  ): Result<Uint8Array, DropName> {
    this.#live();
    if (datagram.length > MAX_DATAGRAM_BYTES) return refuse('malformed', 'datagram too large');
    if (datagram.length < RTCP_CLEAR_BYTES + this.#remote.rtcpOverhead || datagram[0]! >>> 6 !== 2) {
      return refuse('malformed', 'SRTCP');
    }
    const word = this.#remote.rtcpIndexWord(datagram);
    if (word < 0x80000000) return refuse('malformed', 'SRTCP is not encrypted');
    const index = word - 0x80000000;
    const ssrc = readU32(datagram, 4);
    const known = this.#rtcpReceived.get(ssrc);
    const freshness = known?.check(index) ?? 'new';
    if (freshness !== 'new') return refuse(freshness);
    const compound = this.#remote.openRtcp(datagram);
    if (compound === undefined) return refuse('auth_failed');
    const verdict = judge?.(compound);
    if (verdict !== undefined) return refuse(verdict);
    return keep(this.#rtcpReceived, known, ssrc, index) ? ok(compound) : refuse('stream_limit');
  }

  /**
   * Plain SRTP. The rollover counter of each SSRC is estimated from what was sent before (RFC 3711 §3.3.1), so packets may
   * come in another order than that of their sequence numbers; `replayed` and `too_old` refuse an index that was used, or may
   * have been: two packets under one index would reveal each other.
   */
  protectRtp(packet: Uint8Array): Result<Uint8Array, DropName> {
    this.#live();
    const header = parseRtpHeader(packet);
    if (!header.ok) return header;
    const { ssrc, sequence, length } = header.value;
    const known = this.#rtpSent.get(ssrc);
    const index = known === undefined ? sequence : estimateIndex(known.highest, sequence);
    if (index < 0) return refuse('too_old');
    // RFC 3711 §9.2: the keys have protected all that they can.
    if (index >= INDEX_LIMIT) throw new Error('SRTP index exhausted');
    const freshness = known?.check(index) ?? 'new';
    if (freshness !== 'new') return refuse(freshness);
    if (!keep(this.#rtpSent, known, ssrc, index)) return refuse('stream_limit');
    return ok(this.#local.sealRtp(packet, length, index));
  }

  /** @returns the plain packet; a stream's rollover counter is 0 when it is first seen (RFC 3711 §3.3.1) */
  unprotectRtp(datagram: Uint8Array): Result<Uint8Array, DropName> {
    this.#live();
    const header = parseRtpHeader(datagram, datagram.length - this.#remote.rtpOverhead);
    if (!header.ok) return header;
    const { ssrc, length } = header.value;
    const known = this.#rtpReceived.get(ssrc);
    const sequence = readU16(datagram, 2);
    const index = known === undefined ? packetIndex(0, sequence) : estimateIndex(known.highest, sequence);
    if (index < 0) return refuse('too_old');
    if (index >= INDEX_LIMIT) return refuse('auth_failed');
    const freshness = known?.check(index) ?? 'new';
    if (freshness !== 'new') return refuse(freshness);
    const packet = this.#remote.openRtp(datagram, length, index);
    if (packet === undefined) return refuse('auth_failed');
    return keep(this.#rtpReceived, known, ssrc, index) ? ok(packet) : refuse('stream_limit');
  }

  wipe(): void {
    this.#wiped = true;
    this.#local.wipe();
    this.#remote.wipe();
    this.#rtcpReceived.clear();
    this.#rtpReceived.clear();
    this.#rtpSent.clear();
  }

  /** The received state as text, for comparing states; holds no key. */
  describe(): string {
    const lines = (name: string, map: ReadonlyMap<number, ReplayWindow>) =>
      [...map].map(([ssrc, window]) => `${name} ${ssrc} ${window.describe()}`);
    return [...lines('rtcp', this.#rtcpReceived), ...lines('rtp', this.#rtpReceived)].join('\n');
  }

  #live(): void {
    if (this.#wiped) throw new Error('use of wiped channel keys');
  }
}

/** Notes an authenticated index; false when there is no room for another SSRC. */
function keep(map: Map<number, ReplayWindow>, known: ReplayWindow | undefined, ssrc: number, index: number): boolean {
  let window = known;
  if (window === undefined) {
    if (map.size >= MAX_CHANNEL_KEY_SSRCS) return false;
    window = new ReplayWindow();
    map.set(ssrc, window);
  }
  window.accept(index);
  return true;
}
