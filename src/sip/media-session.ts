/**
 * The SDP of one dialog over its life (RFC 3264 §8): what was agreed on each m-line, our offer that waits for its answer, and
 * the version of `o=`, which rises with each change and stays where an SDP says the same again.
 */
import { equalBytes } from '../base/bytes.js';
import { type Result, refuse } from '../base/result.js';
import { parseSdp } from '../wire/sdp.js';
import type { SdpCodec, SdpDirection } from '../wire/sdp-types.js';
import type { Bundle } from './bundle.js';
import { type AnswerRefusal, answer, createOffer, readAnswer } from './offer-answer.js';
import type {
  Answer,
  AnsweredMedia,
  DisabledLine,
  LocalMediaAnswer,
  LocalMediaOffer,
  LocalSession,
  Offer,
  RemoteMedia,
} from './offer-answer-types.js';
import { acceptableCodecs } from './remote-media.js';

/** One m-line as it was agreed last. */
export interface AgreedLine {
  /** What the peer said of it. */
  readonly remote: RemoteMedia;
  /** In the peer's words: formats for when the line is disabled. */
  readonly disabled: DisabledLine;
  /** Ours; 0: not in use. */
  readonly port: number;
  /** Agreed, in the payload types that the peer receives. */
  readonly codecs: readonly SdpCodec[];
  /** Those that we said we receive: ours where we offered (RFC 3264 §6.1 lets an answer number them anew). */
  readonly received: readonly SdpCodec[];
  /** Ours. */
  readonly direction: SdpDirection;
  /** Our DTLS role. */
  readonly role?: 'client' | 'server';
}

const UNUSED: DisabledLine = { media: 'audio', port: 0, protocol: 'RTP/AVP', formats: ['0'] };

interface Proposal {
  readonly sdp: string;
  readonly version: number;
  readonly media: readonly (LocalMediaOffer | undefined)[];
}

export class MediaSession {
  readonly #local: Omit<LocalSession, 'sessionVersion'>;
  #version = 0;
  #sdp: string | undefined;
  #lines: readonly AgreedLine[] = [];
  #proposed: Proposal | undefined;

  constructor(local: Omit<LocalSession, 'sessionVersion'>) {
    this.#local = local;
  }

  /** In the order of the m-lines; empty until something is agreed. */
  get lines(): readonly AgreedLine[] {
    return this.#lines;
  }

  /** Our last SDP that is in force; repeated as it is, it changes nothing. */
  get sdp(): string | undefined {
    return this.#sdp;
  }

  /** Why an offer cannot follow what is agreed (RFC 3264 §8): lines never go away, and a line in use keeps its kind. */
  misfit(offer: Offer): string | undefined {
    if (offer.media.length < this.#lines.length) return 'an m-line is missing that the session has';
    const changed = this.#lines.findIndex((line, i) => line.port !== 0 && line.remote.media !== offer.media[i]!.media);
    return changed < 0 ? undefined : `m-line ${changed + 1} cannot become another kind of media`;
  }

  /** Answers as {@link answer} does, and puts it in force. */
  answer(
    offer: Offer,
    media: readonly (LocalMediaAnswer | undefined)[],
    bundles: readonly Bundle[] = [],
  ): Result<{ readonly sdp: string; readonly media: readonly AnsweredMedia[] }, 'media-count' | 'nothing-accepted'> {
    const at = (sessionVersion: number) => answer(offer, { ...this.#local, sessionVersion, media, bundles });
    const same = at(this.#version);
    const written = same.ok && same.value.sdp !== this.#sdp ? at(this.#version + 1) : same;
    if (!written.ok) return written;
    if (written.value.sdp !== this.#sdp) this.#version++;
    this.#sdp = written.value.sdp;
    this.#lines = offer.media.map((offered, i) => {
      const remote = this.#withAddress(offered, i);
      const { accepted, codecs, direction, role } = written.value.media[i]!;
      const port = accepted ? media[i]!.port : 0;
      const disabled = disabledLine(offer, i);
      const line = { remote, disabled, port, codecs, received: codecs, direction };
      return role === undefined ? line : { ...line, role };
    });
    this.#proposed = undefined;
    return written;
  }

  /**
   * Writes an offer for the whole session. It comes into force with its answer; a newer offer takes its place.
   * @param media one entry an m-line, those of the session first; undefined: the line is disabled
   */
  offer(media: readonly (LocalMediaOffer | undefined)[], bundles: readonly Bundle[] = []): string {
    if (media.length < this.#lines.length) throw new Error('an offer must name every m-line of the session');
    const lines = media.map((m, i) => m ?? this.#lines[i]?.disabled ?? UNUSED);
    const at = (sessionVersion: number) => createOffer({ ...this.#local, sessionVersion, media: lines, bundles });
    const same = at(this.#version);
    const version = same === this.#sdp ? this.#version : this.#version + 1;
    const sdp = same === this.#sdp ? same : at(version);
    this.#proposed = { sdp, version, media };
    return sdp;
  }

  get hasOffered(): boolean {
    return this.#proposed !== undefined;
  }

  /** The peer has answered our offer. @returns what fits it, and then it is in force; else things are as before it. */
  takeAnswer(text: string | Uint8Array): Result<Answer, AnswerRefusal | 'no-offer'> {
    const proposed = this.#proposed;
    this.#proposed = undefined;
    if (proposed === undefined) return refuse('no-offer');
    const read = readAnswer(proposed.sdp, text);
    if (!read.ok) return read;
    const offered = ownCodecs(proposed.sdp);
    this.#sdp = proposed.sdp;
    this.#version = proposed.version;
    this.#lines = read.value.media.map((answered, i) => {
      const remote = this.#withAddress(answered, i);
      const { accepted, codecs, role } = answered;
      const port = accepted ? (proposed.media[i]?.port ?? 0) : 0;
      const disabled = disabledLine(read.value, i);
      const received = offered[i] ?? [];
      const line = { remote, disabled, port, codecs, received, direction: mirrored(remote.direction) };
      return role === undefined ? line : { ...line, role };
    });
    return read;
  }

  /** A line on hold without an address is still where it was before. */
  #withAddress(remote: RemoteMedia, index: number): RemoteMedia {
    const address = remote.address ?? this.#lines[index]?.remote.address;
    return address === undefined ? remote : { ...remote, address };
  }

  /** Our offer was refused: what was agreed before it holds (RFC 3261 §14.1). */
  withdraw(): void {
    this.#proposed = undefined;
  }
}

/** Whether a line's new description asks for a new DTLS association (RFC 8842 §4 and §5.1). With ICE another address is none of its business. */
export function wantsNewAssociation(before: RemoteMedia, after: RemoteMedia): boolean {
  const { address } = after;
  const moved =
    before.ice?.verdict !== 'used' &&
    after.ice?.verdict !== 'used' &&
    address !== undefined &&
    before.address !== undefined &&
    (address.address !== before.address.address || address.port !== before.address.port);
  return moved || before.tlsId !== after.tlsId || !sameFingerprints(before, after);
}

function sameFingerprints({ fingerprints: a }: RemoteMedia, { fingerprints: b }: RemoteMedia): boolean {
  return (
    a.length === b.length && a.every((f) => b.some((g) => f.algorithm === g.algorithm && equalBytes(f.value, g.value)))
  );
}

function ownCodecs(sdp: string): readonly (readonly SdpCodec[])[] {
  const read = parseSdp(sdp);
  if (!read.ok) throw new Error(`our own offer is not valid SDP: ${read.reason}`);
  return read.value.media.map(acceptableCodecs);
}

function mirrored(direction: SdpDirection): SdpDirection {
  return direction === 'sendonly' ? 'recvonly' : direction === 'recvonly' ? 'sendonly' : direction;
}

function disabledLine({ sdp, media: lines }: Pick<Offer, 'sdp' | 'media'>, index: number): DisabledLine {
  const { media, protocol, formats } = sdp.media[index]!;
  const { mid } = lines[index]!;
  return { media, port: 0, protocol, formats, ...(mid === undefined ? {} : { mid }) };
}
