/** What the relay is told of one channel: its keys, its parameters, and the seed of the streams that the switch sends itself. */
import type { ChannelId } from '../base/ids.js';
import type { Secret } from '../base/secret.js';
import type { ChannelKeys, ChannelParameters, Relay } from '../relay/contract.js';
import { ownLane } from '../wire/own-ssrc.js';

const SSRC_BASES = 0x1000000;

/**
 * Seeds of all channels that are under the same keys: they count on from one of chance, so that no two channels of a bundle,
 * also one after the other, ever have an SSRC in common.
 */
class Seeds {
  readonly #random: (bytes: number) => Uint8Array;
  #first = 0;
  #given = 0;
  /** Rises with the keys. */
  generation = 0;

  constructor(random: (bytes: number) => Uint8Array) {
    this.#random = random;
    this.renew();
  }

  renew(): void {
    const [a = 0, b = 0, c = 0] = this.#random(3);
    this.#first = (a << 16) | (b << 8) | c;
    this.#given = 0;
    this.generation++;
  }

  next(): number {
    const base = (this.#first + this.#given++) % SSRC_BASES;
    return ((base << 8) | 1) >>> 0;
  }
}

export class RelayChannel {
  readonly #id: ChannelId;
  /** Payloads may end at the switch. */
  readonly #readable: boolean;
  readonly #relay: Relay;
  readonly #seeds: Seeds;
  #seed = { generation: 0, value: 0 };
  #local: Secret | undefined;

  /** @param leader whose keys are this channel's */
  constructor(
    id: ChannelId,
    readable: boolean,
    relay: Relay,
    random: (bytes: number) => Uint8Array,
    leader?: RelayChannel,
  ) {
    this.#id = id;
    this.#readable = readable;
    this.#relay = relay;
    this.#seeds = leader === undefined ? new Seeds(random) : leader.#seeds;
  }

  /**
   * Of this channel and those that it leads; each is to be told of anew then. A `local` that is the one in force goes on, and
   * the switch's streams under it (RFC 3711 §9.1).
   */
  setKeys(keys: Omit<ChannelKeys, 'forMedia'>): void {
    if (keys.local !== this.#local) this.#seeds.renew();
    this.#local = keys.local;
    this.#relay.setChannelKeys(this.#id, { ...keys, forMedia: this.#readable });
  }

  /** @param ends payloads end at the switch now */
  tell(parameters: Omit<ChannelParameters, 'endsHere'>, ends: boolean, audioLevelId: number | undefined): void {
    const endsHere = { seed: this.#currentSeed(), ...(audioLevelId === undefined ? {} : { audioLevelId }) };
    this.#relay.setParameters(this.#id, { ...parameters, ...(ends ? { endsHere } : {}) });
  }

  /** At which of the receiver's places a stream of the switch's own is; undefined: it is none. */
  sinkOf(ssrc: number): number | undefined {
    return this.#readable ? ownLane(this.#currentSeed(), ssrc) : undefined;
  }

  /** For the keys that the channel has now. */
  #currentSeed(): number {
    const { generation } = this.#seeds;
    if (this.#seed.generation !== generation) this.#seed = { generation, value: this.#seeds.next() };
    return this.#seed.value;
  }
}
