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
    const { sip, media, admin } = config.value;
    const rows = [
      ['direction', 'protocol', 'address', 'ports', 'what for'],
      ['in', 'TCP', sip.address, String(sip.port), 'SIP over TLS'],
      [
        'in, out',
        'UDP',
        media.address,
        `${media.portMin}-${media.portMax}`,
        'DTLS, SRTP and SRTCP; RTP of non-secure conferences',
      ],
      [
        'in',
        'TCP',
        admin.address,
        String(admin.port),
        'administration (HTTPS), health and metrics (HTTP); keep it inside',
      ],
    ];
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
