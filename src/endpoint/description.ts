/** What a call of the endpoint and the switch have told each other in SDP, and what changes it while the call is up. */
import { randomBytes } from 'node:crypto';
import { wantsNewAssociation } from '../sip/media-session.js';
import { answer, createOffer, readAnswer } from '../sip/offer-answer.js';
import type { Answer, LocalSession, Offer } from '../sip/offer-answer-types.js';
import type { SdpDirection } from '../wire/sdp-types.js';
import type { Identity } from './call-types.js';
import { CODECS, type RemoteLine } from './lines.js';
import type { MediaLine } from './media-line.js';

/** RFC 8842 §4: 20 characters at least. */
const newTlsId = (): string => randomBytes(12).toString('hex');

export class Description {
  identity: Identity | undefined;
  /** Undefined until something is offered or agreed. */
  security: 'dtls' | 'plain' | undefined;
  /** Of the lines in use, as the switch described them last. */
  remote: readonly RemoteLine[] = [];
  readonly #sessionId = String(randomBytes(6).readUIntBE(0, 6));
  readonly #address: string;
  #version = 0;
  #tlsId = newTlsId();
  /** What the re-INVITE under way is to end with. */
  #pending: ((answer: { readonly sdp: string } | Error) => void) | undefined;

  constructor(address: string) {
    this.#address = address;
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
        return { media, port, security, direction, codecs, ...(security === 'dtls' ? { tlsId } : {}) };
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
    const renewed = offer.media.some((m, i) => before[i] !== undefined && wantsNewAssociation(before[i], m));
    if (renewed) this.#tlsId = newTlsId();
    const answered = answer(offer, {
      ...this.session(this.identity),
      media: offer.media.map((m) => {
        const line = lines.find(({ media }) => media === m.media);
        const role = renewed ? undefined : before.find(({ media }) => media === m.media)?.role;
        if (line === undefined) return undefined;
        return { port: line.local.port, tlsId: this.#tlsId, ...(role === undefined ? {} : { role }) };
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
