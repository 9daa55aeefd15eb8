/**
 * sipp as caller and callee, with scenarios of ours (sipp/*.xml): over UDP and TCP as it is, over TLS through a tunnel of the
 * test's, for Debian's sipp is built without TLS.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import type { SecurityEvent } from '../../src/security/events.js';
import type { Switch } from '../../src/server/switch.js';
import { freePort, type Place, placeForEach } from '../support/configured-switch.js';
import { describeWithPeers } from '../support/peers.js';
import { type Identity, issue, put, revocationList } from '../support/pki.js';
import { until } from '../support/running-switch.js';

const SCENARIOS = fileURLToPath(new URL('./sipp', import.meta.url));

let running: Switch;
const here = placeForEach();
const { closing } = here;

interface Ran {
  readonly code: number;
  readonly log: string;
}

/** Runs a scenario to its end; `log` is what sipp says and its errors. */
function sipp(scenario: string, args: readonly string[]): Promise<Ran> {
  const folder = mkdtempSync(join(tmpdir(), 'claviger-sipp-'));
  const all = ['-sf', join(SCENARIOS, `${scenario}.xml`), '-i', '127.0.0.1', '-nostdin', '-trace_err', ...args];
  return new Promise((resolve) => {
    execFile('sipp', all, { cwd: folder, timeout: 60_000 }, (error, stdout, stderr) => {
      const errors = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
      rmSync(folder, { recursive: true, force: true });
      const code = error === null ? 0 : Number(error.code ?? 1);
      resolve({ code, log: [stdout.slice(-2_000), stderr, ...errors].join('\n') });
    });
  });
}

const TRANSPORT = { udp: 'u1', tcp: 't1' } as const;
type Plain = keyof typeof TRANSPORT;

/** A switch with plain conferences and a non-secure trunk; @returns the trunk's port. */
async function start(transport: Plain, trunk = 'peers = ["127.0.0.1"]', more = ''): Promise<number> {
  const port = await freePort();
  running = await here.place.start(`[conferences]
policy = "non-secure"
[[trunks]]
name = "peer"
security = "non-secure"
srtp = false
incoming = ["${transport}"]
outgoing = "${transport}"
port = ${port}
${trunk}
${more}`);
  return port;
}

/** Calls of a scenario, ten a second. */
const calls = (count: number): string[] => ['-m', String(count), '-r', '10', '-s', 'board'];

/** Takes TCP connections and carries their bytes over TLS. */
async function tunnel(port: number, tls: { readonly cert?: string; readonly key?: string }): Promise<number> {
  const sockets: Socket[] = [];
  const server = createServer((plain) => {
    const secure = connect({ host: '127.0.0.1', port, ca: here.place.root.pem, servername: 'switch.example', ...tls });
    sockets.push(plain, secure);
    plain.pipe(secure).pipe(plain);
    plain.on('error', () => secure.destroy());
    secure.on('error', () => plain.destroy());
    secure.on('close', () => plain.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('not listening');
  return bound.port;
}

describeWithPeers('sipp calls the switch', ['sipp'], () => {
  it.each(['udp', 'tcp'] as const)(
    'over %s: calls with re-INVITE and OPTIONS; a CANCEL that comes too late',
    async (transport) => {
      const port = await start(transport);
      for (const scenario of ['call', 'cancel-too-late']) {
        const ran = await sipp(scenario, ['-t', TRANSPORT[transport], ...calls(10), `127.0.0.1:${port}`]);
        expect(ran.log).not.toMatch(/unexpected|Aborting/i);
        expect(ran.code, ran.log).toBe(0);
      }
      await until('all have left', () => running.conferenceLevel('board') === undefined);
    },
  );

  it('over UDP that loses every seventh message: retransmissions make up for it', async () => {
    const port = await start('udp');
    const ran = await sipp('short', ['-t', 'u1', '-lost', '14', ...calls(10), `127.0.0.1:${port}`]);
    expect(ran.code, ran.log).toBe(0);
  }, 60_000);

  it('over TLS', async () => {
    running = await here.place.start('[conferences]\npolicy = "non-secure"');
    const port = await tunnel(running.sip.port, {});
    const ran = await sipp('call', ['-t', 't1', ...calls(10), `127.0.0.1:${port}`]);
    expect(ran.code, ran.log).toBe(0);
  });

  it.each<[string, (place: Place) => Promise<Identity>, RegExp]>([
    [
      'of a foreign authority',
      async () => issue(await issue(undefined, { cn: 'foreign root' }), { cn: 'peer.example' }),
      /UNABLE_TO_(VERIFY_LEAF|GET_ISSUER)/,
    ],
    ['that has expired', ({ root }) => issue(root, { cn: 'peer.example', days: -1 }), /CERT_HAS_EXPIRED/],
    [
      'that is revoked',
      async ({ root, folder }) => {
        const revoked = await issue(root, { cn: 'peer.example' });
        put(folder, 'tls/crl.pem', await revocationList(root, [revoked]));
        return revoked;
      },
      /CERT_REVOKED/,
    ],
    ['with another name', ({ root }) => issue(root, { cn: 'stranger.example' }), /names stranger\.example/],
  ])(
    'over TLS with a certificate %s: not one call, and the operator hears why and what to do',
    async (_, make, cause) => {
      put(here.place.folder, 'tls/crl.pem', await revocationList(here.place.root, []));
      const shown = await make(here.place);
      const port = await freePort();
      const trunk = `[[trunks]]\nname = "peer"\nport = ${port}\nx509Names = ["peer.example"]`;
      running = await here.place.start(trunk, `crl = "${here.place.file('tls/crl.pem')}"`);
      const through = await tunnel(port, { cert: shown.pem, key: shown.keyPem });
      const ran = await sipp('call', ['-t', 't1', ...calls(1), '-timeout', '3s', `127.0.0.1:${through}`]);
      expect(ran.code).not.toBe(0);
      const told = (): SecurityEvent[] => here.place.events.filter((e) => e.code === 'tls-verify-failed');
      await until('the event', () => told().length > 0);
      expect(told()[0]!.cause).toMatch(cause);
      expect(told()[0]!.remedy).toContain('renew the trust store');
      expect(running.conferenceLevel('board')).toBeUndefined();
    },
  );

  it('with digest: challenged and let in; with another password not (sipp knows MD5 only)', async () => {
    const hash = (password: string): string => createHash('md5').update(`sipp:claviger:${password}`).digest('hex');
    for (const [password, code] of [
      ['secret', 0],
      ['other', 1],
    ] as const) {
      const users = `[digest]\nalgorithms = ["MD5"]\n[[digest.users]]\nname = "sipp"\nmd5 = "${hash(password)}"`;
      const port = await start('udp', 'peers = ["127.0.0.1"]\ndigest = true', users);
      const uri = ['-auth_uri', `board@127.0.0.1:${port}`];
      const ran = await sipp('digest', ['-t', 'u1', ...uri, ...calls(1), '-timeout', '10s', `127.0.0.1:${port}`]);
      expect(ran.code, ran.log).toBe(code);
      await running.stop();
    }
  });
});

describeWithPeers('the switch calls sipp', ['sipp'], () => {
  async function callee(
    transport: Plain,
    scenario: string,
  ): Promise<{ readonly ran: Promise<Ran>; readonly port: number }> {
    const port = await freePort();
    return {
      ran: sipp(scenario, ['-t', TRANSPORT[transport], '-p', String(port), '-m', '1', '-timeout', '30s']),
      port,
    };
  }

  it.each(['udp', 'tcp'] as const)('over %s: rings, answers, is hung up on', async (transport) => {
    const peer = await callee(transport, 'answer');
    await start(transport, `peers = ["127.0.0.1:${peer.port}"]`);
    const state = (id: number): string | undefined => running.dialled('board', id)?.state;
    let id = 0;
    // sipp says nowhere when it listens: a call that found nobody is made again.
    await until('it has answered', () => {
      if (id === 0 || state(id) === 'failed') {
        const made = running.dial({ conference: 'board', target: '4711' });
        if (made.ok) id = made.value.id;
      }
      return state(id) === 'answered';
    });
    await running.stop();
    const ran = await peer.ran;
    expect(ran.code, ran.log).toBe(0);
  });

  it('that is busy: its refusal is acknowledged', async () => {
    const peer = await callee('udp', 'busy');
    await start('udp', `peers = ["127.0.0.1:${peer.port}"]`);
    const made = running.dial({ conference: 'board', target: '4711' });
    expect(made.ok).toBe(true);
    const ran = await peer.ran;
    expect(ran.code, ran.log).toBe(0);
    await until('the call has failed', () => running.dialled('board', 1)?.status === 486);
  });
});
