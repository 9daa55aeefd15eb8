/** Offer/answer (RFC 3264) with DTLS-SRTP (RFC 5763, RFC 8842) as WIRE.md 2 wants it. Pure functions over SDP text. */
import { ok, type Result, refuse } from '../base/result.js';
import { parseSdp, writeSdp } from '../wire/sdp.js';
import { codecs, writeFingerprint } from '../wire/sdp-attributes.js';
import { takenCrypto, writeCrypto } from '../wire/sdp-crypto.js';
import { ICE_MISMATCH, ICE_SESSION_ATTRIBUTES, iceAttributes } from '../wire/sdp-ice.js';
import type {
  SdpAttribute,
  SdpBandwidth,
  SdpCodec,
  SdpConnection,
  SdpDirection,
  SdpMedia,
  SdpRefusalReason,
} from '../wire/sdp-types.js';
import { addressFamily } from '../wire/sip-address.js';
import { bundlesOf, groupAttributes, partedLine, spelledOut, tagOf } from './bundle.js';
import { answeredFmtp, offeredCodec } from './codecs.js';
import { extensionAttributes, type HeaderExtensions } from './header-extensions.js';
import type {
  Answer,
  AnsweredMedia,
  DisabledLine,
  LocalAnswer,
  LocalCodec,
  LocalMediaAnswer,
  LocalMediaOffer,
  LocalOffer,
  LocalSession,
  MediaProblem,
  Offer,
  OfferRules,
  RemoteMedia,
} from './offer-answer-types.js';
import { narrowDirection, readRemoteMedia, wipeKeys, withOpportunity } from './remote-media.js';

/** Feedback that we answer and offer on AVPF profiles (RFC 4585, RFC 5104). */
const FEEDBACK: readonly string[] = ['nack pli', 'ccm fir'];
/** RFC 4796: a presentation. */
const SLIDES = 'slides';
/** Lost packets are sent again where the one who asks can be authenticated, and only of video. */
const SECURED_VIDEO_FEEDBACK: readonly string[] = ['nack', ...FEEDBACK];

/** Reads a peer's offer. Each m-line says by `problem` why it cannot be accepted; the offer as a whole fails only as SDP. */
export function readOffer(text: string | Uint8Array, rules: OfferRules = {}): Result<Offer, SdpRefusalReason> {
  const parsed = parseSdp(text);
  if (!parsed.ok) return parsed;
  const sdp = spelledOut(parsed.value);
  const bundles = bundlesOf(sdp);
  const media = sdp.media.map((_, index) => {
    const m = readRemoteMedia(
      sdp,
      index,
      bundles.find((bundle) => bundle.includes(index)),
    );
    const problem = m.port === 0 ? undefined : (m.problem ?? setupProblem(m, rules));
    return problem === undefined ? m : { ...m, problem };
  });
  return ok({ sdp, media, bundles });
}

/** The offer with every line secured that can be, also where it would do without (RFC 8643). */
export function takeOpportunities(offer: Offer): Offer {
  const media = offer.media.map((line) => {
    const taken = withOpportunity(line);
    // DTLS needs a role; a line that names none stays what it says that it is.
    return taken.security === 'dtls' && setupProblem(taken, {}) !== undefined ? line : taken;
  });
  return { ...offer, media };
}

/** RFC 5763 §5: the offerer says actpass, or active or passive. RFC 8842 §5.2: the attribute must be there. */
function setupProblem(m: RemoteMedia, rules: OfferRules): MediaProblem | undefined {
  if (m.security !== 'dtls' || m.setup === 'actpass' || m.setup === 'active') return undefined;
  if (m.setup === 'passive' && rules.acceptPassive === true) return undefined;
  const line = `m-line ${m.index + 1} (${m.media})`;
  return { warnCode: 306, text: `${line}: a=setup must be actpass or active, not ${m.setup ?? 'missing'}` };
}

/**
 * Writes the answer: the offer's m-lines in their order, refused ones with port 0.
 * @returns the SDP and what was agreed on each m-line; refused when nothing is accepted (488) or `local.media` does not
 * have one entry an m-line. Throws when an accepted DTLS m-line lacks our fingerprint or an address is not a literal: our bug.
 */
export function answer(
  offer: Offer,
  local: LocalAnswer,
): Result<{ readonly sdp: string; readonly media: readonly AnsweredMedia[] }, 'media-count' | 'nothing-accepted'> {
  if (local.media.length !== offer.media.length) return refuse('media-count');
  const { bundles = [] } = local;
  const answered: AnsweredMedia[] = [];
  const media: SdpMedia[] = [];
  for (const [i, remote] of offer.media.entries()) {
    const mine = local.media[i];
    const chosen = chosenCodecs(remote, mine);
    const bundled = bundles.some((bundle) => bundle.includes(i));
    const usable = remote.port !== 0 && remote.problem === undefined && (remote.bundleOnly !== true || bundled);
    if (mine === undefined || !usable || chosen.length === 0) {
      const { mid } = remote;
      media.push(refusedMedia({ ...offer.sdp.media[i]!, ...(mid === undefined ? {} : { mid }) }));
      answered.push({ index: i, accepted: false, codecs: [], direction: 'inactive' });
      continue;
    }
    const direction = narrowDirection(remote.direction, mine.direction ?? 'sendrecv');
    const tag = tagOf(bundles, i);
    const role = local.media[tag]?.role ?? (offer.media[tag]!.setup === 'passive' ? 'client' : 'server');
    const attributes: SdpAttribute[] = remote.mid === undefined ? [] : [{ name: 'mid', value: remote.mid }];
    attributes.push(...codecAttributes(chosen, remote.protocol), { name: direction });
    if (remote.content === SLIDES) attributes.push({ name: 'content', value: SLIDES });
    if (remote.security === 'dtls') {
      const tlsId = remote.tlsId === undefined ? undefined : mine.tlsId;
      attributes.push(...dtlsAttributes(local, role === 'server' ? 'passive' : 'active', tlsId));
    } else if (remote.rtcpMux) attributes.push({ name: 'rtcp-mux' });
    if (remote.security === 'sdes') attributes.push({ name: 'crypto', value: ownCrypto(remote, mine) });
    attributes.push(...extensionAttributes(takenExtensions(remote, mine)), ...mirrored(offer.sdp.media[i]!));
    if (remote.ice?.verdict === 'used' && tag === i) attributes.push(...ownIce(local, mine));
    else if (remote.ice?.verdict === 'mismatch') attributes.push(ICE_MISMATCH);
    media.push({
      media: remote.media,
      port: mine.port,
      protocol: remote.protocol,
      formats: chosen.map((c) => String(c.payloadType)),
      ...ownConnection(mine.address),
      bandwidth: bandwidthLine(mine.bandwidthBitsPerSecond),
      attributes,
    });
    answered.push({
      index: i,
      accepted: true,
      ...(remote.security === 'dtls' ? { role } : {}),
      codecs: chosen,
      direction,
    });
  }
  if (!answered.some((m) => m.accepted)) return refuse('nothing-accepted');
  const accepted = bundles.map((bundle) => bundle.filter((i) => answered[i]!.accepted));
  const group = groupAttributes(accepted, (i) => offer.media[i]!.mid);
  const mixed = offer.sdp.attributes.some(({ name }) => name === MIXED) ? [{ name: MIXED }] : [];
  return ok({ sdp: writeSession(local, [...group, ...mixed], media), media: answered });
}

/** RFC 8285 §6: packets with either form of header extensions are welcome; we read both. */
const MIXED = 'extmap-allow-mixed';
/** What is ours to say where the offer says it: also RFC 5506, feedback in compounds of its own. */
function mirrored({ attributes, protocol }: SdpMedia): SdpAttribute[] {
  const has = (wanted: string) => attributes.some(({ name }) => name === wanted);
  return [
    ...(has(MIXED) ? [{ name: MIXED }] : []),
    ...(has('rtcp-rsize') && protocol.endsWith('F') ? [{ name: 'rtcp-rsize' }] : []),
  ];
}

function takenExtensions(
  { audioLevelId, midId }: RemoteMedia,
  { audioLevels, named }: LocalMediaAnswer,
): HeaderExtensions {
  return {
    ...(audioLevels === true && audioLevelId !== undefined ? { audioLevelId } : {}),
    ...(named === true && midId !== undefined ? { midId } : {}),
  };
}

function iceIsUsed(media: readonly SdpMedia[]): boolean {
  return media.some(({ attributes }) => attributes.some(({ name }) => name === 'ice-ufrag'));
}

function ownIce(local: LocalSession, { ice, address, port }: Pick<LocalMediaAnswer, 'ice' | 'address' | 'port'>) {
  return ice === undefined || port === 0 ? [] : iceAttributes(ice, address ?? local.address, port);
}

/** RFC 4568 §5.1.2: one of the offered lines, by its tag. */
function ownCrypto(remote: RemoteMedia, { crypto }: LocalMediaAnswer): string {
  const offered = remote.cryptos.some(({ tag, suite }) => tag === crypto?.tag && suite === crypto.suite);
  if (crypto === undefined || !offered) throw new Error('an sdes m-line needs our key for a line that was offered');
  return writeCrypto(crypto);
}

function chosenCodecs(remote: RemoteMedia, mine: LocalMediaAnswer | undefined): readonly SdpCodec[] {
  const wanted = mine?.payloadTypes;
  const chosen = wanted === undefined ? remote.codecs : remote.codecs.filter((c) => wanted.includes(c.payloadType));
  const secured = remote.security !== 'plain' && remote.media === 'video' ? SECURED_VIDEO_FEEDBACK : FEEDBACK;
  const feedback = remote.protocol.endsWith('F') ? secured : [];
  return chosen.map((c) => ({
    ...c,
    fmtp: answeredFmtp(remote.media, c),
    feedback: c.feedback.filter((f) => feedback.includes(f)),
  }));
}

function refusedMedia({ media, protocol, formats, mid }: Omit<DisabledLine, 'port'>): SdpMedia {
  const attributes = mid === undefined ? [] : [{ name: 'mid', value: mid }];
  return { media, port: 0, protocol, formats, bandwidth: [], attributes };
}

function codecAttributes(list: readonly SdpCodec[], protocol: string): SdpAttribute[] {
  const out: SdpAttribute[] = [];
  for (const c of list) {
    const channels = c.channels === 1 ? '' : `/${c.channels}`;
    out.push({ name: 'rtpmap', value: `${c.payloadType} ${c.name}/${c.clockRateHz}${channels}` });
    if (c.fmtp !== '') out.push({ name: 'fmtp', value: `${c.payloadType} ${c.fmtp}` });
    if (!protocol.endsWith('F')) continue; // RFC 4585 §4.2: rtcp-fb belongs to the AVPF profiles
    for (const f of c.feedback) out.push({ name: 'rtcp-fb', value: `${c.payloadType} ${f}` });
  }
  return out;
}

/** RFC 3890 §6.2: bit/s without the transport's overhead. */
function bandwidthLine(bitsPerSecond: number | undefined): readonly SdpBandwidth[] {
  return bitsPerSecond === undefined ? [] : [{ type: 'TIAS', value: Math.floor(bitsPerSecond) }];
}

function dtlsAttributes(
  local: LocalSession,
  setupValue: 'active' | 'passive' | 'actpass',
  tlsId: string | undefined,
): SdpAttribute[] {
  if (local.fingerprint === undefined) throw new Error('a DTLS m-line needs the local fingerprint');
  return [
    { name: 'rtcp-mux' },
    { name: 'setup', value: setupValue },
    { name: 'fingerprint', value: writeFingerprint(local.fingerprint) },
    ...(tlsId === undefined ? [] : [{ name: 'tls-id', value: tlsId }]),
  ];
}

function literal(address: string): SdpConnection {
  const family = addressFamily(address);
  if (family === undefined) throw new Error('a local media address must be an IPv4 or IPv6 literal');
  return { family, address };
}

function ownConnection(address: string | undefined): { readonly connection?: SdpConnection } {
  return address === undefined ? {} : { connection: literal(address) };
}

function writeSession(local: LocalSession, attributes: readonly SdpAttribute[], media: readonly SdpMedia[]): string {
  const connection = literal(local.address);
  return writeSdp({
    origin: {
      username: '-',
      sessionId: local.sessionId,
      sessionVersion: String(local.sessionVersion),
      ...connection,
    },
    sessionName: '-',
    connection,
    bandwidth: [],
    attributes: iceIsUsed(media) ? [...attributes, ...ICE_SESSION_ATTRIBUTES] : attributes,
    media,
  });
}

/** Writes our offer: `a=setup:actpass` and `a=rtcp-mux` on DTLS m-lines. Throws as {@link answer} does. */
export function createOffer(local: LocalOffer): string {
  const group = groupAttributes(local.bundles ?? [], (i) => local.media[i]!.mid);
  const media = local.media.map((m) => ('formats' in m ? refusedMedia(m) : offeredMedia(local, m)));
  return writeSession(local, group, media);
}

const DEFAULT_PROTOCOL = { dtls: 'UDP/TLS/RTP/SAVPF', plain: 'RTP/AVP', sdes: 'RTP/SAVP' } as const;

function offeredMedia(local: LocalOffer, m: LocalMediaOffer): SdpMedia {
  const protocol = m.protocol ?? DEFAULT_PROTOCOL[m.security];
  const attributes: SdpAttribute[] = m.mid === undefined ? [] : [{ name: 'mid', value: m.mid }];
  if (m.port === 0) attributes.push({ name: 'bundle-only' });
  const list = m.codecs.map((c) => ('clockRateHz' in c ? c : ownCodec(m.media, c)));
  attributes.push(...codecAttributes(list, protocol));
  attributes.push({ name: m.direction ?? 'sendrecv' }, ...extensionAttributes(m.extensions ?? {}));
  if (m.content !== undefined) attributes.push({ name: 'content', value: m.content });
  attributes.push(...(m.security === 'dtls' ? dtlsAttributes(local, 'actpass', m.tlsId) : [{ name: 'rtcp-mux' }]));
  if (m.security === 'sdes') {
    const { cryptos = [] } = m;
    if (cryptos.length === 0) throw new Error('an sdes m-line needs our key');
    for (const crypto of cryptos) attributes.push({ name: 'crypto', value: writeCrypto(crypto) });
  }
  attributes.push(...ownIce(local, m));
  return {
    media: m.media,
    port: m.port,
    protocol,
    formats: list.map((c) => String(c.payloadType)),
    ...ownConnection(m.address),
    bandwidth: bandwidthLine(m.bandwidthBitsPerSecond),
    attributes,
  };
}

/** Feedback is written on DTLS m-lines only: our plain ones are AVP. */
function ownCodec(media: string, { name, payloadType, profileLevelId }: LocalCodec): SdpCodec {
  const codec = offeredCodec(name, payloadType, media === 'video' ? SECURED_VIDEO_FEEDBACK : []);
  return profileLevelId === undefined
    ? codec
    : { ...codec, fmtp: codec.fmtp.replace(/profile-level-id=[^;]*/, `profile-level-id=${profileLevelId}`) };
}

export type AnswerRefusal =
  | SdpRefusalReason
  | 'media-count'
  | 'media-type'
  | 'protocol'
  | 'codec'
  | 'direction'
  | 'setup'
  | 'fingerprint'
  | 'rtcp-mux'
  | 'crypto'
  | 'bundle';

/**
 * Reads the peer's answer and checks that it fits our offer (RFC 3264 §6, RFC 5763 §5).
 * @param offerText what {@link createOffer} gave. @returns one entry an m-line, or the first thing that does not fit.
 */
export function readAnswer(offerText: string, text: string | Uint8Array): Result<Answer, AnswerRefusal> {
  const read = parseSdp(offerText);
  if (!read.ok) throw new Error(`our own offer is not valid SDP: ${read.reason}`);
  const offered = spelledOut(read.value);
  const parsed = parseSdp(text);
  if (!parsed.ok) return parsed;
  const sdp = spelledOut(parsed.value);
  if (sdp.media.length !== offered.media.length) return refuse('media-count');
  const bundles = bundlesOf(sdp);
  const media: Answer['media'][number][] = [];
  for (const [i, line] of sdp.media.entries()) {
    const where = `m-line ${i + 1}`;
    const ours = offered.media[i]!;
    if (line.media !== ours.media) {
      wipeKeys(media);
      return refuse('media-type', where);
    }
    const m = withOpportunity(
      readRemoteMedia(
        sdp,
        i,
        bundles.find((bundle) => bundle.includes(i)),
      ),
    );
    if (m.port === 0) {
      media.push({ ...m, accepted: false });
      continue;
    }
    const own = withOpportunity(readRemoteMedia(offered, i));
    const misfit = answerMisfit(ours, own, line, m);
    wipeKeys([own]);
    if (misfit !== undefined) {
      wipeKeys([...media, m]);
      return refuse(misfit, where);
    }
    const role =
      m.security !== 'dtls' ? {} : { role: m.setup === 'active' ? ('server' as const) : ('client' as const) };
    media.push({ ...m, accepted: true, ...role });
  }
  const apart = partedLine(read.value, bundles, (i) => media[i]!.accepted);
  if (apart !== undefined) {
    wipeKeys(media);
    return refuse('bundle', `m-line ${apart + 1}`);
  }
  return ok({ sdp, media, bundles });
}

function answerMisfit(offered: SdpMedia, ours: RemoteMedia, line: SdpMedia, m: RemoteMedia): AnswerRefusal | undefined {
  if (ours.port === 0 || line.protocol !== offered.protocol) return 'protocol';
  const known = codecs(offered);
  const fits = (c: SdpCodec): boolean =>
    known.some(
      (o) =>
        o.name.toLowerCase() === c.name.toLowerCase() && o.clockRateHz === c.clockRateHz && o.channels === c.channels,
    );
  const answered = codecs(line);
  if (m.codecs.length === 0 || answered.length !== line.formats.length || !answered.every(fits)) return 'codec';
  if (narrowDirection(ours.direction, m.direction) !== (m.direction satisfies SdpDirection)) return 'direction';
  // What we offered with keys is not answered without them.
  if (ours.security !== m.security) return 'crypto';
  if (m.security === 'sdes') {
    // Keys that were never offered are somebody else's (RFC 4568 §5.1.3).
    const taken = takenCrypto(ours.cryptos, line, m.cryptos);
    return taken === undefined || taken === 'not-offered' ? 'crypto' : undefined;
  }
  if (m.security !== 'dtls') return undefined;
  if (m.fingerprints.length === 0) return 'fingerprint';
  if (!m.rtcpMux) return 'rtcp-mux';
  // RFC 5763 §5: the answerer decides; actpass and holdconn decide nothing.
  return m.setup === 'active' || m.setup === 'passive' ? undefined : 'setup';
}
