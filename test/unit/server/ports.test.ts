import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { firewallTable } from '../../../src/cli/ports.js';
import { loadConfig } from '../../../src/server/load-config.js';

it('the firewall table has every port that the configuration listens on or calls', () => {
  const folder = mkdtempSync(join(tmpdir(), 'claviger-test-'));
  const file = join(folder, 'claviger.toml');
  writeFileSync(
    file,
    [
      '[sip]\naddress = "192.0.2.1"\nport = 5071\nwssPort = 7443',
      '[media]\nportMin = 20000\nportMax = 20999',
      '[admin]\nport = 9000',
      '[events]\nwebhookUrl = "https://hook.example/x"\nwebhookSecretFile = "/x"\nsyslogHost = "log.example"',
      '[[trunks]]\nname = "pbx"\nx509Names = ["pbx.example"]\nport = 5081\npeers = ["pbx.example", "pbx.example:5090"]',
      '[[trunks]]\nname = "old"\nsecurity = "non-secure"\nincoming = ["udp", "tcp"]\noutgoing = "udp"\nport = 5060\nsrtp = false\npeers = ["10.0.0.1"]',
    ].join('\n'),
  );
  const config = loadConfig({ file, flags: {}, env: {} });
  rmSync(folder, { recursive: true });
  if (!config.ok) throw new Error(config.detail);
  expect(firewallTable(config.value).map((row) => row.slice(0, 4).join(' '))).toEqual([
    'in TCP 192.0.2.1 5071',
    'in TCP 192.0.2.1 5081',
    'in TCP 192.0.2.1 7443',
    'in UDP 192.0.2.1 5060',
    'in TCP 192.0.2.1 5060',
    'in, out UDP 0.0.0.0 20000-20999',
    'in TCP 127.0.0.1 9000',
    'out TCP pbx.example 5061, or as its SRV records say',
    'out TCP pbx.example 5090',
    'out UDP 10.0.0.1 5060',
    'out TCP hook.example 443',
    'out TCP log.example 6514',
  ]);
});
