/** Trunk profiles (REQUIREMENTS T2): what is agreed with a peer, which peer a connection is, and what a profile rules out. */
import type { Address } from '../base/ids.js';
import { ok, type Result, refuse } from '../base/result.js';
import type { SdesSuite } from '../wire/sdp-crypto.js';
import type { ServerTransport, SipTransport } from './contract.js';

/** Requests beyond calls that a trunk, or an application's user, may send (T2). */
export type Acceptable = 'presence' | 'refer' | 'notify' | 'replaces';

export interface TrunkProfile {
  readonly name: string;
  readonly description: string;
  /** `authenticated` and `encrypted` need TLS both ways; `encrypted` promises that media is secured too. */
  readonly security: 'non-secure' | 'authenticated' | 'encrypted';
  readonly incoming: readonly ServerTransport[];
  readonly outgoing: ServerTransport;
  /** Where the peer reaches us; undefined: the switch's own SIP port. */
  readonly port?: number;
  /** Names of the peer's certificate, each enough by itself. */
  readonly x509Names: readonly string[];
  /** Where we call, tried in this order; without TLS also the addresses that the peer may call from. */
  readonly peers: readonly TrunkPeer[];
  readonly digest: boolean;
  readonly nonceValidityMs: number;
  readonly applicationAuthorization: boolean;
  readonly accept: readonly Acceptable[];
  readonly transmitSecurityStatus: boolean;
  readonly srtp: boolean;
  /** Of our own first offers; what the peer offers may be either. */
  readonly keying: 'dtls' | 'sdp-keys';
  /** What we offer with `sdp-keys`, the best first. */
  readonly sdpKeySuites: readonly SdesSuite[];
}

export interface TrunkPeer {
  /** Name or literal. */
  readonly host: string;
  /** Undefined: where the name's DNS records say (RFC 3263 §4.2); of a literal, the port of the transport. */
  readonly port?: number;
}

/** What the transport knows of a connection before the first request. */
export interface ConnectionFacts {
  /** As configured, not as bound; undefined: the switch's own SIP port. */
  readonly port: number | undefined;
  readonly transport: SipTransport;
  readonly remote: Address;
  /** Subject common name and subject alternative names of the verified certificate; empty: none was shown. */
  readonly names: readonly string[];
}

/** Who is at the other end. `open`: the port belongs to no trunk, everybody may dial in. */
export type Access =
  | { readonly type: 'open' }
  | { readonly type: 'trunk'; readonly trunk: string }
  | { readonly type: 'denied'; readonly code: 'tls-verify-failed' | 'trunk-denied'; readonly cause: string };

export const OPEN: Access = { type: 'open' };

/** X.509 names are compared without case and wildcards: a name stands for itself (X3). */
function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/**
 * First of T4's checks, once a connection: which trunk it is. A port that a trunk has is closed to everybody else.
 * @param isAt whether a peer that is a name has this address.
 */
export function accessOf(
  trunks: readonly TrunkProfile[],
  facts: ConnectionFacts,
  isAt: (peer: TrunkPeer, address: string) => boolean = () => false,
): Access {
  const here = trunks.filter(
    (t) => t.port === facts.port && t.incoming.some((incoming) => incoming === facts.transport),
  );
  if (here.length === 0) {
    return trunks.some((t) => t.port === facts.port)
      ? { type: 'denied', code: 'trunk-denied', cause: `no trunk takes ${facts.transport.toUpperCase()} on this port` }
      : OPEN;
  }
  const found =
    facts.transport === 'tls'
      ? here.find((t) => t.x509Names.some((name) => facts.names.some((shown) => sameName(name, shown))))
      : here.find((t) => t.peers.some((p) => sameName(p.host, facts.remote.address) || isAt(p, facts.remote.address)));
  if (found !== undefined) return { type: 'trunk', trunk: found.name };
  if (facts.transport !== 'tls') {
    return { type: 'denied', code: 'trunk-denied', cause: `${facts.remote.address} is not the peer of a trunk here` };
  }
  const shown =
    facts.names.length === 0 ? 'no certificate was shown' : `its certificate names ${facts.names.join(', ')}`;
  return { type: 'denied', code: 'tls-verify-failed', cause: `${shown}; no trunk on this port has one of these names` };
}

/**
 * What is wrong with a set of profiles (T1, T2, T6), each with the trunk's name; empty: they can be used.
 * @param mainPort the switch's own SIP port, for trunks that name none.
 */
export function trunkProblems(trunks: readonly TrunkProfile[], mainPort: number): readonly string[] {
  const problems: string[] = [];
  const names = new Map<string, string>();
  const layers = new Map<number, { readonly secure: boolean; readonly trunk: string }>();
  for (const trunk of trunks) {
    const say = (text: string): void => void problems.push(`${trunk.name}: ${text}`);
    const checked = demandTransports(trunk);
    if (!checked.ok) say(checked.detail ?? checked.reason);
    if (trunks.find((t) => t.name === trunk.name) !== trunk) say('two trunks have this name');
    if (trunk.applicationAuthorization && !trunk.digest) say('applicationAuthorization needs digest = true');
    if (trunk.keying === 'sdp-keys') {
      const all = [...trunk.incoming, trunk.outgoing].every((t) => t === 'tls');
      if (!all)
        say('keying sdp-keys needs TLS for incoming and outgoing: without it everybody on the way reads the keys');
      if (!trunk.srtp) say('keying sdp-keys needs srtp = true');
    }
    const port = trunk.port ?? mainPort;
    const secure = trunk.incoming.includes('tls');
    const other = layers.get(port);
    if (other !== undefined && other.secure !== secure)
      say(`port ${port} is shared with ${other.trunk}: one has TLS, one has not`);
    layers.set(port, { secure, trunk: trunk.name });
    if (trunk.outgoing === 'udp' && !trunk.incoming.includes('udp'))
      say('outgoing udp needs udp in incoming: it is one socket');
    if (!secure && trunk.port === undefined) say('port is missing: without TLS a trunk needs one of its own');
    if (secure && trunk.x509Names.length === 0) say('x509Names is empty: nobody could use the trunk');
    if (trunk.peers.length === 0 && !secure) say('peers is empty: without TLS they say who may call');
    for (const name of new Set(trunk.x509Names.map((n) => n.toLowerCase()))) {
      const owner = names.get(`${port} ${name}`);
      if (owner !== undefined) say(`x509Names: ${name} on port ${port} belongs to ${owner}`);
      names.set(`${port} ${name}`, trunk.name);
    }
  }
  return problems;
}

function demandTransports(trunk: TrunkProfile): Result<void, 'transport'> {
  const all: readonly ServerTransport[] = [...trunk.incoming, trunk.outgoing];
  const tls = all.filter((t) => t === 'tls').length;
  if (trunk.security !== 'non-secure') {
    if (tls !== all.length)
      return refuse('transport', `security ${trunk.security} needs TLS for incoming and outgoing`);
  } else if (tls > 0) return refuse('transport', 'security non-secure is TCP or UDP; with TLS choose authenticated');
  // A fingerprint proves nothing when anybody on the way could have written it (RFC 5763 §8.5).
  if (trunk.srtp && trunk.security === 'non-secure') return refuse('transport', 'srtp = true needs TLS');
  if (trunk.security === 'encrypted' && !trunk.srtp) return refuse('transport', 'security encrypted needs srtp = true');
  return ok(undefined);
}

/** T7, in the words that old peers know. What is not proven yet is never called encrypted (C6). */
export function securityStatus(
  signallingSecure: boolean,
  mediaProven: boolean,
): 'NotAuthenticated' | 'Authenticated' | 'Encrypted' {
  if (!signallingSecure) return 'NotAuthenticated';
  return mediaProven ? 'Encrypted' : 'Authenticated';
}
