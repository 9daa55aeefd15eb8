/**
 * CPU of one DTLS handshake for each engine and role, beside the cryptography that no engine can do without: making a key
 * share and agreeing on it (two X25519 operations), one signature, one verification (ECDSA P-256). All of it in one thread,
 * in alternating rounds of one run, so that the figures may be compared.
 */
import { diffieHellman, generateKeyPairSync, sign, verify } from 'node:crypto';
import { Secret } from '../src/base/secret.js';
import type { Association, AssociationFactory, AssociationOptions } from '../src/dtls/association.js';
import { createSelfSigned, fingerprintOf } from '../src/dtls/certificate.js';
import { ENGINES, type EngineName } from '../src/dtls/engines.js';

import { rounded, summarise } from './statistics.js';
import { table } from './table.js';

export const JOIN_DEFAULTS = { rounds: 7, packets: 50 } as const;
export const JOIN_COUNTED =
  'CPU of one whole DTLS handshake, from the first datagram to close, of one side; beside two X25519 operations, an ECDSA ' +
  'P-256 signature and a verification through node:crypto in the same rounds. Median of the rounds.';

export type Role = 'client' | 'server';

export interface EngineCost {
  readonly engine: EngineName;
  readonly role: Role;
  /** Median of the rounds. */
  readonly cpuMsPerHandshake: number;
  readonly primitivesMs: number;
}

export interface JoinEnginesOptions {
  readonly rounds: number;
  /** Of each engine in a round; they are open at the same time, as in a switch, and share one identity a side. */
  readonly handshakes: number;
  readonly signal: AbortSignal;
}

const ROLES: readonly Role[] = ['client', 'server'];
const other = (role: Role): Role => (role === 'client' ? 'server' : 'client');

type Identity = Awaited<ReturnType<typeof createSelfSigned>>;

/** CPU time of this process in ms: what others do on the machine does not count. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** One handshake that stays open. Adds what each side cost to `spent`. */
function handshake(
  factory: AssociationFactory,
  options: (role: Role) => AssociationOptions,
  spent: Record<Role, number>,
) {
  const queue: { readonly to: Role; readonly bytes: Uint8Array }[] = [];
  let keys = 0;
  const measured = <T>(role: Role, work: () => T): T => {
    const before = cpuMs();
    const result = work();
    spent[role] += cpuMs() - before;
    return result;
  };
  const pump = (role: Role, association: Association) => {
    for (let out = association.poll(); out !== undefined; out = association.poll()) {
      if (out.type === 'datagram') queue.push({ to: other(role), bytes: out.bytes });
      else if (out.type === 'keys') keys += 1;
      else throw new Error(`a handshake ended with ${JSON.stringify(out)}`);
    }
  };
  // What SDP and the call's set-up give is not the handshake's cost: node parses a certificate for each fingerprint.
  const prepared = { client: options('client'), server: options('server') };
  const open = (role: Role): Association =>
    measured(role, () => {
      const association = factory(prepared[role]);
      association.receive({ type: 'start' }, Date.now());
      pump(role, association);
      return association;
    });
  const sides: Record<Role, Association> = { server: open('server'), client: open('client') };
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const { to, bytes } = next;
    measured(to, () => {
      sides[to].receive({ type: 'datagram', bytes }, Date.now());
      pump(to, sides[to]);
    });
  }
  if (keys !== 2) throw new Error('a handshake without loss did not finish');
  return () => {
    for (const role of ROLES) measured(role, () => sides[role].receive({ type: 'close' }, Date.now()));
  };
}

function primitivesMs(count: number): number {
  const peer = generateKeyPairSync('x25519').publicKey;
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const message = new Uint8Array(256);
  const before = cpuMs();
  for (let i = 0; i < count; i++) {
    diffieHellman({ privateKey: generateKeyPairSync('x25519').privateKey, publicKey: peer });
    const signature = sign('sha256', message, privateKey);
    if (!verify('sha256', message, publicKey, signature)) throw new Error('a signature did not verify');
  }
  return (cpuMs() - before) / count;
}

/** Throws when a handshake fails or `signal` is aborted. */
export async function joinEngines({ rounds, handshakes, signal }: JoinEnginesOptions): Promise<EngineCost[]> {
  const identities: Record<Role, Identity> = {
    client: await createSelfSigned('client', Date.now()),
    server: await createSelfSigned('server', Date.now()),
  };
  const options = (role: Role): AssociationOptions => ({
    role,
    certificatePem: identities[role].certificatePem,
    privateKeyPem: Secret.copyOf(identities[role].privateKeyPem.copyOut()),
    peerFingerprints: [fingerprintOf(identities[other(role)].certificatePem, 'sha-256')],
    profiles: [8, 7, 1],
    mtuBytes: 1200,
  });
  const engines = Object.keys(ENGINES) as EngineName[];
  const costs = engines.flatMap((engine) => ROLES.map((role) => ({ engine, role, ms: [] as number[] })));
  const primitives: number[] = [];
  // The first round warms up and is thrown away.
  for (let round = 0; round <= rounds; round++) {
    for (const engine of engines) {
      signal.throwIfAborted();
      const spent = { client: 0, server: 0 };
      const closing = Array.from({ length: handshakes }, () => handshake(ENGINES[engine], options, spent));
      for (const close of closing) close();
      for (const cost of costs) if (round > 0 && cost.engine === engine) cost.ms.push(spent[cost.role] / handshakes);
    }
    const ms = primitivesMs(handshakes);
    if (round > 0) primitives.push(ms);
    await new Promise((resolve) => setImmediate(resolve)); // an interrupt is heard between rounds
  }
  return costs.map(({ engine, role, ms }) => ({
    engine,
    role,
    cpuMsPerHandshake: rounded(summarise(ms).median),
    primitivesMs: rounded(summarise(primitives).median),
  }));
}

export function joinTable(costs: readonly EngineCost[]): string {
  const rows = costs.map(({ engine, role, cpuMsPerHandshake, primitivesMs }) => [
    engine,
    role,
    cpuMsPerHandshake.toFixed(3),
    primitivesMs.toFixed(3),
    (cpuMsPerHandshake / primitivesMs).toFixed(1),
  ]);
  return table(['engine', 'role', 'CPU ms', 'primitives ms', 'ratio'], rows, JOIN_COUNTED);
}
