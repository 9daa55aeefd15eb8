import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { serverCertificate } from '../../src/server/certificates.js';
import { dial } from '../support/caller.js';
import { claviger, killAll, serve } from '../support/cli.js';
import { until } from '../support/running-switch.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'claviger-test-'));
});
afterEach(() => {
  killAll();
  rmSync(folder, { recursive: true, force: true });
});

async function listening(extra: readonly string[] = []) {
  const started = serve(folder, extra);
  const port = await new Promise<number>((resolve, reject) => {
    const look = (): void => {
      const match = /sips:127\.0\.0\.1:(\d+) /.exec(started.output.text);
      if (match !== null && started.output.text.includes('Call it:')) resolve(Number(match[1]));
    };
    started.child.stdout?.on('data', look);
    void started.exit.then((code) => reject(new Error(`serve ended with ${code}: ${started.output.text}`)));
  });
  return { ...started, port };
}

describe('claviger serve', () => {
  it('says where it listens, with which policy, and how to call it', async () => {
    const { output } = await listening();
    expect(output.text).toMatch(/listens on sips:127\.0\.0\.1:\d+/);
    expect(output.text).toContain('secure (every endpoint at end-to-end)');
    expect(output.text).toMatch(new RegExp(`call sips:8000@127\\.0\\.0\\.1:\\d+ --ca ${folder}/ca.pem`));
    expect(output.text).toMatch(/health\s+http:/);
  });

  it('on SIGTERM says BYE to everybody and exits with 0 within 5 s', async () => {
    const { child, port, exit } = await listening();
    const caller = await dial({
      target: `sips:8000@127.0.0.1:${port}`,
      caPem: readFileSync(join(folder, 'ca.pem'), 'utf8'),
    });
    await caller.call.ready;
    const asked = performance.now();
    child.kill('SIGTERM');
    const end = await caller.call.ended;
    expect(end.by).toBe('peer');
    expect(end.cause).toMatch(/^SIP;cause=503/);
    expect(await exit).toBe(0);
    expect(performance.now() - asked).toBeLessThan(5_000);
  });

  it('on a second SIGTERM exits at once, while a member that is deaf to the BYE would be waited for', async () => {
    const { port, child, exit, output } = await listening();
    const caPem = join(folder, 'ca.pem');
    const deaf = claviger(['call', `sips:8000@127.0.0.1:${port}`, '--ca', caPem]);
    await until('the deaf member is in', () => deaf.output.text.includes('media flows'));
    deaf.child.kill('SIGSTOP');
    child.kill('SIGTERM');
    await until('it is stopping', () => output.text.includes('stopping'));
    const asked = performance.now();
    child.kill('SIGTERM');
    expect(await exit).toBe(1);
    // The first signal alone waits for the BYE's answer until the stop timeout, which the test below measures.
    expect(performance.now() - asked).toBeLessThan(1_500);
  });

  it('on SIGTERM with a deaf member exits with 0 within 5 s all the same', async () => {
    const { port, child, exit } = await listening();
    const deaf = claviger(['call', `sips:8000@127.0.0.1:${port}`, '--ca', join(folder, 'ca.pem')]);
    await until('the deaf member is in', () => deaf.output.text.includes('media flows'));
    deaf.child.kill('SIGSTOP');
    const asked = performance.now();
    child.kill('SIGTERM');
    expect(await exit).toBe(0);
    expect(performance.now() - asked).toBeLessThan(5_000);
  });

  it('refuses a wrong configuration with file, path and what is allowed, and changes nothing', async () => {
    const file = join(folder, 'wrong.toml');
    writeFileSync(file, '[sip]\nport = 99999\nprot = 1\n[conferences]\npolicy = "lax"\n');
    const { exit, output } = claviger(['serve', '--config', file]);
    expect(await exit).toBe(2);
    expect(output.text).toContain(`${file}: sip.port: not allowed here; allowed: a whole number from 0 to 65535`);
    expect(output.text).toContain(`${file}: sip.prot: unknown; allowed: one of the keys address, port`);
    expect(output.text).toContain(
      `${file}: conferences.policy: not allowed here; allowed: one of "secure", "best-effort", "non-secure"`,
    );
  });

  it('names the setting when its port is taken', async () => {
    const { port } = await listening();
    const second = claviger([
      'serve',
      '--data',
      folder,
      '--sip-address',
      '127.0.0.1',
      '--sip-port',
      String(port),
      '--admin-port',
      '0',
    ]);
    expect(await second.exit).toBe(1);
    expect(second.output.text).toContain(`TCP port ${port} is in use`);
    expect(second.output.text).toContain('--sip-port');
  });
});

describe('what cannot work is refused at the start, by name, and nothing is left running', () => {
  const start = (args: readonly string[]) => serve(folder, args);

  it.each<readonly [what: string, spoil: () => readonly string[], text: string]>([
    ['a server certificate that is none', () => spoilt('server.pem'), 'server.pem holds no certificate'],
    ['a server key that is none', () => spoilt('server-key.pem'), 'server-key.pem holds no private key'],
    ['the key of another certificate', () => other('server-key.pem'), 'belongs to another certificate'],
    ['a CA certificate that is none', () => spoilt('ca.pem'), 'ca.pem holds no certificate'],
    ['a lost CA key, when it is needed', () => ['--sip-name', 'renamed', ...lost('ca-key.pem')], 'ca-key.pem'],
    [
      'a list of authorities that is none',
      () => own('--tls-ca', file('server-key.pem')),
      'server-key.pem holds no certificate',
    ],
    ['a media address of another machine', () => ['--media-address', '192.0.2.9'], '--media-address'],
    ['a data folder that is a file', () => ['--data', file('ca.pem')], '--data-dir'],
  ])('%s', async (_, spoil, text) => {
    await serverCertificate(folder, 'claviger', Date.now());
    const { exit, output } = start(spoil());
    expect(await exit).toBe(1);
    expect(output.text).toContain(`claviger serve: cannot start: `);
    expect(output.text).toContain(text);
  });

  const file = (name: string): string => join(folder, name);
  const own = (...more: string[]): string[] => [
    ...['--tls-certificate', file('server.pem'), '--tls-key', file('server-key.pem')],
    ...more,
  ];
  function spoilt(name: string): readonly string[] {
    writeFileSync(file(name), 'garbage');
    return [];
  }
  function other(name: string): readonly string[] {
    writeFileSync(file(name), readFileSync(file('ca-key.pem')));
    return [];
  }
  function lost(name: string): readonly string[] {
    rmSync(file(name));
    return [];
  }
});

describe('the command line', () => {
  it.each([
    [['--help'], 0, 'Usage: claviger COMMAND'],
    [['serve', '--help'], 0, '--sip-port NUMBER'],
    [['call', '--help'], 0, '--key-log FILE'],
    [['demo', '--help'], 0, '--seconds N'],
    [['ports', '--media-port-min', '20000'], 0, '20000-32767'],
    [['nonsense'], 2, "unknown command 'nonsense'"],
    [['call', 'sip:8000@localhost'], 2, 'whom to call: sips:CONFERENCE@HOST[:PORT]'],
    [['call', 'sips:8000@localhost:1', '--screens', '2'], 2, '--screens takes 1 or 3'],
    [['call', 'sips:8000@localhost:1', '--rtp-out', '8.8.8.8:5000'], 2, '--rtp-out takes a loopback address'],
    [['serve', '--sip-prot', '1'], 2, '--sip-prot'],
    [['serve', '--sip-address', '::1'], 2, 'allowed: an IPv6 address (:: takes IPv4 too), or set media.advertise'],
    [['serve', '--sip-name', 'a "name"'], 2, 'allowed: a host name'],
    [['call', 'sips:8000@127.0.0.1:1'], 1, 'ECONNREFUSED'],
  ])('%j', async (args, code, text) => {
    const { exit, output } = claviger(args);
    expect(await exit).toBe(code);
    expect(output.text).toContain(text);
  });
});
