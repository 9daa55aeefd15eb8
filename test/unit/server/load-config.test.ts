import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SETTINGS } from '../../../src/server/config.js';
import { type ConfigSources, loadConfig } from '../../../src/server/load-config.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'claviger-test-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function load(toml: string | undefined, rest: Partial<ConfigSources> = {}) {
  const file = toml === undefined ? undefined : join(folder, 'claviger.toml');
  if (file !== undefined) writeFileSync(file, toml!);
  return loadConfig({ file, flags: {}, env: {}, ...rest });
}

/** What is wrong, without the folder of the test. */
function problems(toml: string | undefined, rest: Partial<ConfigSources> = {}): string[] {
  const loaded = load(toml, rest);
  return loaded.ok ? [] : loaded.detail!.replaceAll(`${folder}/`, '').split('\n');
}

describe('precedence', () => {
  it('flags over environment over file over defaults', () => {
    const toml = '[sip]\nport = 5062\nname = "from-file"\n[media]\nportMin = 20000\n';
    const loaded = load(toml, {
      env: { CLAVIGER_SIP_PORT: '5063', CLAVIGER_LOG_LEVEL: 'warn' },
      flags: { 'sip-port': '5064' },
    });
    expect(loaded.ok && loaded.value).toMatchObject({
      sip: { port: 5064, name: 'from-file', address: '0.0.0.0' },
      media: { portMin: 20_000, portMax: 32_767 },
      log: { level: 'warn' },
      conferences: { policy: 'secure', requiredLevel: 'end-to-end', adHoc: true },
    });
  });

  it('every scalar of the schema has a flag and a variable of its own', () => {
    expect(new Set(SETTINGS.map((s) => s.flag)).size).toBe(SETTINGS.length);
    expect(SETTINGS.map((s) => s.env)).toContain('CLAVIGER_CONFERENCES_AD_HOC');
    const loaded = load(undefined, { env: { CLAVIGER_CONFERENCES_AD_HOC: 'false', CLAVIGER_MEDIA_THREADS: '2' } });
    expect(loaded.ok && loaded.value).toMatchObject({ conferences: { adHoc: false }, media: { threads: 2 } });
  });
});

describe('what is refused, with place and what is allowed', () => {
  it.each([
    [
      'an unknown key',
      '[sip]\nprot = 1',
      'claviger.toml: sip.prot: unknown; allowed: one of the keys address, port, wssPort, wssOrigins, name, clientCertificates, tls',
    ],
    [
      'an unknown section',
      '[spi]\nport = 1',
      /^claviger\.toml: spi: unknown; allowed: one of the keys data, sip, tls, dns, digest, registrar, trunks, media/,
    ],
    [
      'a number out of range',
      '[sip]\nport = 70000',
      'claviger.toml: sip.port: not allowed here; allowed: a whole number from 0 to 65535',
    ],
    [
      'a text for a number',
      '[sip]\nport = "5061"',
      'claviger.toml: sip.port: not allowed here; allowed: a whole number from 0 to 65535',
    ],
    [
      'a name for an address',
      '[media]\naddress = "localhost"',
      'claviger.toml: media.address: not allowed here; allowed: a literal IPv4 or IPv6 address',
    ],
    [
      'a suite that is none',
      '[[conferences.fixed]]\nname = "a"\nsuite = 2',
      'claviger.toml: conferences.fixed.0.suite: not allowed here; allowed: one of 1, 17, 18',
    ],
    [
      'a policy that is none',
      '[conferences]\npolicy = "opportunistic"',
      'claviger.toml: conferences.policy: not allowed here; allowed: one of "secure", "best-effort", "non-secure"',
    ],
    [
      'a conference’s name',
      '[[conferences.fixed]]\nname = "a b"',
      'claviger.toml: conferences.fixed.0.name: not allowed here; allowed: 1 to 64 of A-Z a-z 0-9 . _ -',
    ],
    [
      'a conference twice',
      '[[conferences.fixed]]\nname = "a"\n[[conferences.fixed]]\nname = "a"',
      'claviger.toml: conferences.fixed: a stands there twice',
    ],
    [
      'ports the wrong way round',
      '[media]\nportMin = 30000\nportMax = 20000',
      'claviger.toml: media.portMin: 30000 is above media.portMax 20000',
    ],
    [
      'half a certificate',
      '[tls]\nkey = "k.pem"',
      'claviger.toml: TLS on port 5061: tls sets key but not certificate: certificate and key go together',
    ],
    [
      'one port for two SIP listeners',
      '[sip]\nwssPort = 5061',
      'claviger.toml: sip.wssPort: 5061 is taken by another SIP listener; allowed: a port of its own',
    ],
    [
      'an origin with a path',
      '[sip]\nwssOrigins = ["https://portal.example/"]',
      'claviger.toml: sip.wssOrigins.0: not allowed here; allowed: an origin, such as https://portal.example',
    ],
    ['no TOML', '[sip\nport = 1', /^claviger\.toml:1:\d+: not TOML: /],
  ] as const)('%s', (_, toml, wanted) => {
    const found = problems(toml);
    expect(found).toHaveLength(1);
    if (typeof wanted === 'string') expect(found[0]).toBe(wanted);
    else expect(found[0]).toMatch(wanted);
  });

  it('a file that is not there, an unknown variable, a wrong flag: each names itself', () => {
    expect(problems(undefined, { file: '/no/such.toml' })).toEqual([
      '/no/such.toml: no such file; name one that exists with --config',
    ]);
    expect(problems(undefined, { env: { CLAVIGER_SIP_PROT: '1' } })[0]).toMatch(
      /^environment: unknown variable CLAVIGER_SIP_PROT; allowed: CLAVIGER_DATA_DIR, /,
    );
    expect(problems(undefined, { flags: { 'sip-port': 'x' } })).toEqual([
      '--sip-port: sip.port: not allowed here; allowed: a whole number from 0 to 65535',
    ]);
    expect(problems(undefined, { env: { CLAVIGER_CONFERENCES_AD_HOC: 'yes' } })).toEqual([
      'CLAVIGER_CONFERENCES_AD_HOC: conferences.adHoc: not allowed here; allowed: true or false',
    ]);
  });

  it('all that is wrong at once, and nothing is taken', () => {
    expect(problems('[sip]\nport = -1\nprot = 1\n[log]\nlevel = "loud"')).toHaveLength(3);
  });
});
