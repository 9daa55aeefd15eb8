/**
 * Keys of one call that travel in its SDP (RFC 4568): the peer's, and our own for the line that is taken. While both sides
 * repeat their keys the line goes on under them, indices and all; whoever brings other ones begins anew (§7.1.4).
 */
import type { ChannelId } from '../base/ids.js';
import { Secret } from '../base/secret.js';
import type { ChannelKeys } from '../relay/contract.js';
import type { RemoteMedia } from '../sip/offer-answer-types.js';
import { SDES_SUITES, type SdesCrypto, type SdesSuite } from '../wire/sdp-crypto.js';

/** Of the one line that we offer again. */
const OWN_TAG = 1;

interface Line {
  readonly suite: SdesSuite;
  readonly keys: ChannelKeys;
  /** The channel has them. */
  used: boolean;
}

export class SdesKeys {
  readonly #random: (bytes: number) => Uint8Array;
  readonly #suites: readonly SdesSuite[];
  readonly #lines = new Map<ChannelId, Line>();
  /** Ours that wait for the first answer, the best first. */
  readonly #offered = new Map<ChannelId, readonly SdesCrypto[]>();

  /** @param suites what a first offer of ours names, the best first */
  constructor(random: (bytes: number) => Uint8Array, suites: readonly SdesSuite[]) {
    this.#random = random;
    this.#suites = suites;
  }

  /**
   * Our half for a line that the peer offers: what it repeats of the keys in force, else the first (§5.1.2), and then ours are
   * other ones too.
   */
  answer(channel: ChannelId, { cryptos }: RemoteMedia): SdesCrypto {
    const [first] = cryptos;
    if (first === undefined) throw new Error('an sdes m-line without a=crypto was admitted');
    const known = this.#lines.get(channel);
    const again = cryptos.find((c) => known?.suite === c.suite && known.keys.remote.equals(c.keyAndSalt));
    if (known !== undefined && again !== undefined) return { ...again, keyAndSalt: known.keys.local };
    this.forget(channel);
    const { tag, suite, keyAndSalt: remote } = first;
    const local = this.#fresh(suite);
    this.#lines.set(channel, { suite, keys: { profile: SDES_SUITES[suite].profile, local, remote }, used: false });
    return { tag, suite, keyAndSalt: local };
  }

  /** Our half of a line that we offer: the keys that it has, or at first one for each suite. */
  offer(channel: ChannelId): readonly SdesCrypto[] {
    const line = this.#lines.get(channel);
    if (line !== undefined) return [{ tag: OWN_TAG, suite: line.suite, keyAndSalt: line.keys.local }];
    const made =
      this.#offered.get(channel) ??
      this.#suites.map((suite, i) => ({ tag: i + 1, suite, keyAndSalt: this.#fresh(suite) }));
    this.#offered.set(channel, made);
    return made;
  }

  /** The answer to that, which fits it: the peer's keys may be others than before. */
  answered(channel: ChannelId, { cryptos: [theirs] }: RemoteMedia): void {
    if (theirs === undefined) return;
    const line = this.#lines.get(channel);
    if (line !== undefined) {
      if (line.keys.remote.equals(theirs.keyAndSalt)) return;
      line.keys.remote.wipe();
      this.#lines.set(channel, { ...line, keys: { ...line.keys, remote: theirs.keyAndSalt }, used: false });
      return;
    }
    const offered = this.#offered.get(channel) ?? [];
    const ours = offered.find(({ tag }) => tag === theirs.tag);
    if (ours === undefined) throw new Error('an answer with keys that were not offered was taken');
    for (const other of offered) if (other !== ours) other.keyAndSalt.wipe();
    this.#offered.delete(channel);
    const { suite, keyAndSalt: local } = ours;
    const keys = { profile: SDES_SUITES[suite].profile, local, remote: theirs.keyAndSalt };
    this.#lines.set(channel, { suite, keys, used: false });
  }

  /** What the channel has not been given yet. */
  take(channel: ChannelId): ChannelKeys | undefined {
    const line = this.#lines.get(channel);
    if (line === undefined || line.used) return undefined;
    line.used = true;
    return line.keys;
  }

  /** It is in force, not just heard. */
  holds(key: Secret): boolean {
    return [...this.#lines.values()].some(({ keys }) => keys.remote === key);
  }

  forget(channel: ChannelId): void {
    const line = this.#lines.get(channel);
    line?.keys.local.wipe();
    line?.keys.remote.wipe();
    this.#lines.delete(channel);
    for (const { keyAndSalt } of this.#offered.get(channel) ?? []) keyAndSalt.wipe();
    this.#offered.delete(channel);
  }

  close(): void {
    for (const channel of [...this.#lines.keys(), ...this.#offered.keys()]) this.forget(channel);
  }

  #fresh(suite: SdesSuite): Secret {
    const { keyBytes, saltBytes } = SDES_SUITES[suite];
    return new Secret(this.#random(keyBytes + saltBytes));
  }
}
