/** Reads one m-line of a peer and says what is wrong with it (RFC 3264, RFC 5763, WIRE.md 2). */

import type { Secret } from '../base/secret.js';
import { isUnspecified } from '../wire/ip-address.js';
import {
  codecs,
  direction,
  effectiveConnection,
  fingerprints,
  mediaAttribute,
  rtcpAddress,
  setup,
} from '../wire/sdp-attributes.js';
import { cryptos, type SdesCrypto } from '../wire/sdp-crypto.js';
import { type IceProblem, readIce, type SdpIce } from '../wire/sdp-ice.js';
import type { Sdp, SdpBandwidth, SdpCodec, SdpDirection, SdpFingerprints, SdpMedia } from '../wire/sdp-types.js';
import { isToken } from '../wire/sip-scan.js';
import type { Bundle } from './bundle.js';
import { carriedCodec } from './codecs.js';
import { headerExtensions } from './header-extensions.js';
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
      return 'sdes';
    default:
      return 'unsupported';
  }
}

/** The codecs of an m-line that the switch carries. Payload types 64-95 clash with RTCP on one port (RFC 5761 §4). */
export function acceptableCodecs(media: SdpMedia): readonly SdpCodec[] {
  return codecs(media).filter((c) => {
    if (c.payloadType >= 64 && c.payloadType <= 95) return false;
    return carriedCodec(media.media, c) !== undefined;
  });
}

/**
 * @param index the m-line's place in `sdp.media`. `problem` knows nothing yet of `a=setup`: that depends on the role.
 * @param bundle the BUNDLE group that the m-line is in
 */
export function readRemoteMedia(sdp: Sdp, index: number, bundle: Bundle = []): RemoteMedia {
  const media = sdp.media[index]!;
  const security = securityOf(media);
  const prints = fingerprints(sdp, media);
  const setupValue = setup(sdp, media);
  const connection = effectiveConnection(sdp, media);
  const carried = acceptableCodecs(media);
  const rtcpMux = mediaAttribute(media, 'rtcp-mux') !== undefined;
  const mid = mediaAttribute(media, 'mid');
  const content = mediaAttribute(media, 'content');
  const tlsId = mediaAttribute(media, 'tls-id');
  const bandwidth = bandwidthOf(media.bandwidth) ?? bandwidthOf(sdp.bandwidth);
  const ice = readIce(sdp, media);
  const remoteIce =
    typeof ice === 'object'
      ? { ufrag: ice.ufrag, consents: ice.consents, verdict: iceVerdict(ice, rtcpMux) }
      : undefined;
  const addressed = connection !== undefined && !isUnspecified(connection.address);
  // With ICE its checks say where it is.
  const reachable = addressed || remoteIce?.verdict === 'used';
  const rtcp = addressed ? rtcpAddress(sdp, media) : undefined;
  const keys = cryptos(media);
  const problem = problemOf(media, index, security, prints, rtcpMux, carried, keys, ice);
  const opportunity = security === 'plain' ? opportunityOf(keys, prints, rtcpMux) : undefined;
  return {
    index,
    media: media.media === 'audio' || media.media === 'video' ? media.media : 'other',
    port: media.port,
    ...(addressed ? { address: { address: connection.address, port: media.port } } : {}),
    protocol: media.protocol,
    security,
    ...(opportunity === undefined ? {} : { opportunity }),
    fingerprints: prints?.accepted ?? [],
    ...(setupValue === undefined || setupValue === 'invalid' ? {} : { setup: setupValue }),
    rtcpMux,
    ...(rtcp === undefined ? {} : { rtcp }),
    codecs: carried,
    ...(bandwidth === undefined ? {} : { bandwidthBitsPerSecond: bandwidth }),
    direction: reachable ? direction(sdp, media) : withoutReceiving(direction(sdp, media)),
    ...(content === undefined ? {} : { content }),
    ...(mid === undefined || !isToken(mid) ? {} : { mid }),
    ...(tlsId === undefined ? {} : { tlsId }),
    cryptos: keys,
    ...(remoteIce === undefined ? {} : { ice: remoteIce }),
    ...headerExtensions(sdp, index, bundle),
    ...(mediaAttribute(media, 'bundle-only') === undefined || bundle.length === 0 ? {} : { bundleOnly: true }),
    ...(problem === undefined ? {} : { problem }),
  };
}

/** RFC 8643 §3: DTLS before keys in SDP. Its m-line is as good as any without them, so what does not fit is passed over. */
function opportunityOf(
  keys: readonly SdesCrypto[],
  prints: SdpFingerprints | undefined,
  rtcpMux: boolean,
): RemoteMedia['opportunity'] {
  if (rtcpMux && (prints?.accepted.length ?? 0) > 0) return 'dtls';
  return keys.length > 0 ? 'sdes' : undefined;
}

/** Keys that an offer or an answer brought and nobody took are not to stay in memory. */
export function wipeKeys(
  media: readonly Pick<RemoteMedia, 'cryptos'>[],
  isTaken: (key: Secret) => boolean = () => false,
): void {
  for (const { cryptos: lines } of media) {
    for (const { keyAndSalt } of lines) if (!isTaken(keyAndSalt)) keyAndSalt.wipe();
  }
}

/**
 * Two lite agents would send no checks at all: nobody would nominate, and nobody show that it wants what comes (RFC 7675).
 * RTCP on a port of its own would need candidates of its own, which we have not. Such lines are answered as without ICE.
 */
function iceVerdict({ lite, mismatch }: SdpIce, rtcpMux: boolean): NonNullable<RemoteMedia['ice']>['verdict'] {
  if (mismatch) return 'mismatch';
  if (lite) return 'both-lite';
  return rtcpMux ? 'used' : 'without-rtcp-mux';
}

/** A line that names keys all the same is secured by them (RFC 8643). */
export function withOpportunity(line: RemoteMedia): RemoteMedia {
  return line.opportunity === undefined ? line : { ...line, security: line.opportunity };
}

/** An INFO would be a third way (RFC 5168); nobody with AVPF needs it. */
export type PictureRequest = 'pli' | 'fir';

/** How a peer without TIP is asked for a key frame: what it lists decides, and AVPF without a list is taken for PLI. */
export function pictureRequest({ protocol, codecs }: RemoteMedia): { readonly pictureRequest?: PictureRequest } {
  if (!protocol.endsWith('F')) return {}; // RFC 4585 §4.1: AVPF and SAVPF
  const lists = (feedback: string) => codecs.some((c) => c.feedback.includes(feedback));
  return { pictureRequest: lists('ccm fir') && !lists('nack pli') ? 'fir' : 'pli' };
}

function withoutReceiving(written: SdpDirection): SdpDirection {
  return SENDS.has(written) ? 'sendonly' : 'inactive';
}

function bandwidthOf(lines: readonly SdpBandwidth[]): number | undefined {
  const tias = lines.find((b) => b.type === 'TIAS');
  if (tias !== undefined) return tias.value;
  const as = lines.find((b) => b.type === 'AS');
  return as === undefined ? undefined : as.value * 1_000;
}

function problemOf(
  media: SdpMedia,
  index: number,
  security: MediaSecurity,
  prints: SdpFingerprints | undefined,
  rtcpMux: boolean,
  carried: readonly SdpCodec[],
  keys: readonly SdesCrypto[],
  ice: SdpIce | IceProblem | undefined,
): MediaProblem | undefined {
  if (media.port === 0) return undefined;
  const line = `m-line ${index + 1} (${media.media})`;
  if (typeof ice === 'string') return { warnCode: 306, text: `${line}: a=${ice} is malformed or missing` };
  if (media.media !== 'audio' && media.media !== 'video') {
    return { warnCode: 304, text: `${line}: only audio and video are carried` };
  }
  if (security === 'sdes' && keys.length === 0) {
    return { warnCode: 306, text: `${line}: no a=crypto that can be taken (RFC 4568)` };
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
