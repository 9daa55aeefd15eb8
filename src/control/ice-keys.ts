/** ICE credentials of one call's transports, by their channels: ours, made anew whenever the peer's change (RFC 8839 §4.4.1.1.1: a restart). */
import type { ChannelId } from '../base/ids.js';
import { ICE_PWD_CHARS, ICE_UFRAG_CHARS } from '../base/limits.js';
import { Secret } from '../base/secret.js';
import type { IceCredentials } from '../relay/contract.js';
import type { RemoteMedia } from '../sip/offer-answer-types.js';
import type { OwnIce } from '../wire/sdp-ice.js';

const ICE_CHARS = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', 'latin1');

interface Line {
  /** Undefined: not in force any more. */
  readonly credentials: IceCredentials | undefined;
  /** The channel knows. */
  told: boolean;
}

function peerOf({ ufrag, consents }: NonNullable<RemoteMedia['ice']>): Pick<IceCredentials, 'peerUfrag' | 'lenient'> {
  return { peerUfrag: ufrag, lenient: !consents };
}

export class IceKeys {
  readonly #random: (bytes: number) => Uint8Array;
  readonly #lines = new Map<ChannelId, Line>();
  /** Offered, and not answered yet. */
  readonly #proposed = new Map<ChannelId, OwnIce>();

  constructor(random: (bytes: number) => Uint8Array) {
    this.#random = random;
  }

  /** Our half for an offered line; undefined: it is without ICE, or ICE cannot be used on it. */
  answer(channel: ChannelId, { ice }: RemoteMedia): OwnIce | undefined {
    const known = this.offer(channel);
    if (ice?.verdict !== 'used') {
      if (known !== undefined) this.#lines.set(channel, { credentials: undefined, told: false });
      return undefined;
    }
    if (known?.peerUfrag === ice.ufrag) return known;
    const credentials = { ...this.#made(), ...peerOf(ice) };
    this.#lines.set(channel, { credentials, told: false });
    return credentials;
  }

  /** For an offer of ours on a line where nothing is in force; the answer decides. */
  propose(channel: ChannelId): OwnIce {
    const proposed = this.#proposed.get(channel) ?? this.#made();
    this.#proposed.set(channel, proposed);
    return proposed;
  }

  /** The peer's answer: what was proposed is in force where it takes part. */
  answered(channel: ChannelId, { ice }: RemoteMedia): void {
    const proposed = this.#proposed.get(channel);
    this.#proposed.delete(channel);
    if (proposed === undefined) return;
    if (ice?.verdict !== 'used') proposed.pwd.wipe();
    else this.#lines.set(channel, { credentials: { ...proposed, ...peerOf(ice) }, told: false });
  }

  /** The call is over: what is in force goes with its channels, what nobody answered goes now. */
  close(): void {
    for (const { pwd } of this.#proposed.values()) pwd.wipe();
    this.#proposed.clear();
  }

  /** For an offer of ours: what is in force goes on. */
  offer(channel: ChannelId): IceCredentials | undefined {
    return this.#lines.get(channel)?.credentials;
  }

  /** What the channel has not been told yet. */
  take(channel: ChannelId): IceCredentials | 'off' | undefined {
    const line = this.#lines.get(channel);
    if (line === undefined || line.told) return undefined;
    line.told = true;
    return line.credentials ?? 'off';
  }

  #made(): OwnIce {
    const ufrag = Buffer.from(this.#chars(ICE_UFRAG_CHARS)).toString('latin1');
    return { ufrag, pwd: new Secret(this.#chars(ICE_PWD_CHARS)) };
  }

  #chars(count: number): Uint8Array {
    return this.#random(count).map((byte) => ICE_CHARS[byte & 63]!);
  }
}
