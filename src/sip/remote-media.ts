/** Reads one m-line of a peer and says what is wrong with it (RFC 3264, RFC 5763, WIRE.md 2). */

import {
  codecs,
  direction,
  effectiveConnection,
  fingerprints,
  fmtpParameter,
  mediaAttribute,
  setup,
} from '../wire/sdp-attributes.js';
import type { Sdp, SdpCodec, SdpDirection, SdpFingerprints, SdpMedia } from '../wire/sdp-types.js';
import { isToken } from '../wire/sip-scan.js';
import type { MediaProblem, MediaSecurity, RemoteMedia } from './offer-answer-types.js';

function securityOf(media: SdpMedia): MediaSecurity {
  switch (media.protocol) {
    case 'UDP/TLS/RTP/SAVP':
    case 'UDP/TLS/RTP/SAVPF':
      return 'dtls';
    case 'RTP/AVP':
    case 'RTP/AVPF':
      return 'plain';
    case 'RTP/SAVP':
    case 'RTP/SAVPF':
      return mediaAttribute(media, 'crypto') === undefined ? 'unsupported' : 'sdes';
    default:
      return 'unsupported';
  }
}

/**
 * The codecs of an m-line that this project carries: opus/48000/2 and H264 with packetization-mode 1 (RFC 7587, RFC 6184),
 * on plain RTP also PCMU, PCMA and G722. Payload types 64-95 clash with RTCP on one port (RFC 5761 §4) and are left out.
 */
export function acceptableCodecs(media: SdpMedia, security: MediaSecurity): readonly SdpCodec[] {
  return codecs(media).filter((c) => {
    if (c.payloadType >= 64 && c.payloadType <= 95) return false;
    const name = c.name.toLowerCase();
    if (media.media === 'video') return name === 'h264' && c.clockRateHz === 90_000 && isCarriedH264(c);
    if (media.media !== 'audio') return false;
    if (name === 'opus') return c.clockRateHz === 48_000 && c.channels === 2;
    const telephony = name === 'pcmu' || name === 'pcma' || name === 'g722';
    return telephony && security === 'plain' && c.clockRateHz === 8_000 && c.channels === 1;
  });
}

function isCarriedH264(codec: SdpCodec): boolean {
  const profile = fmtpParameter(codec.fmtp, 'profile-level-id');
  return (
    fmtpParameter(codec.fmtp, 'packetization-mode') === '1' &&
    (profile === undefined || /^[0-9a-fA-F]{6}$/.test(profile))
  );
}

/** @param index the m-line's place in `sdp.media`. `problem` knows nothing yet of `a=setup`: that depends on the role. */
export function readRemoteMedia(sdp: Sdp, index: number): RemoteMedia {
  const media = sdp.media[index]!;
  const security = securityOf(media);
  const prints = fingerprints(sdp, media);
  const setupValue = setup(sdp, media);
  const connection = effectiveConnection(sdp, media);
  const carried = acceptableCodecs(media, security);
  const rtcpMux = mediaAttribute(media, 'rtcp-mux') !== undefined;
  const mid = mediaAttribute(media, 'mid');
  const content = mediaAttribute(media, 'content');
  const tlsId = mediaAttribute(media, 'tls-id');
  const bandwidth = bandwidthOf(media);
  const problem = problemOf(media, index, security, prints, rtcpMux, carried);
  return {
    index,
    media: media.media === 'audio' || media.media === 'video' ? media.media : 'other',
    port: media.port,
    ...(connection === undefined ? {} : { address: { address: connection.address, port: media.port } }),
    protocol: media.protocol,
    security,
    fingerprints: prints?.accepted ?? [],
    ...(setupValue === undefined || setupValue === 'invalid' ? {} : { setup: setupValue }),
    rtcpMux,
    codecs: carried,
    ...(bandwidth === undefined ? {} : { bandwidthBitsPerSecond: bandwidth }),
    direction: direction(sdp, media),
    ...(content === undefined ? {} : { content }),
    ...(mid === undefined || !isToken(mid) ? {} : { mid }),
    ...(tlsId === undefined ? {} : { tlsId }),
    ...(problem === undefined ? {} : { problem }),
  };
}

function bandwidthOf(media: SdpMedia): number | undefined {
  const tias = media.bandwidth.find((b) => b.type === 'TIAS');
  if (tias !== undefined) return tias.value;
  const as = media.bandwidth.find((b) => b.type === 'AS');
  return as === undefined ? undefined : as.value * 1_000;
}

function problemOf(
  media: SdpMedia,
  index: number,
  security: MediaSecurity,
  prints: SdpFingerprints | undefined,
  rtcpMux: boolean,
  carried: readonly SdpCodec[],
): MediaProblem | undefined {
  if (media.port === 0) return undefined;
  const line = `m-line ${index + 1} (${media.media})`;
  if (media.media !== 'audio' && media.media !== 'video') {
    return { warnCode: 304, text: `${line}: only audio and video are carried` };
  }
  if (security === 'sdes') {
    return { warnCode: 302, text: `${line}: keys in SDP (${media.protocol}) are not accepted; DTLS-SRTP is needed` };
  }
  if (security === 'unsupported') {
    return { warnCode: 302, text: `${line}: transport ${media.protocol} is not supported` };
  }
  if (security === 'dtls') {
    if (prints === undefined) return { warnCode: 306, text: `${line}: a=fingerprint is malformed` };
    if (prints.accepted.length === 0) {
      const weak = prints.tooWeak.join(', ');
      const what = weak === '' ? 'a=fingerprint is missing' : `fingerprint ${weak} is too weak; sha-256 or better`;
      return { warnCode: 306, text: `${line}: ${what}` };
    }
    if (!rtcpMux) return { warnCode: 306, text: `${line}: a=rtcp-mux is required` };
  }
  if (carried.length === 0) return { warnCode: 305, text: `${line}: no codec in common` };
  return undefined;
}

const SENDS: ReadonlySet<SdpDirection> = new Set(['sendrecv', 'sendonly']);
const RECEIVES: ReadonlySet<SdpDirection> = new Set(['sendrecv', 'recvonly']);

/** What we may do at most, given what the peer does and what we want (RFC 3264 §6.1). */
export function narrowDirection(remote: SdpDirection, wanted: SdpDirection): SdpDirection {
  const send = RECEIVES.has(remote) && SENDS.has(wanted);
  const receive = SENDS.has(remote) && RECEIVES.has(wanted);
  if (send) return receive ? 'sendrecv' : 'sendonly';
  return receive ? 'recvonly' : 'inactive';
}
