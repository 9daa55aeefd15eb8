import { isIP } from 'node:net';
import type { Config } from '../server/config.js';
import { openLog } from '../server/log.js';
import { Switch } from '../server/switch.js';
import { helpOfFlags } from './arguments.js';
import type { Command } from './command.js';
import { CONFIG_FLAGS, configFromArguments } from './settings-flags.js';

const HELP = `Usage: claviger serve [flags]

Runs the switch until SIGTERM or SIGINT: BYE to everybody, then exit 0 within 5 s; a second signal exits at once.
Settings come from the flags, the environment (CLAVIGER_SIP_PORT for --sip-port), the file, the defaults, in this order.`;

const bracketed = (address: string): string => (isIP(address) === 6 ? `[${address}]` : address);

/** What to put into a URI for an address that may be "any". */
const reachable = (address: string): string =>
  address === '0.0.0.0' || address === '::' ? '127.0.0.1' : bracketed(address);

/** EADDRINUSE and its like in words that name the setting. */
function explain(error: unknown, config: Config): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? String(error.code) : '';
  const port = 'port' in error ? Number(error.port) : config.sip.port;
  const isOf = (one: number | undefined): boolean => port === one && port !== config.sip.port;
  const setting = isOf(config.admin.port) ? 'admin-port' : isOf(config.sip.wssPort) ? 'sip-wss-port' : 'sip-port';
  if (code === 'EADDRINUSE')
    return `TCP port ${port} is in use: stop what listens there or choose another with --${setting}`;
  if (code === 'EACCES') return `no right to listen on TCP port ${port}: choose one above 1023 with --${setting}`;
  if (code === 'EADDRNOTAVAIL') return `this machine does not have the address of --${setting.split('-')[0]}-address`;
  return error.message;
}

function announce(running: Switch, config: Config): void {
  const { media, conferences, dtls } = config;
  const policy =
    conferences.policy === 'secure'
      ? `secure (every endpoint at ${conferences.requiredLevel})`
      : 'non-secure (RTP for all)';
  const { wssPort } = running.sip;
  const host = reachable(running.sip.address);
  const ca = running.caFile === undefined ? '' : ` --ca ${running.caFile}`;
  const token = running.adminTokenFile === undefined ? '' : `, token in ${running.adminTokenFile}`;
  console.log(
    [
      `Claviger listens on sips:${bracketed(running.sip.address)}:${running.sip.port} (SIP over TLS)`,
      ...(wssPort === undefined
        ? []
        : [`  WebSocket wss://${bracketed(running.sip.address)}:${wssPort} (for browsers)`]),
      `  media     UDP ${media.address}, ports ${media.portMin}-${media.portMax}`,
      `  policy    ${conferences.adHoc ? `conferences are made when dialled, ${policy}` : 'only the configured conferences'}`,
      ...conferences.fixed.map((c) => `  fixed     ${c.name}: ${c.policy}`),
      `  DTLS      ${dtls.engine}`,
      `  admin     https://${bracketed(running.admin.address)}:${running.admin.port}/${token}`,
      `  health    http://${bracketed(running.admin.address)}:${running.admin.port}/health/ready, metrics at /metrics`,
      `Call it:    npm run claviger -- call sips:8000@${host}:${running.sip.port}${ca}`,
    ].join('\n'),
  );
}

export const serveCommand: Command = {
  name: 'serve',
  summary: 'run the switch',
  help: () => `${HELP}\n\n${helpOfFlags(CONFIG_FLAGS)}`,
  run: async (args) => {
    const loaded = configFromArguments(args, process.env);
    if (!loaded.ok) {
      console.error(
        loaded.detail
          ?.split('\n')
          .map((line) => `claviger serve: ${line}`)
          .join('\n'),
      );
      if (loaded.reason === 'usage') console.error('claviger serve --help lists the flags');
      return 2;
    }
    const config = loaded.value;
    const log = openLog(config.log);
    let running: Switch;
    try {
      running = await Switch.start(config, { log });
    } catch (error) {
      console.error(`claviger serve: cannot start: ${explain(error, config)}`);
      return 1;
    }
    announce(running, config);
    await new Promise<void>((resolve) => {
      let signals = 0;
      const onSignal = (signal: NodeJS.Signals): void => {
        if (++signals > 1) process.exit(1);
        log.info({ signal }, 'stopping: BYE to everybody');
        running.stop().then(resolve, (error: unknown) => {
          log.fatal({ error: error instanceof Error ? error.message : String(error) }, 'stop failed');
          process.exit(1);
        });
      };
      process.on('SIGHUP', () => {
        if (!running.reloadCertificates()) log.error('certificates were not read again; the old ones stay in force');
      });
      process.on('SIGTERM', onSignal);
      process.on('SIGINT', onSignal);
    });
    return 0;
  },
};
