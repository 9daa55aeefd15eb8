import type { Config } from '../server/config.js';
import { SIP_OVER, tlsPorts } from '../server/config-tls.js';
import { portText, trunkProfile } from '../server/config-trunks.js';
import { helpOfFlags } from './arguments.js';
import type { Command } from './command.js';
import { CONFIG_FLAGS, configFromArguments } from './settings-flags.js';

/** What a firewall must open for this configuration (REQUIREMENTS O1). */
export const portsCommand: Command = {
  name: 'ports',
  summary: 'print the ports that a firewall must open for a configuration',
  help: () =>
    `Usage: claviger ports [flags]\n\nPrints the firewall table of the configuration.\n\n${helpOfFlags(CONFIG_FLAGS)}`,
  run: async (args) => {
    const config = configFromArguments(args, process.env);
    if (!config.ok) {
      console.error(`claviger ports: ${config.detail}`);
      return 2;
    }
    const rows = [['direction', 'protocol', 'address', 'ports', 'what for'], ...firewallTable(config.value)];
    const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
    for (const row of rows)
      console.log(
        row
          .map((cell, i) => cell.padEnd(widths[i]!))
          .join('  ')
          .trimEnd(),
      );
    return 0;
  },
};

type Row = readonly [direction: string, protocol: string, address: string, ports: string, what: string];

/** Every port that the switch listens on, and every one that it calls. */
export function firewallTable(config: Config): readonly Row[] {
  const { sip, media, admin, events, trunks } = config;
  const plain = trunks.flatMap(({ name, incoming, port }) =>
    incoming
      .filter((transport) => transport !== 'tls' && port !== undefined)
      .map((transport): Row => ['in', transport.toUpperCase(), sip.address, String(port), `SIP of trunk ${name}`]),
  );
  const peers = trunks
    .map(trunkProfile)
    .flatMap(({ name, outgoing, peers: to }) =>
      to.map(
        (peer): Row => [
          'out',
          outgoing === 'udp' ? 'UDP' : 'TCP',
          peer.host,
          portText(outgoing, peer),
          `SIP to trunk ${name}`,
        ],
      ),
    );
  const rows: Row[] = [
    ...tlsPorts(config).map(
      ({ port, transport }): Row => ['in', 'TCP', sip.address, String(port), SIP_OVER[transport]],
    ),
    ...plain,
    [
      'in, out',
      'UDP',
      media.address,
      `${media.portMin}-${media.portMax}`,
      'DTLS, SRTP and SRTCP; RTP of conferences that are not secure',
    ],
    [
      'in',
      'TCP',
      admin.address,
      String(admin.port),
      'administration (HTTPS), health and metrics (HTTP); keep it inside',
    ],
    ...peers,
  ];
  if (events.webhookUrl !== undefined) {
    const { hostname, port, protocol } = new URL(events.webhookUrl);
    rows.push(['out', 'TCP', hostname, port || (protocol === 'https:' ? '443' : '80'), 'webhook of security events']);
  }
  if (events.syslogHost !== undefined)
    rows.push(['out', 'TCP', events.syslogHost, String(events.syslogPort), 'syslog of security events (TLS)']);
  return rows;
}
