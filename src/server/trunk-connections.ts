/** Connections to the peers of trunks: opened when they are needed, used by all calls to the peer, never with less security. */
import type { SecureContext } from 'node:tls';
import { DIAL_CONNECT_TIMEOUT_MS } from '../base/limits.js';
import { makeEvent, type SecurityEvent } from '../security/events.js';
import type { Hop } from '../sip/locate.js';
import type { TrunkPeer, TrunkProfile } from '../sip/trunk.js';
import { addressFamily, writeHostPort } from '../wire/sip-address.js';
import { locate, type Resolve } from './resolver.js';
import type { SipTransports } from './sip-transports.js';
import { clientContext, serverCheck } from './tls-contexts.js';
import type { TlsSet } from './tls-set.js';

export interface TrunkConnectionsOptions {
  readonly transports: SipTransports;
  readonly resolve: Resolve;
  /** In force now, for a trunk on this port of ours (undefined: the switch's own). */
  readonly tlsSet: (port: number | undefined) => TlsSet;
  /** The switch's own port, as bound. */
  readonly mainPort: () => number;
  readonly targetNameCheck: (trunk: string) => 'host' | 'no';
  readonly onSecurityEvent: (event: SecurityEvent) => void;
}

/**
 * The servers of a trunk's peer, best first (RFC 3263 §4), by the trunk's outgoing transport and no other, whatever DNS offers;
 * each has the configured name, which its certificate must name.
 */
export function serversOf(
  resolve: Resolve,
  { outgoing }: Pick<TrunkProfile, 'outgoing'>,
  { host, port }: TrunkPeer,
): Promise<readonly Hop[]> {
  const scheme = outgoing === 'tls' ? 'sips' : 'sip';
  return locate(resolve, { scheme, host, ...(port === undefined ? {} : { port }), params: new Map() }, [outgoing]);
}

/** What an operator reads of a server: the name that was configured, and where that led. */
export function serverText({ name, address, port }: Hop): string {
  return name === address ? writeHostPort(address, port) : `${name}, ${writeHostPort(address, port)}`;
}

export class TrunkConnections {
  readonly #options: TrunkConnectionsOptions;
  readonly #open = new Map<string, Promise<number>>();
  readonly #keys = new Map<number, string>();
  /** A set that was reloaded is another object: its context is made anew. */
  readonly #contexts = new WeakMap<TlsSet, SecureContext>();

  constructor(options: TrunkConnectionsOptions) {
    this.#options = options;
  }

  /** See {@link serversOf}; where there are none an event has told. */
  async locate(trunk: TrunkProfile, peer: TrunkPeer): Promise<readonly Hop[]> {
    const hops = await serversOf(this.#options.resolve, trunk, peer);
    if (hops.length === 0) {
      const where = `trunk ${trunk.name} (${writeHostPort(peer.host, peer.port)})`;
      this.#report(where, new Error(`DNS has no server for ${peer.host} over ${trunk.outgoing.toUpperCase()}`));
    }
    return hops;
  }

  /**
   * The connection to a server of a trunk's peer.
   * @returns its number; undefined when there is none to be had, which an event has told.
   */
  async connect(trunk: TrunkProfile, hop: Hop): Promise<number | undefined> {
    const key = `${trunk.name} ${serverText(hop)}`;
    const known = this.#open.get(key);
    const opening = known ?? this.#connect(trunk, hop);
    if (known === undefined) this.#open.set(key, opening);
    try {
      const connection = await opening;
      this.#keys.set(connection, key);
      return connection;
    } catch (error) {
      if (this.#open.get(key) === opening) this.#open.delete(key);
      this.#report(whereOf(trunk, hop), error);
      return undefined;
    }
  }

  /** The next call opens another one. */
  closed(connection: number): void {
    const key = this.#keys.get(connection);
    if (key !== undefined) this.#open.delete(key);
    this.#keys.delete(connection);
  }

  async #connect(trunk: TrunkProfile, hop: Hop): Promise<number> {
    const { transport, address, port, name: host } = hop;
    const { transports, tlsSet, targetNameCheck } = this.#options;
    const { name, x509Names } = trunk;
    const contactPort = trunk.port ?? this.#options.mainPort();
    const known = { access: { type: 'trunk', trunk: name }, contactPort } as const;
    if (transport === 'udp') return transports.connect({ transport, address, port, localPort: contactPort }, known);
    const onDead = (): void => this.#report(whereOf(trunk, hop), new Error('the peer answers no keep-alive any more'));
    const to = { address, port, timeoutMs: DIAL_CONNECT_TIMEOUT_MS, onDead };
    if (transport === 'tcp') return transports.connect({ transport, ...to }, known);
    const set = tlsSet(trunk.port);
    const secureContext = this.#contexts.get(set) ?? clientContext(set);
    this.#contexts.set(set, secureContext);
    // RFC 5922 §4: whoever DNS led to must be the one that was configured.
    const checkServerIdentity = serverCheck(host, x509Names, targetNameCheck(name));
    const servername = addressFamily(host) === undefined ? { servername: host } : {};
    const tls = { secureContext, checkServerIdentity, ...servername };
    return transports.connect({ transport, ...to, tls }, { ...known, identity: `trunk ${name}` });
  }

  #report(endpoint: string, error: unknown): void {
    const cause = error instanceof Error ? error.message : String(error);
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const event = isVerification(code) ? 'tls-verify-failed' : 'peer-unreachable';
    const known = code === '' || cause.includes(code) ? cause : `${cause} (${code})`;
    this.#options.onSecurityEvent(makeEvent(event, { endpoint, cause: known }));
  }
}

function whereOf({ name }: TrunkProfile, hop: Hop): string {
  return `trunk ${name} (${serverText(hop)})`;
}

/** Node names the verdicts of OpenSSL's verification (X509_V_ERR_...) without the prefix. */
function isVerification(code: string): boolean {
  return /^(CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_(CA|PURPOSE)|HOSTNAME_MISMATCH|PATH_LENGTH|ERR_TLS_CERT_)/.test(
    code,
  );
}
