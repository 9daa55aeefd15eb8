/** Our engines against OpenSSL's DTLS 1.2, over real UDP on loopback: both must export the same keying material. */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Secret } from '../../src/base/secret.js';
import type { Association, AssociationOptions, AssociationOutput, SrtpProfile } from '../../src/dtls/association.js';
import { createSelfSigned, fingerprintOf } from '../../src/dtls/certificate.js';
import type { EngineName } from '../../src/dtls/engines.js';
import { OpensslAssociation } from '../../src/dtls/openssl/association.js';
import { WeriftAssociation } from '../../src/dtls/werift/association.js';
import type { Tuning } from '../../src/dtls/werift/handshake.js';
import { describeWithPeers, isInstalled } from '../support/peers.js';

const PROFILES: readonly { id: SrtpProfile; name: string; bytes: number }[] = [
  { id: 1, name: 'SRTP_AES128_CM_SHA1_80', bytes: 60 },
  { id: 7, name: 'SRTP_AEAD_AES_128_GCM', bytes: 56 },
  { id: 8, name: 'SRTP_AEAD_AES_256_GCM', bytes: 88 },
];

type Profile = (typeof PROFILES)[number];

let folder = '';
type Certificate = Awaited<ReturnType<typeof createSelfSigned>>;
let ours: Certificate;
/** What OpenSSL shows, and in one test we. */
const theirs: Partial<Record<'ec' | 'rsa', Certificate>> = {};

beforeAll(async () => {
  if (!isInstalled('openssl')) return;
  folder = await mkdtemp(join(tmpdir(), 'dtls-openssl-'));
  ours = await createSelfSigned('ours', Date.now());
  theirs.ec = await createSelfSigned('theirs', Date.now());
  await writeFile(join(folder, 'ec.crt'), theirs.ec.certificatePem);
  await writeFile(join(folder, 'ec.key'), theirs.ec.privateKeyPem.copyOut(), { mode: 0o600 });
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=rsa', '-days', '2'];
  const made = spawnSync('openssl', [...request, '-keyout', 'rsa.key', '-out', 'rsa.crt'], { cwd: folder });
  expect(made.status).toBe(0);
  const certificatePem = await readFile(join(folder, 'rsa.crt'), 'utf8');
  theirs.rsa = { certificatePem, privateKeyPem: new Secret(await readFile(join(folder, 'rsa.key'))) };
});

const children: ChildProcessWithoutNullStreams[] = [];

function openssl(options: readonly string[]): ChildProcessWithoutNullStreams {
  const child = spawn('openssl', options, { cwd: folder });
  children.push(child);
  return child;
}

afterAll(async () => {
  for (const child of children) child.kill(); // those that a failed test left
  if (folder !== '') await rm(folder, { recursive: true });
});

interface Run {
  readonly engine: EngineName;
  readonly profile: Profile;
  /** OpenSSL's certificate; by default ECDSA. */
  readonly key?: 'ec' | 'rsa';
  /** Ours, if not the usual one. */
  readonly own?: 'rsa';
  readonly tuning?: Partial<Tuning>;
  /** More of OpenSSL's options. */
  readonly more?: readonly string[];
}

interface Ours {
  readonly port: number;
  readonly done: Promise<AssociationOutput>;
  close(): Promise<void>;
}

const OPENSSL_GROUPS: ReadonlyMap<number, string> = new Map([
  [29, 'X25519'],
  [23, 'P-256'],
]);

function makeEngine({ engine, tuning }: Run, options: AssociationOptions): Association {
  if (engine === 'werift') return new WeriftAssociation(options, tuning);
  const { groups, extendedMasterSecret } = tuning ?? {};
  return new OpensslAssociation(options, {
    ...(groups === undefined ? {} : { groups: groups.map((group) => OPENSSL_GROUPS.get(group)!) }),
    ...(extendedMasterSecret === undefined ? {} : { extendedMasterSecret }),
  });
}

/** Our engine behind a socket; a client talks to `serverPort`, a server to whoever speaks first. */
async function runOurs(role: 'client' | 'server', serverPort: number, run: Run): Promise<Ours> {
  const engine = makeEngine(run, {
    role,
    ...(run.own === undefined ? ours : theirs[run.own]!),
    peerFingerprints: [fingerprintOf(theirs[run.key ?? 'ec']!.certificatePem, 'sha-256')],
    profiles: [run.profile.id],
    mtuBytes: 1200,
  });
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  let peerPort = serverPort;
  let timer: NodeJS.Timeout | undefined;
  let settle: (output: AssociationOutput) => void = () => {};
  const done = new Promise<AssociationOutput>((resolve) => {
    settle = resolve;
  });
  const drive = (input: Parameters<typeof engine.receive>[0]) => {
    engine.receive(input, Date.now());
    for (let out = engine.poll(); out !== undefined; out = engine.poll()) {
      if (out.type === 'datagram') socket.send(out.bytes, peerPort, '127.0.0.1');
      else settle(out);
    }
    clearTimeout(timer);
    const at = engine.deadline();
    if (at !== undefined) timer = setTimeout(() => drive({ type: 'tick' }), Math.max(0, at - Date.now()));
  };
  socket.on('message', (bytes, from) => {
    if (peerPort === 0) peerPort = from.port;
    drive({ type: 'datagram', bytes });
  });
  drive({ type: 'start' });
  const close = async () => {
    drive({ type: 'close' });
    await new Promise<void>((resolve) => socket.close(() => resolve()));
  };
  return { port: socket.address().port, done, close };
}

/** Collects the process's output until `pattern` is in it. */
async function waitFor(process: ChildProcessWithoutNullStreams, pattern: RegExp): Promise<RegExpExecArray> {
  let text = '';
  return new Promise((resolve, reject) => {
    const look = (chunk: Buffer) => {
      text += chunk.toString();
      const match = pattern.exec(text);
      if (match !== null) resolve(match);
    };
    process.stdout.on('data', look);
    process.stderr.on('data', look);
    process.once('exit', (code) => reject(new Error(`openssl ended with ${code}:\n${text}`)));
  });
}

function exporterOptions({ profile, key = 'ec' }: Run): string[] {
  const identity = ['-cert', `${key}.crt`, '-key', `${key}.key`];
  const exporter = ['-keymatexport', 'EXTRACTOR-dtls_srtp', '-keymatexportlen', String(profile.bytes)];
  return ['-dtls1_2', '-use_srtp', profile.name, ...identity, ...exporter];
}

const MATERIAL = /Keying material: ([0-9A-F]+)\s/;

/** client key ‖ server key ‖ client salt ‖ server salt, as RFC 5764 §4.2 exports it, from what our engine gave. */
function exported(output: AssociationOutput, role: 'client' | 'server', profile: Profile): string {
  if (output.type !== 'keys') throw new Error(`no keys but ${JSON.stringify(output)}`);
  const keyBytes = profile.id === 8 ? 32 : 16;
  const [client, server] = role === 'client' ? [output.local, output.remote] : [output.remote, output.local];
  const hex = (secret: Secret) => secret.use((bytes) => Buffer.from(bytes).toString('hex').toUpperCase());
  const [c, s] = [hex(client), hex(server)];
  return c.slice(0, 2 * keyBytes) + s.slice(0, 2 * keyBytes) + c.slice(2 * keyBytes) + s.slice(2 * keyBytes);
}

const CURVES = [
  // The list is also about the certificate's curve (RFC 8422 §5.1): without P-256 OpenSSL would not show its certificate.
  { curve: 'X25519', groups: [29, 23] },
  { curve: 'P-256', groups: [23] },
];
const cases = PROFILES.flatMap((profile) => CURVES.map((curve) => ({ ...curve, profile, name: profile.name })));

/** Ends both sides, so that no process outlives its test. */
async function end(process: ChildProcessWithoutNullStreams, side: Ours): Promise<void> {
  process.removeAllListeners('exit');
  const ended = process.exitCode === null ? new Promise((resolve) => process.once('exit', resolve)) : undefined;
  await side.close();
  process.kill();
  await ended;
}

const first = PROFILES[0]!;
const ENGINES: readonly EngineName[] = ['werift', 'openssl'];

for (const engine of ENGINES)
  describeWithPeers(`openssl s_client against our server on ${engine}`, ['openssl'], () => {
    const connect = async (change: Omit<Run, 'engine'>) => {
      const run: Run = { ...change, engine };
      const server = await runOurs('server', 0, run);
      const target = ['s_client', '-mtu', '1200', '-connect', `127.0.0.1:${server.port}`];
      const client = openssl([...target, ...exporterOptions(run)]);
      try {
        const got = server.done.then((output) => exported(output, 'server', run.profile));
        const [match, material] = await Promise.all([waitFor(client, MATERIAL), got]);
        expect(material).toBe(match[1]);
      } finally {
        await end(client, server);
      }
    };

    it.each(cases)('exports the same keys: $name, $curve', ({ profile, groups }) =>
      connect({ profile, tuning: { groups } }),
    );
    it('takes an RSA certificate from the client', () => connect({ profile: first, key: 'rsa' }));
    it('shows an RSA certificate of its own', () => connect({ profile: first, own: 'rsa' }));
  });

for (const engine of ENGINES)
  describeWithPeers(`our client on ${engine} against openssl s_server`, ['openssl'], () => {
    const accept = async (change: Omit<Run, 'engine'>) => {
      const run: Run = { ...change, engine };
      const listen = ['s_server', '-4', '-accept', '127.0.0.1:0', '-Verify', '1', ...(run.more ?? ['-mtu', '1200'])];
      const server = openssl([...listen, ...exporterOptions(run)]);
      const port = Number((await waitFor(server, /ACCEPT [^\n]*:(\d+)/))[1]);
      const client = await runOurs('client', port, run);
      try {
        const got = client.done.then((output) => exported(output, 'client', run.profile));
        const [match, material] = await Promise.all([waitFor(server, MATERIAL), got]);
        expect(material).toBe(match[1]);
      } finally {
        await end(server, client);
      }
    };

    it.each(cases)('exports the same keys: $name, $curve', ({ profile, groups }) =>
      accept({ profile, tuning: { groups } }),
    );
    it('takes an RSA certificate from the server', () => accept({ profile: first, key: 'rsa' }));
    it('shows an RSA certificate of its own', () => accept({ profile: first, own: 'rsa' }));
    it('answers its HelloVerifyRequest', () => accept({ profile: first, more: ['-listen'] }));
    it('reads a certificate message in fragments', () => accept({ profile: first, key: 'rsa', more: ['-mtu', '256'] }));
    it('reads a CertificateRequest that names authorities', () =>
      accept({ profile: first, more: ['-CAfile', 'rsa.crt'] }));
    it('agrees without the extended master secret', () =>
      accept({ profile: first, tuning: { extendedMasterSecret: false } }));
  });
