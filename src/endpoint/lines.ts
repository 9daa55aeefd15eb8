/** The m-lines of a call: their sockets, their certificate, and what a channel has to know of offer and answer. */
import { randomBytes } from 'node:crypto';
import type { Media } from '../base/ids.js';
import { DTLS_MAX_MTU_BYTES } from '../base/limits.js';
import type { AssociationOptions } from '../dtls/association.js';
import { createSelfSigned, fingerprintOf } from '../dtls/certificate.js';
import { DEFAULT_ENGINE, ENGINES } from '../dtls/engines.js';
import type { AnsweredMedia, LocalCodec, RemoteMedia } from '../sip/offer-answer-types.js';
import { wipeKeys } from '../sip/remote-media.js';
import type { ChannelProfile } from '../srtp/channel-crypto.js';
import { oneByteExtension } from '../wire/rtp.js';
import { SDES_SUITES, type SdesCrypto, type SdesSuite } from '../wire/sdp-crypto.js';
import type { CallOptions, Identity } from './call-types.js';
import type { ChannelOptions, Keying, OutgoingStream } from './channel-types.js';
import { type LineCallbacks, MediaLine } from './media-line.js';

export const CODECS: Readonly<Record<Media, LocalCodec>> = {
  audio: { name: 'opus', payloadType: 96 },
  video: { name: 'H264', payloadType: 112, profileLevelId: '42e01f' },
};
const CLOCK_HZ: Readonly<Record<Media, number>> = { audio: 48_000, video: 90_000 };

/** A certificate of our own, for one description of the session or for many. */
export async function newIdentity(name: string): Promise<Identity> {
  const certificate = await createSelfSigned(name, Date.now());
  const { value } = fingerprintOf(certificate.certificatePem, 'sha-256');
  return { certificate, fingerprint: { algorithm: 'sha-256', value } };
}

export async function openLines(
  media: readonly Media[],
  address: string,
  callbacks: LineCallbacks,
  options: Pick<CallOptions, 'security' | 'bundle'> = {},
): Promise<MediaLine[]> {
  const lines: MediaLine[] = [];
  for (const kind of media) {
    const [leader] = lines;
    const follows = leader !== undefined && isBundled(options);
    lines.push(follows ? MediaLine.following(leader, kind) : await MediaLine.open(kind, address, callbacks));
  }
  return lines;
}

/** What the other side said of the m-line, and our DTLS role where it is one. */
export type RemoteLine = RemoteMedia & { readonly role?: 'client' | 'server' };

/** What the other side offered, as we have answered it. */
export function answeredLines(
  offered: readonly RemoteMedia[],
  answered: readonly AnsweredMedia[],
  ownOf: (media: Media) => Identity | SdesCrypto | undefined,
): RemoteLine[] {
  return offered.map((m, i) => {
    const { accepted, role } = answered[i]!;
    const port = accepted ? m.port : 0;
    return { ...m, port, cryptos: takenKeys(m, ownOf), ...(role === undefined ? {} : { role }) };
  });
}

/** Of the keys that were offered those that we answered; the others are wiped. */
function takenKeys(
  offered: RemoteMedia,
  ownOf: (media: Media) => Identity | SdesCrypto | undefined,
): readonly SdesCrypto[] {
  const own = offered.media === 'other' ? undefined : ownOf(offered.media);
  const cryptos = offered.cryptos.filter(({ tag }) => own !== undefined && 'tag' in own && own.tag === tag);
  wipeKeys([offered], (key) => cryptos.some(({ keyAndSalt }) => keyAndSalt === key));
  return cryptos;
}

/** Lets media flow on the line as it was agreed; false where the other side wants none of it. */
export function startLine(
  line: MediaLine,
  remote: RemoteLine,
  options: CallOptions,
  keys: Identity | SdesCrypto | undefined,
  ssrcs: SsrcBook,
): boolean {
  if (remote.port === 0 || remote.address === undefined) {
    line.close();
    return false;
  }
  line.payloadType = remote.codecs[0]?.payloadType ?? CODECS[line.media].payloadType;
  const inputs = (options[line.media] ?? []).map(({ position }) => position);
  const positions = new Set([...inputs, ...(options.externalPositions ?? [])]);
  const streams: OutgoingStream[] = [...positions].map((position) => ({
    position,
    ssrc: ssrcs.of(line.media, position),
  }));
  const standard = isStandard(options);
  const shared = line.leader?.security;
  const keying = shared === undefined ? keys && keyingOf(keys, remote, options) : { shared };
  const channel: ChannelOptions = {
    media: line.media,
    controlSsrc: (standard ? streams[0]?.ssrc : undefined) ?? newSsrc('control'),
    cname: options.name ?? 'endpoint',
    streams,
    receiveMask: options.screens === 3 ? 0b1110 : 0b0010,
    clockRateHz: CLOCK_HZ[line.media],
    nack: remote.codecs[0]?.feedback.includes('nack') ?? false,
    tipVersion: options.tipVersion ?? 8,
    conferenceId: 0n,
    random: (bytes) => Uint8Array.from(randomBytes(bytes)),
    logKeys: options.onKeys !== undefined,
    standard,
    ...(keying === undefined ? {} : { keying }),
    ...nameOf(remote),
  };
  line.start({ address: remote.address.address, port: remote.port }, channel);
  return true;
}

/** RFC 9143 §15: the other side reads the names of lines. */
function nameOf({ mid, midId }: RemoteLine): Pick<ChannelOptions, 'extension'> {
  if (mid === undefined || midId === undefined) return {};
  return { extension: oneByteExtension(midId, Buffer.from(mid)) };
}

/** What the endpoint says of itself in Contact, and which keys media is under. */
export function isStandard({ security }: Pick<CallOptions, 'security'>): boolean {
  return security === 'dtls-srtp' || security === 'sdes';
}

/** Both lines over one transport, if the switch will. */
function isBundled({ security, bundle }: Pick<CallOptions, 'security' | 'bundle'>): boolean {
  return bundle === true && security === 'dtls-srtp';
}

/** By our certificate, or our key in SDP beside the one in the answer. */
function keyingOf(own: Identity | SdesCrypto, remote: RemoteLine, options: CallOptions): Keying | undefined {
  if ('certificate' in own) {
    return { factory: ENGINES[options.dtlsEngine ?? DEFAULT_ENGINE], options: associationOptions(remote, own) };
  }
  const [theirs] = remote.cryptos;
  const profile = channelProfile(own.suite);
  if (theirs === undefined || profile === undefined)
    throw new Error('an sdes m-line without keys for us was taken for an answer');
  return { keys: { profile, local: own.keyAndSalt, remote: theirs.keyAndSalt } };
}

/** Starts a new association on each line that is in use, or puts it under the keys that SDP has now. */
export function renewLines(
  lines: readonly MediaLine[],
  remote: readonly RemoteLine[],
  options: CallOptions,
  ownOf: (media: Media) => Identity | SdesCrypto | undefined,
): void {
  for (const [i, line] of lines.entries()) {
    const now = remote[i];
    const own = line.leader === undefined ? ownOf(line.media) : undefined;
    const keying = own === undefined || now === undefined || now.port === 0 ? undefined : keyingOf(own, now, options);
    if (keying !== undefined) line.receive({ type: 'renew', keying });
  }
}

/** The relay's and our number of what this endpoint can do of SDES; undefined: it cannot. */
export function channelProfile(suite: SdesSuite): ChannelProfile | undefined {
  const { profile } = SDES_SUITES[suite];
  return profile === 1 || profile === 7 || profile === 8 ? profile : undefined;
}

/** Of an association on this line, the first or one that takes over. */
function associationOptions(remote: RemoteLine, identity: Identity): AssociationOptions {
  return {
    role: remote.role ?? 'client',
    ...identity.certificate,
    peerFingerprints: remote.fingerprints,
    // The switch chooses: 0x0008 in conferences of suite 18 (WIRE.md 4.3).
    profiles: [0x0001, 0x0008],
    mtuBytes: DTLS_MAX_MTU_BYTES,
  };
}

/** The SSRC of each of our places: the same for as long as the endpoint remembers it. */
export class SsrcBook {
  readonly #known: Map<string, number>;

  constructor(known: ReadonlyMap<string, number> = new Map()) {
    this.#known = new Map(known);
  }

  get entries(): ReadonlyMap<string, number> {
    return this.#known;
  }

  of(media: Media, position: number): number {
    const key = `${media} ${position}`;
    const ssrc = this.#known.get(key) ?? newSsrc('media');
    this.#known.set(key, ssrc);
    return ssrc;
  }
}

/** A random SSRC of the media kind: its low byte is not 00 (WIRE.md 3); `control`: it is. */
function newSsrc(kind: 'media' | 'control'): number {
  const bytes = randomBytes(4);
  if (kind === 'control') bytes[3] = 0;
  else if (bytes[3] === 0) bytes[3] = 1;
  return bytes.readUInt32BE();
}
