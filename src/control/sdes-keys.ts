/** Keys of one call that travel in its SDP (RFC 4568): the peer's, and our own for the line that we take. */
import { equalBytes } from '../base/bytes.js';
import type { ChannelId } from '../base/ids.js';
import { Secret } from '../base/secret.js';
import type { ChannelKeys } from '../relay/contract.js';
import type { RemoteMedia } from '../sip/offer-answer-types.js';
import type { SdesCrypto, SdesSuite } from '../wire/sdp-crypto.js';

/** As the relay numbers them. */
const PROFILES: Readonly<Record<SdesSuite, number>> = {
  AES_CM_128_HMAC_SHA1_80: 0x0001,
  AES_CM_128_HMAC_SHA1_32: 0x0002,
  AEAD_AES_128_GCM: 0x0007,
  AEAD_AES_256_GCM: 0x0008,
  AES_256_CM_HMAC_SHA1_80: 0x1001,
  AES_256_CM_HMAC_SHA1_32: 0x1002,
};

/** Of the one line that we offer. */
const OWN_TAG = 1;

interface Line {
  readonly suite: SdesSuite;
  readonly keys: ChannelKeys;
  /** The channel has them. */
  used: boolean;
}

function same(a: Secret, b: Secret): boolean {
  return a.use((x) => b.use((y) => equalBytes(x, y)));
}

export class SdesKeys {
  readonly #random: (bytes: number) => Uint8Array;
  readonly #lines = new Map<ChannelId, Line>();

  constructor(random: (bytes: number) => Uint8Array) {
    this.#random = random;
  }

  /** Our half for the first line that the peer offers (§5.1.2). Where it repeats its keys, ours stay as well (§7.1.4). */
  answer(channel: ChannelId, remote: RemoteMedia): SdesCrypto {
    const [offered] = remote.cryptos;
    if (offered === undefined) throw new Error('an sdes m-line without a=crypto was admitted');
    const { tag, suite, keyAndSalt } = offered;
    const profile = PROFILES[suite];
    const known = this.#lines.get(channel);
    if (known?.suite === suite && same(known.keys.remote, keyAndSalt)) {
      return { tag, suite, keyAndSalt: known.keys.local };
    }
    this.forget(channel);
    const local = new Secret(this.#random(keyAndSalt.length));
    this.#lines.set(channel, { suite, keys: { profile, local, remote: keyAndSalt }, used: false });
    return { tag, suite, keyAndSalt: local };
  }

  /** Our half of a line that we offer anew: the keys that it has. */
  offer(channel: ChannelId): SdesCrypto | undefined {
    const line = this.#lines.get(channel);
    return line === undefined ? undefined : { tag: OWN_TAG, suite: line.suite, keyAndSalt: line.keys.local };
  }

  /** The answer to that: the peer's keys may be others now. */
  answered(channel: ChannelId, remote: RemoteMedia): void {
    const line = this.#lines.get(channel);
    const [theirs] = remote.cryptos;
    if (line === undefined || theirs === undefined || same(line.keys.remote, theirs.keyAndSalt)) return;
    line.keys.remote.wipe();
    this.#lines.set(channel, { ...line, keys: { ...line.keys, remote: theirs.keyAndSalt }, used: false });
  }

  /** What the channel has not been given yet. */
  take(channel: ChannelId): ChannelKeys | undefined {
    const line = this.#lines.get(channel);
    if (line === undefined || line.used) return undefined;
    line.used = true;
    return line.keys;
  }

  forget(channel: ChannelId): void {
    const line = this.#lines.get(channel);
    line?.keys.local.wipe();
    line?.keys.remote.wipe();
    this.#lines.delete(channel);
  }
}
