/** Packets of suites 17 and 18 under explicit keys and indices (WIRE.md 6): what sender, receiver and tests have in common. */
import { concat, readU16, readU32 } from '../base/bytes.js';
import { FIRST_CSRC_AT } from '../wire/csrc.js';
import { GCM_TAG_BYTES, gcmOpen, gcmRtcpIv, gcmRtpIv, gcmSeal } from './aes-gcm.js';
import type { FieldKeys } from './field-keys.js';
import { rocOf } from './index-estimate.js';
import { encryptedIndexWord, RTCP_CLEAR_BYTES, RTCP_INDEX_BYTES } from './transform.js';

const RTP_SSRC_AT = 8;
const RTCP_SSRC_AT = 4;
const NOTHING = new Uint8Array(0);

/**
 * What the AEAD authenticates of the header: all but what the switch rewrites, the payload type and the sink nibble of the
 * first CSRC, which are 0 here. A second tag for another header under one key and index would give the hash key away.
 */
export function aeadAad(header: Uint8Array): Uint8Array {
  const aad = Uint8Array.from(header);
  aad[1]! &= 0x80;
  if ((aad[0]! & 0x0f) > 0) aad[FIRST_CSRC_AT + 3]! &= 0xf0;
  return aad;
}

function rtpIv(keys: FieldKeys, header: Uint8Array, index: number): Uint8Array {
  return gcmRtpIv(keys.rtp.salt, readU32(header, RTP_SSRC_AT), rocOf(index), readU16(header, 2));
}

/** @param field the whole EKT field */
export function sealFieldRtp(
  keys: FieldKeys,
  header: Uint8Array,
  payload: Uint8Array,
  index: number,
  field: Uint8Array,
  trailingByte?: number,
): Uint8Array {
  const sealed = gcmSeal(keys.rtp, rtpIv(keys, header, index), aeadAad(header), payload);
  const trailing = trailingByte === undefined ? NOTHING : Uint8Array.of(trailingByte);
  return withRouteTag(keys, header.length, concat(header, sealed, trailing), trailing.length, rocOf(index), field);
}

/** @param signed header ‖ ciphertext ‖ AEAD tag ‖ trailing byte; the route tag and the field come behind */
export function withRouteTag(
  keys: FieldKeys,
  headerBytes: number,
  signed: Uint8Array,
  trailingBytes: number,
  roc: number,
  field: Uint8Array,
): Uint8Array {
  const behind = signed.subarray(signed.length - trailingBytes - GCM_TAG_BYTES);
  return concat(signed, keys.routeTag(signed.subarray(0, headerBytes), behind, roc, field), field);
}

/** The payload; undefined when it is not what its sender sealed. @param sealed header ‖ ciphertext ‖ AEAD tag */
export function openFieldRtp(
  keys: FieldKeys,
  headerBytes: number,
  sealed: Uint8Array,
  index: number,
): Uint8Array | undefined {
  const header = sealed.subarray(0, headerBytes);
  return gcmOpen(keys.rtp, rtpIv(keys, header, index), aeadAad(header), sealed.subarray(headerBytes));
}

/** RFC 7714 §9 under the sender key: no field, no route tag. */
export function sealFieldRtcp(keys: FieldKeys, compound: Uint8Array, rtcpIndex: number): Uint8Array {
  const clear = compound.subarray(0, RTCP_CLEAR_BYTES);
  const word = encryptedIndexWord(rtcpIndex);
  const iv = gcmRtcpIv(keys.rtcp.salt, readU32(compound, RTCP_SSRC_AT), rtcpIndex);
  return concat(clear, gcmSeal(keys.rtcp, iv, concat(clear, word), compound.subarray(RTCP_CLEAR_BYTES)), word);
}

/** The plain compound; undefined when it does not verify. The datagram holds header, tag and index at least. */
export function openFieldRtcp(keys: FieldKeys, datagram: Uint8Array, rtcpIndex: number): Uint8Array | undefined {
  const clear = datagram.subarray(0, RTCP_CLEAR_BYTES);
  const end = datagram.length - RTCP_INDEX_BYTES;
  const iv = gcmRtcpIv(keys.rtcp.salt, readU32(datagram, RTCP_SSRC_AT), rtcpIndex);
  const aad = concat(clear, datagram.subarray(end));
  const body = gcmOpen(keys.rtcp, iv, aad, datagram.subarray(RTCP_CLEAR_BYTES, end));
  return body === undefined ? undefined : concat(clear, body);
}
