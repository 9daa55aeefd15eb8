/** The m-lines of a call: their sockets, their certificate, and what a channel has to know of offer and answer. */
import { randomBytes } from 'node:crypto';
import type { Media } from '../base/ids.js';
import { DTLS_MAX_MTU_BYTES } from '../base/limits.js';
import { createSelfSigned, fingerprintOf } from '../dtls/certificate.js';
import { DEFAULT_ENGINE, ENGINES } from '../dtls/engines.js';
import type { LocalCodec, RemoteMedia } from '../sip/offer-answer-types.js';
import type { SdpFingerprint } from '../wire/sdp-types.js';
import type { CallOptions } from './call-types.js';
import type { ChannelOptions, OutgoingStream } from './channel-types.js';
import { type LineCallbacks, MediaLine } from './media-line.js';

export const CODECS: Readonly<Record<Media, LocalCodec>> = {
  audio: { name: 'opus', payloadType: 96 },
  video: { name: 'H264', payloadType: 112, profileLevelId: '42e01f' },
};
const CLOCK_HZ: Readonly<Record<Media, number>> = { audio: 48_000, video: 90_000 };

export interface Identity {
  readonly certificate: Awaited<ReturnType<typeof createSelfSigned>>;
  readonly fingerprint: SdpFingerprint;
}

/** A certificate of our own, for one description of the session. */
export async function newIdentity(name: string): Promise<Identity> {
  const certificate = await createSelfSigned(name, Date.now());
  const { value } = fingerprintOf(certificate.certificatePem, 'sha-256');
  return { certificate, fingerprint: { algorithm: 'sha-256', value } };
}

export async function openLines(
  media: readonly Media[],
  address: string,
  callbacks: LineCallbacks,
): Promise<MediaLine[]> {
  const lines: MediaLine[] = [];
  for (const kind of media) lines.push(await MediaLine.open(kind, address, callbacks));
  return lines;
}

/** What the other side said of the m-line, and our DTLS role where it is one. */
export type RemoteLine = RemoteMedia & { readonly role?: 'client' | 'server' };

/** Lets media flow on the line as it was agreed; false where the other side wants none of it. */
export function startLine(
  line: MediaLine,
  remote: RemoteLine,
  options: CallOptions,
  identity: Identity | undefined,
): boolean {
  if (remote.port === 0 || remote.address === undefined) {
    line.close();
    return false;
  }
  line.payloadType = remote.codecs[0]?.payloadType ?? CODECS[line.media].payloadType;
  const inputs = (options[line.media] ?? []).map(({ position }) => position);
  const positions = new Set([...inputs, ...(options.externalPositions ?? [])]);
  const streams: OutgoingStream[] = [...positions].map((position) => ({ position, ssrc: newSsrc('media') }));
  const channel: ChannelOptions = {
    media: line.media,
    controlSsrc: newSsrc('control'),
    cname: options.name ?? 'endpoint',
    streams,
    receiveMask: options.screens === 3 ? 0b1110 : 0b0010,
    clockRateHz: CLOCK_HZ[line.media],
    nack: remote.codecs[0]?.feedback.includes('nack') ?? false,
    tipVersion: options.tipVersion ?? 8,
    conferenceId: 0n,
    random: (bytes) => Uint8Array.from(randomBytes(bytes)),
    logKeys: options.onKeys !== undefined,
    ...(identity === undefined
      ? {}
      : {
          dtls: {
            factory: ENGINES[options.dtlsEngine ?? DEFAULT_ENGINE],
            options: {
              role: remote.role ?? 'client',
              ...identity.certificate,
              peerFingerprints: remote.fingerprints,
              // The switch chooses: 0x0008 in conferences of suite 18 (WIRE.md 4.3).
              profiles: [0x0001, 0x0008],
              mtuBytes: DTLS_MAX_MTU_BYTES,
            },
          },
        }),
  };
  line.start({ address: remote.address.address, port: remote.port }, channel);
  return true;
}

/** A random SSRC of the media kind: its low byte is not 00 (WIRE.md 3); `control`: it is. */
function newSsrc(kind: 'media' | 'control'): number {
  const bytes = randomBytes(4);
  if (kind === 'control') bytes[3] = 0;
  else if (bytes[3] === 0) bytes[3] = 1;
  return bytes.readUInt32BE();
}
