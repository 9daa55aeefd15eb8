/** What the relay is told of one channel: its keys, its parameters, and the seed of the streams that the switch sends itself. */
import type { ChannelId } from '../base/ids.js';
import type { Secret } from '../base/secret.js';
import type { ChannelKeys, ChannelParameters, Relay } from '../relay/contract.js';
import { ownLane } from '../wire/own-ssrc.js';

export class RelayChannel {
  readonly #id: ChannelId;
  /** Payloads may end at the switch. */
  readonly #readable: boolean;
  readonly #relay: Relay;
  readonly #random: (bytes: number) => Uint8Array;
  /** For the keys that the channel has now. */
  #seed = 0;
  #local: Secret | undefined;

  constructor(id: ChannelId, readable: boolean, relay: Relay, random: (bytes: number) => Uint8Array) {
    this.#id = id;
    this.#readable = readable;
    this.#relay = relay;
    this.#random = random;
    this.#newSeed();
  }

  /** A `local` that is the one in force goes on, and the switch's streams under it (RFC 3711 §9.1). */
  setKeys(keys: Omit<ChannelKeys, 'forMedia'>): void {
    if (keys.local !== this.#local) this.#newSeed();
    this.#local = keys.local;
    this.#relay.setChannelKeys(this.#id, { ...keys, forMedia: this.#readable });
  }

  /** @param ends payloads end at the switch now */
  tell(parameters: Omit<ChannelParameters, 'endsHere'>, ends: boolean, audioLevelId: number | undefined): void {
    const endsHere = { seed: this.#seed, ...(audioLevelId === undefined ? {} : { audioLevelId }) };
    this.#relay.setParameters(this.#id, { ...parameters, ...(ends ? { endsHere } : {}) });
  }

  /** At which of the receiver's places a stream of the switch's own is; undefined: it is none. */
  sinkOf(ssrc: number): number | undefined {
    return this.#readable ? ownLane(this.#seed, ssrc) : undefined;
  }

  #newSeed(): void {
    const [a = 0, b = 0, c = 0, d = 1] = this.#random(4);
    this.#seed = ((a << 24) | (b << 16) | (c << 8) | d | 0x100) >>> 0;
  }
}
