/** What a call of the endpoint and the switch have told each other in SDP, and what changes it while the call is up. */
import { randomBytes } from 'node:crypto';
import { equalBytes } from '../base/bytes.js';
import type { Media } from '../base/ids.js';
import { Secret } from '../base/secret.js';
import { wantsNewAssociation } from '../sip/media-session.js';
import { answer, createOffer, readAnswer } from '../sip/offer-answer.js';
import type { Answer, LocalSession, Offer, RemoteMedia } from '../sip/offer-answer-types.js';
import { SDES_SUITES, type SdesCrypto } from '../wire/sdp-crypto.js';
import type { SdpDirection } from '../wire/sdp-types.js';
import type { CallOptions, Identity } from './call-types.js';
import { CODECS, type RemoteLine } from './lines.js';
import type { MediaLine } from './media-line.js';

/** RFC 8842 §4: 20 characters at least. */
const newTlsId = (): string => randomBytes(12).toString('hex');

/** Of all lines of a call. */
export type Security = 'dtls' | 'plain' | 'sdes';

/** How the call is to begin. */
export function securityOf({ security = 'dtls' }: Pick<CallOptions, 'security'>): Security {
  return security === 'dtls-srtp' ? 'dtls' : security;
}

export class Description {
  identity: Identity | undefined;
  /** Undefined until something is offered or agreed. */
  security: Security | undefined;
  /** Of the lines in use, as the switch described them last. */
  remote: readonly RemoteLine[] = [];
  readonly #sessionId = String(randomBytes(6).readUIntBE(0, 6));
  readonly #address: string;
  #version = 0;
  #tlsId = newTlsId();
  /** What the re-INVITE under way is to end with. */
  #pending: ((answer: { readonly sdp: string } | Error) => void) | undefined;

  /** Our keys in SDP (RFC 4568): the same ones for as long as the call is up. */
  readonly #cryptos = new Map<Media, SdesCrypto>();

  constructor(
    address: string,
    private readonly suite: NonNullable<CallOptions['sdesSuite']> = 'AES_CM_128_HMAC_SHA1_80',
  ) {
    this.#address = address;
  }

  /** What keys a line: our certificate, or our key in SDP; undefined: nothing does. */
  keying(media: Media): Identity | SdesCrypto | undefined {
    return this.security === 'sdes' ? this.#crypto(media) : this.identity;
  }

  #crypto(media: Media): SdesCrypto {
    let crypto = this.#cryptos.get(media);
    if (crypto === undefined) {
      const { keyBytes, saltBytes } = SDES_SUITES[this.suite];
      const keyAndSalt = new Secret(Uint8Array.from(randomBytes(keyBytes + saltBytes)));
      crypto = { tag: 1, suite: this.suite, keyAndSalt };
      this.#cryptos.set(media, crypto);
    }
    return crypto;
  }

  wipe(): void {
    for (const { keyAndSalt } of this.#cryptos.values()) keyAndSalt.wipe();
    for (const { cryptos } of this.remote) for (const { keyAndSalt } of cryptos) keyAndSalt.wipe();
  }

  /** Of our next SDP; its version rises by one each time. */
  session(identity: Identity | undefined): LocalSession {
    return {
      sessionId: this.#sessionId,
      sessionVersion: ++this.#version,
      address: this.#address,
      ...(identity === undefined ? {} : { fingerprint: identity.fingerprint }),
    };
  }

  offer(
    lines: readonly MediaLine[],
    identity = this.identity,
    direction: SdpDirection = 'sendrecv',
    tlsId = this.#tlsId,
  ): string {
    const { security = 'dtls' } = this;
    return createOffer({
      ...this.session(identity),
      media: lines.map(({ media, local: { port } }) => {
        const codecs = [CODECS[media]];
        const line = { media, port, security, direction, codecs };
        if (security === 'dtls') return { ...line, tlsId };
        if (security === 'plain') return line;
        // With feedback, so that the switch may ask for a picture that can be decoded.
        return { ...line, protocol: media === 'video' ? 'RTP/SAVPF' : 'RTP/SAVP', crypto: this.#crypto(media) };
      }),
    });
  }

  /** Offers the lines anew, for new keys where there is another identity; one at a time. Rejects when it is not agreed. */
  async reoffer(
    lines: readonly MediaLine[],
    identity: Identity | undefined,
    direction: SdpDirection,
    send: (sdp: string) => void,
  ): Promise<Answer> {
    if (this.#pending !== undefined) throw new Error('another re-INVITE is under way');
    const tlsId = identity === this.identity ? this.#tlsId : newTlsId();
    const sdp = this.offer(lines, identity, direction, tlsId);
    const answered = await new Promise<{ readonly sdp: string }>((resolve, reject) => {
      this.#pending = (result) => (result instanceof Error ? reject(result) : resolve(result));
      send(sdp);
    });
    const read = readAnswer(sdp, answered.sdp);
    if (!read.ok) throw new Error(`the answer does not fit our offer: ${read.reason}`);
    this.identity = identity;
    this.#tlsId = tlsId;
    return read.value;
  }

  /** What became of the re-INVITE under way; false: there is none. */
  outcome(result: { readonly sdp: string } | Error): boolean {
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.(result);
    return pending !== undefined;
  }

  /**
   * Our answer where the switch offers what there is: another direction, a new association, or nothing new.
   * @returns undefined when it cannot be answered
   */
  answerSame(
    offer: Offer,
    lines: readonly MediaLine[],
  ): { readonly sdp: string; readonly remote: readonly RemoteLine[]; readonly renewed: boolean } | undefined {
    const before = this.remote;
    if (this.security === 'sdes' && offer.media.some((m, i) => m.port !== 0 && !sameKeys(before[i], m)))
      return undefined;
    const renewed = offer.media.some((m, i) => before[i] !== undefined && wantsNewAssociation(before[i], m));
    if (renewed) this.#tlsId = newTlsId();
    const answered = answer(offer, {
      ...this.session(this.identity),
      media: offer.media.map((m) => {
        const line = lines.find(({ media }) => media === m.media);
        const role = renewed ? undefined : before.find(({ media }) => media === m.media)?.role;
        if (line === undefined) return undefined;
        const crypto = this.security === 'sdes' ? { ...this.#crypto(line.media), tag: m.cryptos[0]!.tag } : undefined;
        const mine = { port: line.local.port, tlsId: this.#tlsId, ...(role === undefined ? {} : { role }) };
        return crypto === undefined ? mine : { ...mine, crypto };
      }),
    });
    if (!answered.ok) return undefined;
    const remote = offer.media.map((m, i): RemoteLine => {
      const { role } = answered.value.media[i]!;
      return role === undefined ? m : { ...m, role };
    });
    return { sdp: answered.value.sdp, remote, renewed };
  }
}

/** The switch's keys are those that the line runs under: we never take others. */
function sameKeys(before: RemoteLine | undefined, now: RemoteMedia): boolean {
  const [was] = before?.cryptos ?? [];
  const [is] = now.cryptos;
  if (was === undefined || is === undefined || was.suite !== is.suite) return false;
  return was.keyAndSalt.use((a) => is.keyAndSalt.use((b) => equalBytes(a, b)));
}
