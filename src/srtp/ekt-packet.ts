/** Packets with EKT tags under explicit keys and indices (WIRE.md 5): what sender, receiver and tests have in common. */
import { concat, readU32 } from '../base/bytes.js';
import { fullTail, putBaseTag, shortRtcpTail, shortRtpTail } from '../wire/ekt-tag.js';
import { aesCm } from './aes-cm.js';
import { rocOf } from './index-estimate.js';
import type { SenderKeys } from './sender-keys.js';
import { encryptedIndexWord, RTCP_CLEAR_BYTES, RTCP_INDEX_BYTES } from './transform.js';

const RTP_SSRC_AT = 8;
const RTCP_SSRC_AT = 4;
const NOTHING = new Uint8Array(0);

/** @param isn for a Full tag; undefined: Short */
export function sealEktRtp(
  keys: SenderKeys,
  header: Uint8Array,
  payload: Uint8Array,
  index: number,
  isn: number | undefined,
  trailingByte?: number,
): Uint8Array {
  const body = aesCm(keys.rtp, readU32(header, RTP_SSRC_AT), index, payload);
  const trailing = trailingByte === undefined ? NOTHING : Uint8Array.of(trailingByte);
  return withTag(keys, 'rtp', concat(header, body, trailing), rtpTail(keys, index, isn));
}

/** A Full tag where `isn` is given, with `roc`, the stream's current one; else Short. */
export function sealEktRtcp(
  keys: SenderKeys,
  compound: Uint8Array,
  rtcpIndex: number,
  full: { readonly roc: number; readonly isn: number } | undefined,
): Uint8Array {
  const clear = compound.subarray(0, RTCP_CLEAR_BYTES);
  const body = aesCm(keys.rtcp, readU32(compound, RTCP_SSRC_AT), rtcpIndex, compound.subarray(RTCP_CLEAR_BYTES));
  const tail = full === undefined ? shortRtcpTail() : fullTail(keys.wrapped, full.roc, full.isn, keys.spiWord);
  return withTag(keys, 'rtcp', concat(clear, body, encryptedIndexWord(rtcpIndex)), tail);
}

/** Decrypts a verified media RTCP packet without its tag: the plain compound. */
export function openEktRtcp(keys: SenderKeys, ssrc: number, rtcpIndex: number, authenticated: Uint8Array): Uint8Array {
  const sealed = authenticated.subarray(RTCP_CLEAR_BYTES, authenticated.length - RTCP_INDEX_BYTES);
  return concat(authenticated.subarray(0, RTCP_CLEAR_BYTES), aesCm(keys.rtcp, ssrc, rtcpIndex, sealed));
}

/** What stands behind the authenticated portion of an SRTP packet in its tag's input. */
export function rtpTail(keys: SenderKeys, index: number, isn: number | undefined): Uint8Array {
  const roc = rocOf(index);
  return isn === undefined ? shortRtpTail(roc) : fullTail(keys.wrapped, roc, isn, keys.spiWord);
}

/** Computes the tag over `authenticated` and puts it behind. */
export function withTag(
  keys: SenderKeys,
  kind: 'rtp' | 'rtcp',
  authenticated: Uint8Array,
  tail: Uint8Array,
): Uint8Array {
  const baseTag = keys.baseTag(kind, authenticated, tail);
  return concat(authenticated, putBaseTag(tail, baseTag));
}
