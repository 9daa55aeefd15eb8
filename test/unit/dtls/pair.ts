/** A client and a server engine on one virtual clock, with a network between them that a test can break. */
import { expect } from 'vitest';
import { Secret } from '../../../src/base/secret.js';
import type {
  Association,
  AssociationInput,
  AssociationOptions,
  AssociationOutput,
  SrtpProfile,
} from '../../../src/dtls/association.js';
import { createSelfSigned, fingerprintOf } from '../../../src/dtls/certificate.js';
import type { EngineName } from '../../../src/dtls/engines.js';
import { OpensslAssociation } from '../../../src/dtls/openssl/association.js';
import { WeriftAssociation } from '../../../src/dtls/werift/association.js';
import type { Tuning } from '../../../src/dtls/werift/handshake.js';

export const START = Date.UTC(2026, 0, 1);
export const ALL_PROFILES: readonly SrtpProfile[] = [1, 7, 8];

export type Side = 'client' | 'server';
export type Certificate = Awaited<ReturnType<typeof createSelfSigned>>;
export type Keys = Extract<AssociationOutput, { type: 'keys' }>;
export type Failure = Extract<AssociationOutput, { type: 'failed' }>;

/** Made once: P-256 keys are the slow part. */
export const certificates = {
  client: await createSelfSigned('client', START),
  server: await createSelfSigned('server', START),
  stranger: await createSelfSigned('stranger', START),
};

export function optionsFor(side: Side, change: Partial<AssociationOptions> = {}): AssociationOptions {
  const own = certificates[side];
  const peer = certificates[side === 'client' ? 'server' : 'client'];
  return {
    role: side,
    certificatePem: own.certificatePem,
    privateKeyPem: Secret.copyOf(own.privateKeyPem.copyOut()),
    peerFingerprints: [fingerprintOf(peer.certificatePem, 'sha-256')],
    profiles: ALL_PROFILES,
    mtuBytes: 1200,
    ...change,
  };
}

/** What happens to a datagram: the datagrams that arrive instead of it, at once. */
export type Network = (from: Side, bytes: Uint8Array, index: number) => readonly Uint8Array[];

export type Engines = Readonly<Record<Side, EngineName>>;
export type TestEngine = Association & { readonly heldBytes: number };

/** OpenSSL's own timer is the wall clock's: waits up to this are waited for, longer ones (which are ours) are skipped. */
const REAL_WAIT_MS = 100;

const OPENSSL_GROUPS: ReadonlyMap<number, string> = new Map([
  [29, 'X25519'],
  [23, 'P-256'],
]);

function makeEngine(name: EngineName, options: AssociationOptions, change: PairChange, side: Side): TestEngine {
  const tuning = side === 'client' ? change.clientTuning : change.serverTuning;
  if (name === 'werift') return new WeriftAssociation(options, tuning);
  const { groups, extendedMasterSecret } = tuning ?? {};
  return new OpensslAssociation(options, {
    ...(groups === undefined ? {} : { groups: groups.map((group) => OPENSSL_GROUPS.get(group)!) }),
    ...(extendedMasterSecret === undefined ? {} : { extendedMasterSecret }),
    ...(change.opensslRetransmitMs === undefined ? {} : { retransmitMs: change.opensslRetransmitMs }),
  });
}

export interface PairChange {
  /** By default werift on both sides. */
  readonly engines?: Engines | undefined;
  /** OpenSSL's first wait, by the wall clock. */
  readonly opensslRetransmitMs?: number;
  readonly client?: Partial<AssociationOptions>;
  readonly server?: Partial<AssociationOptions>;
  readonly clientTuning?: Partial<Tuning>;
  readonly serverTuning?: Partial<Tuning>;
  readonly network?: Network;
}

/** Until the wall clock has moved on; a thread that slept could not be told from one that hangs. */
function waitReally(milliseconds: number): void {
  const until = performance.now() + milliseconds;
  while (performance.now() < until) {}
}

export class Pair {
  readonly engines: Record<Side, TestEngine>;
  readonly keys: Record<Side, Keys[]> = { client: [], server: [] };
  readonly failures: Record<Side, Failure[]> = { client: [], server: [] };
  readonly closed: Record<Side, number> = { client: 0, server: 0 };
  /** Every datagram sent, in order. */
  readonly sent: { from: Side; bytes: Uint8Array }[] = [];
  now = START;
  /** Called around each `receive`, for forging what one side computes. */
  around: (side: Side, receive: () => void) => void = (_side, receive) => receive();
  network: Network;
  readonly #hasOpenssl: boolean;
  readonly #queue: { to: Side; bytes: Uint8Array }[] = [];

  constructor(change: PairChange = {}) {
    this.engines = {
      client: makeEngine(change.engines?.client ?? 'werift', optionsFor('client', change.client), change, 'client'),
      server: makeEngine(change.engines?.server ?? 'werift', optionsFor('server', change.server), change, 'server'),
    };
    this.#hasOpenssl = Object.values(change.engines ?? {}).includes('openssl');
    this.network = change.network ?? ((_from, bytes) => [bytes]);
  }

  start(): this {
    for (const side of ['server', 'client'] as const) this.input(side, { type: 'start' });
    return this;
  }

  input(side: Side, input: AssociationInput): void {
    this.around(side, () => this.engines[side].receive(input, this.now));
    for (let out = this.engines[side].poll(); out !== undefined; out = this.engines[side].poll()) {
      if (out.type === 'keys') this.keys[side].push(out);
      else if (out.type === 'failed') this.failures[side].push(out);
      else if (out.type === 'closed') this.closed[side] += 1;
      else {
        const to = side === 'client' ? 'server' : 'client';
        const arriving = this.network(side, out.bytes, this.sent.length);
        this.sent.push({ from: side, bytes: out.bytes });
        for (const bytes of arriving) this.#queue.push({ to, bytes });
      }
    }
  }

  /** Delivers until the network is empty, without letting time pass. */
  settle(): this {
    while (this.step()) {}
    return this;
  }

  /** Delivers one datagram; false when the network is empty. */
  step(): boolean {
    const next = this.#queue.shift();
    if (next !== undefined) this.input(next.to, { type: 'datagram', bytes: next.bytes });
    return next !== undefined;
  }

  /** Delivers and lets time pass from deadline to deadline until neither side wants to be woken. */
  run(): this {
    // A side that wants to be woken again and again without doing anything fails its test instead of hanging it.
    for (let wakes = 0; wakes < 10_000; wakes++) {
      this.settle();
      const at = Math.min(...(['client', 'server'] as const).map((s) => this.engines[s].deadline() ?? Infinity));
      if (at === Infinity) return this;
      if (this.#hasOpenssl && at - this.now <= REAL_WAIT_MS) waitReally(at - this.now);
      this.now = Math.max(this.now, at);
      for (const side of ['client', 'server'] as const) this.input(side, { type: 'tick' });
    }
    throw new Error('a deadline passes and nothing happens');
  }

  get states(): readonly [string, string] {
    return [this.engines.client.state, this.engines.server.state];
  }
}

export function hex(secret: Secret): string {
  return secret.use((bytes) => Buffer.from(bytes).toString('hex'));
}

/** Both sides are established and hold the same keys, crosswise. */
export function expectEstablished(pair: Pair): void {
  expect(pair.failures).toEqual({ client: [], server: [] });
  expect(pair.states).toEqual(['established', 'established']);
  expect(pair.keys.client).toHaveLength(1);
  expect(pair.keys.server).toHaveLength(1);
  const [client, server] = [pair.keys.client[0]!, pair.keys.server[0]!];
  expect(client.profile).toBe(server.profile);
  expect(hex(client.local)).toBe(hex(server.remote));
  expect(hex(client.remote)).toBe(hex(server.local));
  expect(hex(client.local)).not.toBe(hex(client.remote));
}

/** Numbers from 0 to 1 that are the same in every run (a 32-bit linear congruential generator). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
