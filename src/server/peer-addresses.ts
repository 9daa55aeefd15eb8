/**
 * The addresses of trunk peers that are names, for trunks without TLS: there the address is all that says who calls (T2). Asked
 * of DNS at the start and again now and then; what DNS does not answer leaves those of before.
 */
import { TRUNK_ADDRESS_REFRESH_MS } from '../base/limits.js';
import type { TrunkPeer, TrunkProfile } from '../sip/trunk.js';
import { addressFamily } from '../wire/sip-address.js';
import type { Resolve } from './resolver.js';
import { serversOf } from './trunk-connections.js';

export class PeerAddresses {
  readonly #resolve: Resolve;
  readonly #peers: readonly { readonly trunk: TrunkProfile; readonly peer: TrunkPeer }[];
  readonly #addresses = new Map<TrunkPeer, ReadonlySet<string>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(resolve: Resolve, trunks: readonly TrunkProfile[]) {
    this.#resolve = resolve;
    this.#peers = trunks
      .filter((trunk) => !trunk.incoming.includes('tls'))
      .flatMap((trunk) => trunk.peers.map((peer) => ({ trunk, peer })))
      .filter(({ peer }) => addressFamily(peer.host) === undefined);
  }

  /** Asks now, and from now on by itself. */
  async start(): Promise<void> {
    if (this.#peers.length === 0) return;
    await this.#refresh();
    this.#timer = setInterval(() => void this.#refresh(), TRUNK_ADDRESS_REFRESH_MS).unref();
  }

  has(peer: TrunkPeer, address: string): boolean {
    return this.#addresses.get(peer)?.has(address) === true;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #refresh(): Promise<void> {
    await Promise.all(
      this.#peers.map(async ({ trunk, peer }) => {
        const hops = await serversOf(this.#resolve, trunk, peer);
        if (hops.length > 0) this.#addresses.set(peer, new Set(hops.map((hop) => hop.address)));
      }),
    );
  }
}
