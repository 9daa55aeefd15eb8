/** A channel's ICE on the main thread: its credentials as told the relay, and what comes of a peer that stopped checking. */
import type { Address } from '../base/ids.js';
import { ICE_CONSENT_PATIENCE_MS, RELAY_ICE_CONSENT_LIFETIME_MS } from '../base/limits.js';
import type { IceCredentials, IceNews } from '../relay/contract.js';
import type { ChannelHost, ChannelNews, ChannelSetup } from './channel-contract.js';
import type { ExpectedPeer } from './dtls-candidates.js';

const SECONDS = (RELAY_ICE_CONSENT_LIFETIME_MS + ICE_CONSENT_PATIENCE_MS) / 1000;

export class Consent {
  readonly #setup: Pick<ChannelSetup, 'id' | 'media'>;
  readonly #host: ChannelHost;
  readonly #onNominated: (address: Address, now: number) => void;
  #credentials: IceCredentials | undefined;
  #until: number | undefined;

  /** @param onNominated the peer's checks have nominated this address, for the first time */
  constructor(
    setup: Pick<ChannelSetup, 'id' | 'media'>,
    host: ChannelHost,
    onNominated: (address: Address, now: number) => void,
  ) {
    this.#setup = setup;
    this.#host = host;
    this.#onNominated = onNominated;
  }

  set(ice: IceCredentials | 'off'): void {
    const before = this.#credentials;
    this.#credentials = ice === 'off' ? undefined : ice;
    if (ice === 'off') this.#until = undefined;
    this.#host.relay.setIce(this.#setup.id, this.#credentials);
    before?.pwd.wipe();
  }

  /** With ICE the peer's checks say where it is, and nothing else does. */
  expected(named: Omit<ExpectedPeer, 'checks'>): ExpectedPeer {
    return this.#credentials === undefined ? named : { ...named, address: undefined, checks: true };
  }

  /** The relay has found where media may go, sends nothing any more, or does again. */
  news(what: IceNews, address: Address, now: number): void {
    if (this.#credentials === undefined) return;
    if (what === 'nominated') this.#onNominated(address, now);
    if (what === 'consent-lost') this.#until ??= now + ICE_CONSENT_PATIENCE_MS;
    if (what === 'consent-back') this.#until = undefined;
    const level = what === 'consent-lost' ? 'warn' : 'debug';
    this.#host.output({ type: 'log', level, message: `ICE: ${what}`, fields: { channel: this.#setup.id } });
  }

  deadline(): number | undefined {
    return this.#until;
  }

  tick(now: number): readonly ChannelNews[] {
    if (this.#until === undefined || this.#until > now) return [];
    this.#until = undefined;
    const detail = `no ICE check for ${SECONDS} s on the ${this.#setup.media} channel`;
    return [{ type: 'failed', reason: 'consent-lost', detail }];
  }

  close(): void {
    this.#until = undefined;
    this.#credentials?.pwd.wipe();
    this.#credentials = undefined;
  }
}
