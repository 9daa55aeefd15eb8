/** Connections to the peers of trunks: opened when they are needed, used by all calls to the peer, never with less security. */

import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { SecureContext } from 'node:tls';
import { DIAL_CONNECT_TIMEOUT_MS } from '../base/limits.js';
import { makeEvent, type SecurityEvent } from '../security/events.js';
import type { TrunkPeer, TrunkProfile } from '../sip/trunk.js';
import { writeHostPort } from '../wire/sip-address.js';
import type { SipTransports } from './sip-transports.js';
import { clientContext, serverCheck } from './tls-contexts.js';
import type { TlsSet } from './tls-set.js';

export interface TrunkConnectionsOptions {
  readonly transports: SipTransports;
  /** In force now, for a trunk on this port of ours (undefined: the switch's own). */
  readonly tlsSet: (port: number | undefined) => TlsSet;
  /** The switch's own port, as bound. */
  readonly mainPort: () => number;
  readonly targetNameCheck: (trunk: string) => 'host' | 'no';
  readonly onSecurityEvent: (event: SecurityEvent) => void;
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

  /**
   * The connection to a peer of a trunk, by the trunk's outgoing transport and no other.
   * @returns its number; undefined when there is none to be had, which an event has told.
   */
  async connect(trunk: TrunkProfile, peer: TrunkPeer): Promise<number | undefined> {
    const key = `${trunk.name} ${writeHostPort(peer.host, peer.port)}`;
    const known = this.#open.get(key);
    const opening = known ?? this.#connect(trunk, peer);
    if (known === undefined) this.#open.set(key, opening);
    try {
      const connection = await opening;
      this.#keys.set(connection, key);
      return connection;
    } catch (error) {
      if (this.#open.get(key) === opening) this.#open.delete(key);
      this.#report(`trunk ${trunk.name} (${writeHostPort(peer.host, peer.port)})`, error);
      return undefined;
    }
  }

  /** The next call opens another one. */
  closed(connection: number): void {
    const key = this.#keys.get(connection);
    if (key !== undefined) this.#open.delete(key);
    this.#keys.delete(connection);
  }

  async #connect(trunk: TrunkProfile, { host, port }: TrunkPeer): Promise<number> {
    const { transports, tlsSet, targetNameCheck } = this.#options;
    const { outgoing, name, x509Names } = trunk;
    const contactPort = trunk.port ?? this.#options.mainPort();
    const known = { access: { type: 'trunk', trunk: name }, contactPort } as const;
    if (outgoing === 'udp') {
      const { address } = await lookup(host);
      return transports.connect({ transport: 'udp', address, port, localPort: trunk.port ?? 0 }, known);
    }
    const to = { address: host, port, timeoutMs: DIAL_CONNECT_TIMEOUT_MS };
    if (outgoing === 'tcp') return transports.connect({ transport: 'tcp', ...to }, known);
    const set = tlsSet(trunk.port);
    const secureContext = this.#contexts.get(set) ?? clientContext(set);
    this.#contexts.set(set, secureContext);
    const checkServerIdentity = serverCheck(host, x509Names, targetNameCheck(name));
    const servername = isIP(host) === 0 ? { servername: host } : {};
    const tls = { secureContext, checkServerIdentity, ...servername };
    return transports.connect({ transport: 'tls', ...to, tls }, { ...known, identity: `trunk ${name}` });
  }

  #report(endpoint: string, error: unknown): void {
    const cause = error instanceof Error ? error.message : String(error);
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const event = isVerification(code) ? 'tls-verify-failed' : 'peer-unreachable';
    const known = code === '' || cause.includes(code) ? cause : `${cause} (${code})`;
    this.#options.onSecurityEvent(makeEvent(event, { endpoint, cause: known }));
  }
}

/** Node names the verdicts of OpenSSL's verification (X509_V_ERR_...) without the prefix. */
function isVerification(code: string): boolean {
  return /^(CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_(CA|PURPOSE)|HOSTNAME_MISMATCH|PATH_LENGTH|ERR_TLS_CERT_)/.test(
    code,
  );
}
