/** SRTP and SRTCP packets under session keys with an explicit index: RFC 3711 (AES-CM, HMAC-SHA1-80) and RFC 7714 (AES-GCM). */
import { concat, equalBytes, readU16, readU32, writeU32 } from '../base/bytes.js';
import { aesCm, type CmSession, hmacSha1 } from './aes-cm.js';
import { GCM_TAG_BYTES, type GcmSession, gcmOpen, gcmRtcpIv, gcmRtpIv, gcmSeal } from './aes-gcm.js';
import { rocOf } from './index-estimate.js';

/** Plain part of an SRTCP packet: first RTCP header and SSRC (RFC 3711 §3.4). */
export const RTCP_CLEAR_BYTES = 8;
/** E flag and index. */
export const RTCP_INDEX_BYTES = 4;
const TAG_BYTES = 10;
const SEQUENCE_AT = 2;
const RTP_SSRC_AT = 8;
const RTCP_SSRC_AT = 4;

export interface SrtpTransform {
  /** Bytes that protection adds. */
  readonly rtpOverhead: number;
  readonly rtcpOverhead: number;
  /** `packet` is plain, `headerBytes` of it stay clear. */
  sealRtp(packet: Uint8Array, headerBytes: number, index: number): Uint8Array;
  /** The plain packet, or undefined when it does not verify. The datagram holds header and overhead at least. */
  openRtp(datagram: Uint8Array, headerBytes: number, index: number): Uint8Array | undefined;
  sealRtcp(compound: Uint8Array, index: number): Uint8Array;
  /** E flag (bit 31) and index as they stand in a datagram of sufficient length. */
  rtcpIndexWord(datagram: Uint8Array): number;
  /** The plain compound, or undefined when it does not verify; encrypted packets only. */
  openRtcp(datagram: Uint8Array): Uint8Array | undefined;
  /** Forgets the salts; the key objects go with the transform. */
  wipe(): void;
}

/** E = 1 ‖ index, as it stands in the packet. */
export function encryptedIndexWord(index: number): Uint8Array {
  const word = new Uint8Array(RTCP_INDEX_BYTES);
  writeU32(word, 0, (0x80000000 | index) >>> 0);
  return word;
}

function rocBytes(index: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeU32(bytes, 0, rocOf(index));
  return bytes;
}

const NOTHING = new Uint8Array(0);

/** AES128_CM_HMAC_SHA1_80. */
export function cmTransform(rtp: CmSession, rtcp: CmSession): SrtpTransform {
  const verifies = (key: CmSession, signed: Uint8Array, more: Uint8Array, tag: Uint8Array) =>
    equalBytes(hmacSha1(key.auth, signed, more).subarray(0, TAG_BYTES), tag);
  return {
    rtpOverhead: TAG_BYTES,
    rtcpOverhead: RTCP_INDEX_BYTES + TAG_BYTES,
    sealRtp(packet, headerBytes, index) {
      const body = aesCm(rtp, readU32(packet, RTP_SSRC_AT), index, packet.subarray(headerBytes));
      const signed = concat(packet.subarray(0, headerBytes), body);
      return concat(signed, hmacSha1(rtp.auth, signed, rocBytes(index)).subarray(0, TAG_BYTES));
    },
    openRtp(datagram, headerBytes, index) {
      const end = datagram.length - TAG_BYTES;
      if (!verifies(rtp, datagram.subarray(0, end), rocBytes(index), datagram.subarray(end))) return undefined;
      const body = aesCm(rtp, readU32(datagram, RTP_SSRC_AT), index, datagram.subarray(headerBytes, end));
      return concat(datagram.subarray(0, headerBytes), body);
    },
    sealRtcp(compound, index) {
      const body = aesCm(rtcp, readU32(compound, RTCP_SSRC_AT), index, compound.subarray(RTCP_CLEAR_BYTES));
      const signed = concat(compound.subarray(0, RTCP_CLEAR_BYTES), body, encryptedIndexWord(index));
      return concat(signed, hmacSha1(rtcp.auth, signed, NOTHING).subarray(0, TAG_BYTES));
    },
    rtcpIndexWord: (datagram) => readU32(datagram, datagram.length - TAG_BYTES - RTCP_INDEX_BYTES),
    openRtcp(datagram) {
      const end = datagram.length - TAG_BYTES;
      if (!verifies(rtcp, datagram.subarray(0, end), NOTHING, datagram.subarray(end))) return undefined;
      const index = readU32(datagram, end - RTCP_INDEX_BYTES) & 0x7fffffff;
      const sealed = datagram.subarray(RTCP_CLEAR_BYTES, end - RTCP_INDEX_BYTES);
      const body = aesCm(rtcp, readU32(datagram, RTCP_SSRC_AT), index, sealed);
      return concat(datagram.subarray(0, RTCP_CLEAR_BYTES), body);
    },
    wipe() {
      rtp.salt.fill(0);
      rtcp.salt.fill(0);
    },
  };
}

/** AEAD_AES_128_GCM and AEAD_AES_256_GCM (RFC 7714): the tag stands before an SRTCP packet's index. */
export function gcmTransform(rtp: GcmSession, rtcp: GcmSession): SrtpTransform {
  const rtpIv = (packet: Uint8Array, index: number) =>
    gcmRtpIv(rtp.salt, readU32(packet, RTP_SSRC_AT), rocOf(index), readU16(packet, SEQUENCE_AT));
  const rtcpIv = (packet: Uint8Array, index: number) => gcmRtcpIv(rtcp.salt, readU32(packet, RTCP_SSRC_AT), index);
  return {
    rtpOverhead: GCM_TAG_BYTES,
    rtcpOverhead: GCM_TAG_BYTES + RTCP_INDEX_BYTES,
    sealRtp(packet, headerBytes, index) {
      const header = packet.subarray(0, headerBytes);
      return concat(header, gcmSeal(rtp, rtpIv(packet, index), header, packet.subarray(headerBytes)));
    },
    openRtp(datagram, headerBytes, index) {
      const header = datagram.subarray(0, headerBytes);
      const body = gcmOpen(rtp, rtpIv(datagram, index), header, datagram.subarray(headerBytes));
      return body === undefined ? undefined : concat(header, body);
    },
    sealRtcp(compound, index) {
      const clear = compound.subarray(0, RTCP_CLEAR_BYTES);
      const word = encryptedIndexWord(index);
      const sealed = gcmSeal(rtcp, rtcpIv(compound, index), concat(clear, word), compound.subarray(RTCP_CLEAR_BYTES));
      return concat(clear, sealed, word);
    },
    rtcpIndexWord: (datagram) => readU32(datagram, datagram.length - RTCP_INDEX_BYTES),
    openRtcp(datagram) {
      const clear = datagram.subarray(0, RTCP_CLEAR_BYTES);
      const end = datagram.length - RTCP_INDEX_BYTES;
      const iv = rtcpIv(datagram, readU32(datagram, end) & 0x7fffffff);
      const aad = concat(clear, datagram.subarray(end));
      const body = gcmOpen(rtcp, iv, aad, datagram.subarray(RTCP_CLEAR_BYTES, end));
      return body === undefined ? undefined : concat(clear, body);
    },
    wipe() {
      rtp.salt.fill(0);
      rtcp.salt.fill(0);
    },
  };
}
