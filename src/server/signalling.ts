/** SIP as configured: which ports listen, with which certificates, who is let in on each, and connections to trunk peers. */
import { performance } from 'node:perf_hooks';
import type { Address } from '../base/ids.js';
import {
  LOG_THROTTLE_INTERVAL_MS,
  LOG_THROTTLE_MAX_NAMES,
  TLS_EXPIRY_CHECK_INTERVAL_MS,
  TLS_EXPIRY_WARNING_MS,
} from '../base/limits.js';
import { makeEvent, type SecurityEvent, type SecurityEventCode } from '../security/events.js';
import type { Send, SipTransport } from '../sip/contract.js';
import type { Hop } from '../sip/locate.js';
import { accessOf, type TrunkPeer, type TrunkProfile } from '../sip/trunk.js';
import { ownFiles, serverCertificate } from './certificates.js';
import type { Config } from './config.js';
import { MAIN, type TlsPort, tlsPorts, userOf, WSS } from './config-tls.js';
import { trunkProfile } from './config-trunks.js';
import { LogThrottle } from './log.js';
import { PeerAddresses } from './peer-addresses.js';
import { resolverOf } from './resolver.js';
import type { SipConnectionsOptions, SipProblem } from './sip-connections.js';
import { type Identify, SipTransports } from './sip-transports.js';
import { withListenSettings } from './tls-contexts.js';
import { chooseLevel, expiriesOf, type TlsLevel, type TlsProblem, type TlsSet } from './tls-set.js';
import { TlsStore } from './tls-store.js';
import { TrunkConnections } from './trunk-connections.js';

export interface SignallingOptions extends SipConnectionsOptions {
  readonly config: Config;
  /** From {@link readCertificatesOf}; closed with the signalling. */
  readonly certificates: TlsStore;
  readonly onSecurityEvent: (event: SecurityEvent) => void;
  /** For users other than SIP's ports, such as {@link ADMIN}, and for the log. */
  readonly onReloaded: (user: string, set: TlsSet) => void;
  readonly now: () => number;
}

/** Where the switch takes everybody's calls. */
export interface SipAddress extends Address {
  readonly wssPort: number | undefined;
}

/** The user of the administration port. */
export const ADMIN = 'admin';

/** A TLS alert by which a peer says that it does not take our certificate (RFC 8446 §6.2). */
const REFUSED_BY_PEER =
  /alert (unknown ca|bad certificate|certificate (unknown|expired|revoked)|unsupported certificate)/;

const isMutual = ({ sip, trunks }: Config, user: string, port: number): boolean =>
  user === MAIN || user === WSS
    ? sip.clientCertificates || (user === MAIN && trunks.some((t) => t.port === undefined || t.port === port))
    : trunks.some((t) => t.port === port);

/** Reads every certificate that SIP and the administration port need. Rejects with the place and the file of the first that cannot be used. */
export async function readCertificatesOf(config: Config, now: number): Promise<TlsStore> {
  const ports = tlsPorts(config);
  const own: TlsLevel = { where: 'data.dir', settings: ownFiles(config.data.dir) };
  const { certificate, key } = config.admin;
  const admin: readonly TlsLevel[] = [
    { where: 'admin', settings: { certificate, key } },
    { where: 'tls', settings: config.tls },
  ];
  const users = [
    ...ports.map(({ user, levels }) => ({ name: user, levels })),
    { name: ADMIN, levels: admin, ca: config.admin.clientCa },
  ];
  if (users.some(({ levels }) => isUnset(levels))) await serverCertificate(config.data.dir, config.sip.name, now);
  const store = new TlsStore(users.map((user) => (isUnset(user.levels) ? { ...user, levels: [own] } : user)));
  for (const { user, port } of ports) {
    const { where, caPem } = store.set(user);
    if (!isMutual(config, user, port) || caPem.length > 0) continue;
    throw new Error(`${where}: ca is missing: callers on port ${port} must present a certificate of an authority`);
  }
  return store;
}

function isUnset(levels: readonly TlsLevel[]): boolean {
  const level = chooseLevel(levels);
  return level.ok && level.value === undefined;
}

export class Signalling {
  readonly transports: SipTransports;
  readonly trunks: readonly TrunkProfile[];
  readonly #options: SignallingOptions;
  readonly #trunkConnections: TrunkConnections;
  readonly #peerAddresses: PeerAddresses;
  readonly #throttle = new LogThrottle(LOG_THROTTLE_INTERVAL_MS, LOG_THROTTLE_MAX_NAMES);
  /** Of TLS listeners, by their user's name. */
  readonly #bound = new Map<string, { readonly port: number; readonly mutual: boolean }>();
  #expiryTimer: NodeJS.Timeout | undefined;

  constructor(options: SignallingOptions) {
    this.#options = options;
    this.trunks = options.config.trunks.map(trunkProfile);
    this.transports = new SipTransports({
      ...options,
      onInput: (input) => {
        if (input.type === 'disconnected') this.#trunkConnections.closed(input.connection);
        options.onInput(input);
      },
      onProblem: (kind, detail, remote) => this.#onProblem(kind, detail, remote),
    });
    const resolve = resolverOf(options.config);
    this.#peerAddresses = new PeerAddresses(resolve, this.trunks);
    const nameChecks = new Map(options.config.trunks.map((t) => [t.name, t.targetNameCheck]));
    this.#trunkConnections = new TrunkConnections({
      transports: this.transports,
      resolve,
      tlsSet: (port) => this.tlsSet(port),
      mainPort: () => this.#bound.get(MAIN)!.port,
      targetNameCheck: (trunk) => nameChecks.get(trunk) ?? 'host',
      onSecurityEvent: options.onSecurityEvent,
    });
  }

  /** Certificates in force at the switch's own port, and for connections that we open. */
  tlsSet(port?: number): TlsSet {
    const { sip } = this.#options.config;
    return this.#options.certificates.set(userOf(port ?? sip.port, sip.port));
  }

  /** File that callers need to trust our certificate; undefined: the operator brought one of his own. */
  get caFile(): string | undefined {
    const { data } = this.#options.config;
    return this.tlsSet().where === 'data.dir' ? ownFiles(data.dir).ca : undefined;
  }

  /** Opens every port. @returns the switch's own; rejects with the system's error. */
  async listen(): Promise<SipAddress> {
    const { config, certificates } = this.#options;
    const { address } = config.sip;
    await this.#peerAddresses.start();
    for (const wanted of tlsPorts(config)) await this.#listenTls(address, wanted);
    const plain = this.trunks.flatMap((t) => t.incoming.map((transport) => ({ transport, port: t.port })));
    const opened = new Set<string>();
    for (const { transport, port } of plain) {
      if (transport === 'tls' || port === undefined || opened.has(`${transport} ${port}`)) continue;
      opened.add(`${transport} ${port}`);
      await this.transports.listen({ transport, address, port, identify: this.#identify(transport, port) });
    }
    certificates.watch({
      onChange: (user, set) => this.#reloaded(user, set),
      onProblem: (_, problem, detail) => this.#event(eventOf(problem), 'this switch', detail),
    });
    this.#reportExpiries();
    this.#expiryTimer = setInterval(() => this.#reportExpiries(), TLS_EXPIRY_CHECK_INTERVAL_MS).unref();
    return { address, port: this.#bound.get(MAIN)!.port, wssPort: this.#bound.get(WSS)?.port };
  }

  async #listenTls(address: string, { user, transport, port }: TlsPort): Promise<void> {
    const { config, certificates } = this.#options;
    const mutual = isMutual(config, user, port);
    const identify = this.#identify(transport, user === MAIN ? undefined : port);
    const wanted = { address, port, identify };
    const bound = await withListenSettings(certificates.set(user), mutual, (tls) =>
      // The context is made before the first await in there.
      this.transports.listen(
        transport === 'tls'
          ? { transport, ...wanted, tls }
          : { transport, ...wanted, tls, rules: { origins: config.sip.wssOrigins } },
      ),
    );
    this.#bound.set(user, { port: bound.port, mutual });
  }

  /** The servers of a trunk's peer, best first; none: there is none, which an event has told. */
  locate(trunk: TrunkProfile, peer: TrunkPeer): Promise<readonly Hop[]> {
    return this.#trunkConnections.locate(trunk, peer);
  }

  /** A connection to one of them; undefined: there is none, which an event has told. */
  connect(trunk: TrunkProfile, hop: Hop): Promise<number | undefined> {
    return this.#trunkConnections.connect(trunk, hop);
  }

  /** Reads the files again (SIGHUP). Calls go on; connections that come later get the new certificates. */
  reload(): boolean {
    return this.#options.certificates.reload();
  }

  send(out: Send): void {
    this.transports.send(out);
  }

  closeConnection(connection: number): void {
    this.transports.closeConnection(connection);
  }

  async close(): Promise<void> {
    clearInterval(this.#expiryTimer);
    this.#peerAddresses.close();
    await this.transports.close();
    this.#options.certificates.close();
  }

  #identify(transport: SipTransport, port: number | undefined): Identify {
    return (address, names) => {
      const access = accessOf(this.trunks, { port, transport, remote: { address, port: 0 }, names }, (peer, at) =>
        this.#peerAddresses.has(peer, at),
      );
      // All connections of a trunk are one peer's: it may go on with a dialog on another of them.
      if (access.type === 'trunk' && transport === 'tls') return { access, identity: `trunk ${access.trunk}` };
      const [subject] = names;
      return subject === undefined ? { access } : { access, identity: `certificate ${subject}` };
    };
  }

  #reloaded(user: string, set: TlsSet): void {
    const bound = this.#bound.get(user);
    if (bound !== undefined) {
      withListenSettings(set, bound.mutual, (tls) => this.transports.reload(bound.port, tls));
    }
    this.#options.onReloaded(user, set);
    this.#reportExpiries();
  }

  #onProblem(kind: SipProblem, detail: string, remote: string): void {
    this.#options.onProblem(kind, detail, remote);
    const code = kind === 'origin' ? 'origin-refused' : 'tls-verify-failed';
    const cause =
      kind === 'tls-verify' || kind === 'origin' ? detail : kind === 'tls-handshake' ? causeOf(detail) : undefined;
    if (cause === undefined) return;
    // Whoever can reach the port can fail at it as often as he likes.
    if (this.#throttle.admit(code, remote, performance.now()) === undefined) return;
    this.#event(code, remote, cause);
  }

  #reportExpiries(): void {
    const now = this.#options.now();
    const sets = new Set(this.#options.certificates.sets.values());
    const told = new Set<string>();
    for (const set of sets) {
      for (const { what, at } of expiriesOf(set)) {
        if (at - now >= TLS_EXPIRY_WARNING_MS || told.has(what)) continue;
        told.add(what);
        const when = new Date(at).toISOString();
        this.#event(
          'certificate-expiring',
          'this switch',
          `${what} (${set.where}) ${at <= now ? 'ended' : 'ends'} at ${when}`,
        );
      }
    }
  }

  #event(code: SecurityEventCode, endpoint: string, cause: string): void {
    this.#options.onSecurityEvent(makeEvent(code, { endpoint, cause }));
  }
}

/** Whether a handshake failed for a certificate, in OpenSSL's words. */
function causeOf(detail: string): string | undefined {
  if (detail.includes('peer did not return a certificate')) return 'no certificate was shown';
  return REFUSED_BY_PEER.test(detail) ? `the peer refuses our certificate: ${detail}` : undefined;
}

function eventOf(problem: TlsProblem): SecurityEventCode {
  return problem === 'key' || problem === 'certificate' ? 'tls-key-invalid' : 'tls-verify-failed';
}
