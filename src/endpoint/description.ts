/** What a call of the endpoint and the switch have told each other in SDP, and what changes it while the call is up. */
import { randomBytes } from 'node:crypto';
import type { Media } from '../base/ids.js';
import { Secret } from '../base/secret.js';
import { wantsNewAssociation } from '../sip/media-session.js';
import { answer, createOffer, readAnswer } from '../sip/offer-answer.js';
import type { Answer, LocalMediaAnswer, LocalSession, Offer, RemoteMedia } from '../sip/offer-answer-types.js';
import { wipeKeys } from '../sip/remote-media.js';
import { SDES_SUITES, type SdesCrypto, type SdesSuite } from '../wire/sdp-crypto.js';
import type { SdpDirection } from '../wire/sdp-types.js';
import type { CallOptions, Identity } from './call-types.js';
import { CODECS, channelProfile, type RemoteLine } from './lines.js';
import type { MediaLine } from './media-line.js';

/** RFC 8842 §4: 20 characters at least. */
const newTlsId = (): string => randomBytes(12).toString('hex');

/** On a bundle packets say which line they are of, both ways. */
const NAMES = { midId: 4 };

/** Of all lines of a call. */
export type Security = 'dtls' | 'plain' | 'sdes';

/** How the call is to begin. */
export function securityOf({ security = 'dtls' }: Pick<CallOptions, 'security'>): Security {
  return security === 'dtls-srtp' ? 'dtls' : security;
}

/** What the lines of an offer ask for. */
export function offeredSecurity(media: readonly RemoteMedia[]): Security {
  const of = (kind: Security): boolean => media.some((m) => m.port !== 0 && m.security === kind);
  return of('plain') ? 'plain' : of('sdes') ? 'sdes' : 'dtls';
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

  /** Our keys in SDP (RFC 4568): the same ones until they are renewed. */
  #cryptos = new Map<Media, SdesCrypto>();

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
      crypto = { tag: 1, suite: this.suite, keyAndSalt: freshKey(this.suite) };
      this.#cryptos.set(media, crypto);
    }
    return crypto;
  }

  wipe(): void {
    wipeAll([...this.#cryptos.values()]);
    wipeKeys(this.remote);
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
    const bundled = lines.some(({ leader }) => leader !== undefined);
    return createOffer({
      ...this.session(identity),
      ...(bundled ? { bundles: [[...lines.keys()]] } : {}),
      media: lines.map(({ media, local: { port }, leader }, i) => {
        const codecs = [CODECS[media]];
        const line = { media, port, security, direction, codecs };
        // RFC 9143 §7.2.1: at first without a port of its own, once it is agreed with the one that all have.
        const own = leader === undefined || this.remote.length > 0 ? {} : { port: 0 };
        if (security === 'dtls')
          return { ...line, tlsId, ...own, ...(bundled ? { mid: String(i), extensions: NAMES } : {}) };
        if (security === 'plain') return line;
        // At first with feedback, so that the switch may ask for a picture that can be decoded.
        const agreed = this.remote.find((m) => m.media === media)?.protocol;
        const protocol = agreed ?? (media === 'video' ? 'RTP/SAVPF' : 'RTP/SAVP');
        return { ...line, protocol, cryptos: [this.#crypto(media)] };
      }),
    });
  }

  /** Answers an offer of another security than before on lines of their own. */
  answer(offer: Offer, lines: readonly MediaLine[], identity: Identity | undefined): ReturnType<typeof answer> {
    const media = lines.map((line, i) => this.#answering(line, offer.media[i]!));
    return answer(offer, { ...this.session(identity), media });
  }

  /** Our half for an offered line: of its keys the first that we can do; undefined: the line is not for us. */
  #answering({ media, local }: MediaLine, remote: RemoteMedia): LocalMediaAnswer | undefined {
    if (remote.media !== media) return undefined;
    const { port } = local;
    if (remote.security !== 'sdes') return { port };
    const theirs = remote.cryptos.find(({ suite }) => channelProfile(suite) !== undefined);
    if (theirs === undefined) return undefined;
    const { tag, suite } = theirs;
    const crypto = { tag, suite, keyAndSalt: freshKey(suite) };
    this.#cryptos.set(media, crypto);
    return { port, crypto };
  }

  /** New keys in SDP in place of those in force, which come back where they are not agreed. */
  async rekey(lines: readonly MediaLine[], send: (sdp: string) => void): Promise<Answer> {
    const before = this.#cryptos;
    this.#cryptos = new Map([...before].map(([media, c]) => [media, { ...c, keyAndSalt: freshKey(c.suite) }]));
    try {
      const agreed = await this.reoffer(lines, undefined, 'sendrecv', send);
      wipeAll([...before.values()]);
      wipeKeys(this.remote);
      return agreed;
    } catch (error) {
      wipeAll([...this.#cryptos.values()]);
      this.#cryptos = before;
      throw error;
    }
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
      bundles: lines.some(({ leader }) => leader !== undefined) ? offer.bundles : [],
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
    wipeKeys(offer.media); // they are those that we have
    const remote = offer.media.map((m, i): RemoteLine => {
      const { role } = answered.value.media[i]!;
      return { ...m, cryptos: before[i]?.cryptos ?? [], ...(role === undefined ? {} : { role }) };
    });
    return { sdp: answered.value.sdp, remote, renewed };
  }
}

function freshKey(suite: SdesSuite): Secret {
  const { keyBytes, saltBytes } = SDES_SUITES[suite];
  return new Secret(Uint8Array.from(randomBytes(keyBytes + saltBytes)));
}

function wipeAll(cryptos: readonly SdesCrypto[]): void {
  for (const { keyAndSalt } of cryptos) keyAndSalt.wipe();
}

/** The switch's keys are those that the line runs under: we never take others. */
function sameKeys(before: RemoteLine | undefined, now: RemoteMedia): boolean {
  const [was] = before?.cryptos ?? [];
  const [is] = now.cryptos;
  if (was === undefined || is === undefined || was.suite !== is.suite) return false;
  return was.keyAndSalt.equals(is.keyAndSalt);
}
