/** `claviger doctor` on machines that lack something. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { examine, type Finding } from '../../src/server/doctor/doctor.js';
import { loadConfig } from '../../src/server/load-config.js';
import { startSwitch } from '../support/running-switch.js';

let folder = '';
const ends: (() => unknown)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'claviger-test-'));
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  rmSync(folder, { recursive: true, force: true });
});

const NOW = Date.now();
const DAY_MS = 86_400_000;

async function findings(
  settings: Readonly<Record<string, string>> = {},
  toml = '',
  now = NOW,
): Promise<readonly Finding[]> {
  const file = join(folder, 'claviger.toml');
  writeFileSync(file, toml);
  const flags = {
    ...{ 'data-dir': join(folder, 'data'), 'sip-address': '127.0.0.1', 'sip-port': '0', 'admin-port': '0' },
    ...{ 'media-address': '127.0.0.1', ...settings },
  };
  const config = loadConfig({ file, flags, env: {} });
  if (!config.ok) throw new Error(config.detail);
  return examine(config.value, now);
}

const about = (all: readonly Finding[], area: Finding['area'], state: Finding['state']) =>
  all.filter((finding) => finding.area === area && finding.state === state);

/** A port that is taken, by somebody who says nothing. */
async function takenPort(): Promise<number> {
  const server = createServer((socket) => void socket.on('error', () => undefined));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => new Promise((resolve) => server.close(resolve)));
  return (server.address() as AddressInfo).port;
}

describe('claviger doctor', () => {
  it('finds nothing that fails on a machine that is well, and says of everything what it saw', async () => {
    const all = await findings();
    expect(all.filter(({ state }) => state === 'fail')).toEqual([]);
    expect([...new Set(all.map(({ area }) => area))].sort()).toEqual([
      'certificates',
      'clock',
      'kernel',
      'ports',
      'storage',
    ]);
    for (const { state, remedy } of all) expect(remedy === undefined).toBe(state === 'ok');
  });

  it('a port that is taken fails, with the setting; one that our own switch has is well', async () => {
    const [finding] = about(await findings({ 'sip-port': String(await takenPort()) }), 'ports', 'fail');
    expect(finding?.what).toContain('EADDRINUSE');
    expect(finding?.remedy).toContain('sip.address and .port');
    const [browsers] = about(await findings({ 'sip-wss-port': String(await takenPort()) }), 'ports', 'fail');
    expect(browsers?.what).toContain('SIP over secure WebSocket');
    expect(browsers?.remedy).toContain('sip.address and .wssPort');
    const host = await startSwitch();
    ends.push(() => host.stop());
    const { sip, admin } = host.running;
    const all = await findings({ 'sip-port': String(sip.port), 'admin-port': String(admin.port) });
    expect(about(all, 'ports', 'fail')).toEqual([]);
    expect(about(all, 'ports', 'ok').filter(({ what }) => what.includes('the switch that runs'))).toHaveLength(2);
  });

  it('an address that is not this machine’s, and too few media ports', async () => {
    const [address] = about(await findings({ 'media-address': '192.0.2.1' }), 'ports', 'fail');
    expect(address?.remedy).toContain('media.address');
    const [few] = about(await findings({ 'media-port-min': '20000', 'media-port-max': '20049' }), 'ports', 'warn');
    expect(few?.what).toContain('50 ports are not enough for 100 members');
  });

  it('a certificate that ends soon, has ended, or does not fit its key', async () => {
    await findings();
    const soon = await findings({}, '', NOW + 390 * DAY_MS);
    expect(about(soon, 'certificates', 'warn')[0]?.what).toMatch(/is valid until/);
    const data = join(folder, 'data');
    const tls = (key: string) => `[tls]\ncertificate = "${data}/server.pem"\nkey = "${data}/${key}"\n`;
    expect(about(await findings({}, tls('server-key.pem'), NOW + 400 * DAY_MS), 'certificates', 'fail')).toHaveLength(
      1,
    );
    const [misfit] = about(await findings({}, tls('ca-key.pem')), 'certificates', 'fail');
    expect(misfit?.remedy).toContain("belongs to another machine's certificate");
  });

  it('a trunk peer that is not there, one that is not trusted, and one that answers', async () => {
    const host = await startSwitch();
    ends.push(() => host.stop());
    const trunk = (name: string, port: number, more = '') =>
      `[[trunks]]\nname = "${name}"\nx509Names = ["${name}", "claviger ${name}"]\ntargetNameCheck = "no"\npeers = ["127.0.0.1:${port}"]\n${more}`;
    const closed = await takenPort();
    await ends.pop()!();
    const toml = [trunk('gone', closed), trunk('stranger', host.running.sip.port)].join('\n');
    const trunks = about(await findings({}, toml), 'trunks', 'fail');
    expect(trunks.map(({ what }) => what.split(':')[0])).toEqual(['gone', 'stranger']);
    expect(trunks[0]!.what).toContain('ECONNREFUSED');
    expect(trunks[0]!.remedy).toContain('compare port numbers');
    expect(trunks[1]!.remedy).toContain('renew the trust store');
    const known = `[tls]\ncertificate = "${folder}/data/server.pem"\nkey = "${folder}/data/server-key.pem"\nca = "${folder}/peer-ca.pem"\n`;
    writeFileSync(join(folder, 'peer-ca.pem'), host.caPem);
    const all = await findings({}, `${known}${trunk('claviger', host.running.sip.port)}`);
    expect(about(all, 'trunks', 'ok').map(({ what }) => what)).toEqual([
      `claviger: TLS 127.0.0.1:${host.running.sip.port} answers`,
    ]);
  });

  it('a clock before the program was written', async () => {
    const [clock] = about(await findings({}, '', Date.UTC(1970, 0, 2)), 'clock', 'fail');
    expect(clock?.what).toContain('1970-01-02');
  });

  it('a disk that cannot be written', async () => {
    expect(about(await findings({ 'events-file': '/proc/claviger/audit.db' }), 'storage', 'fail')).toHaveLength(1);
  });
});
